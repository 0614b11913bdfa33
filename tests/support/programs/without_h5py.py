"""Opens an HDF5 file where h5py is not installed; prints the error."""

import sys

sys.modules["h5py"] = None
import npyfast

try:
    npyfast.batches(sys.argv[1])
except ImportError as error:
    print(error)
