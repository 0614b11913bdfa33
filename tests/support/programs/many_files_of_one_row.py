"""Reads thousands of files of one row with few descriptors."""

import os
import resource
import sys

import numpy as np

import npyfast

source = npyfast.source(sys.argv[1], per_file="row")
batches = npyfast.batches(source, 100, True, seed=7)
before = len(os.listdir("/proc/self/fd"))
# Sixteen threads open one each.
resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, before + 20))
x = np.repeat(np.arange(int(sys.argv[2])), 2).reshape(len(batches) * 100, -1, 2)
for batch, expected in zip(batches, npyfast.batches(x, 100, True, seed=7), strict=True):
    assert np.array_equal(batch, expected)
assert len(os.listdir("/proc/self/fd")) == before
