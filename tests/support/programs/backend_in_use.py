"""Prints the backend, why it is used, and the batches that it makes."""

import numpy as np

import npyfast

print(npyfast.backend, npyfast.build_info()["backend"], npyfast.build_info()["backend_reason"])
print([batch.tolist() for batch in npyfast.batches(np.arange(5), 2, True, seed=1)])
