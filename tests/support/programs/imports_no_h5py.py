"""Uses a public name: h5py is not imported."""

import sys

import npyfast

assert npyfast.batches
assert "h5py" not in sys.modules
