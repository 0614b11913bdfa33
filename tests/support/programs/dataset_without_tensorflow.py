"""Asks for a dataset where TensorFlow is not installed."""

import sys

sys.modules["tensorflow"] = None  # as if it were not installed
import numpy as np

import npyfast

try:
    npyfast.dataset(np.arange(3))
except ImportError as error:
    assert "pip install 'npyfast[tensorflow]'" in str(error), error
    assert "npyfast.batches does without" in str(error), error
else:
    raise AssertionError("no error")
