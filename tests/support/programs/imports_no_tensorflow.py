"""Uses npyfast without its datasets: TensorFlow is not imported."""

import sys

import numpy as np

import npyfast

list(npyfast.batches(np.arange(10), 3, True, shard=(0, 2), transform=lambda x: x))
npyfast.open(np.arange(10))[3]
npyfast.build_info()
assert not [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")]
