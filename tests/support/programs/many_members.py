"""Reads more arrays of one archive than it may have files open."""

import resource
import sys

import numpy as np

import npyfast

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
batch = next(iter(npyfast.batches(sys.argv[1], 6)))
assert all((batch[f"x{i}"] == np.arange(6) + i).all() for i in range(200))
