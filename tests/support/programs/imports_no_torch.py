"""Imports npyfast: PyTorch is not imported. Without it, the error says what to install."""

import sys

import numpy as np

import npyfast

list(npyfast.batches(np.arange(10), 3))
assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "keras", "jax")]
sys.modules["torch"] = None
try:
    npyfast.torch_dataset(np.arange(10))
except ImportError as error:
    print(error)
