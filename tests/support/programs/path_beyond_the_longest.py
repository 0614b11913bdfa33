"""Reads a file by a relative path that has no absolute one the system would take."""

import os
import sys

import numpy as np

os.chdir(sys.argv[1])
for _ in range(25):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
np.save("X.npy", np.arange(5))
import npyfast

try:
    print(npyfast.open("X.npy")[:].tolist(), *npyfast.batches("X.npy", 5))
except OSError as error:
    assert error.filename.endswith("X.npy"), error
    print(error)
