"""Reads an HDF5 file in a child and its parent."""

import os
import sys
import threading
import warnings

import numpy as np

import npyfast

warnings.simplefilter("ignore")
x = np.arange(96, dtype="f4").reshape(12, 4, 2)
leaf = npyfast.source(sys.argv[1], key="x")
rows = npyfast.open(leaf)
batches = iter(npyfast.batches(leaf, 5))
next(batches)
reading = threading.Event()


def read():
    while not reading.is_set():
        assert np.array_equal(rows[:], x)


thread = threading.Thread(target=read)
thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        same = np.array_equal(rows[[7, 2]], x[[7, 2]])
        same &= np.array_equal(next(batches), x[5:10])
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
reading.set()
thread.join()
assert np.array_equal(next(batches), x[5:10])
