"""Reads thousands of files by the graph engine with 256 descriptors."""

import resource
import sys
import warnings

warnings.simplefilter("ignore")
import numpy as np
import tensorflow  # noqa: F401

import npyfast

count = int(sys.argv[2])
x = np.repeat(np.arange(count)[:, None], 2, axis=1)
made = npyfast.dataset(sys.argv[1], 1000, True, seed=7, engine="graph")
memory = npyfast.batches(x, 1000, True, seed=7)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
for _ in range(2):
    for batch, expected in zip(made, memory, strict=True):
        assert np.array_equal(batch, expected)
print("equal")
