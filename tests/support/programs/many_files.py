"""Reads thousands of files with 256 descriptors."""

import resource
import sys

import numpy as np

import npyfast

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
source, count = npyfast.source(sys.argv[1]), int(sys.argv[2])
assert len(source.files) == 10_000
x = np.repeat(np.arange(count)[:, None], 2, axis=1)
assert np.array_equal(npyfast.open(source)[:], x)
in_order = npyfast.batches(source, 1000)
assert np.array_equal(np.concatenate(list(in_order)), x)
memory = npyfast.batches(x, 1000, True, seed=7)
for batch, expected in zip(npyfast.batches(source, 1000, True, seed=7), memory, strict=True):
    assert np.array_equal(batch, expected)
