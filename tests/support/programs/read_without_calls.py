"""Reads where system calls are refused."""

import mmap
import os
import sys

import numpy as np
from refused_calls import refuse

import npyfast

path, *calls = sys.argv[1:]
refuse(*calls)
if "madvise" in calls:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        try:
            mapped.madvise(mmap.MADV_WILLNEED)
            raise AssertionError("the filter does not work")
        except PermissionError:
            pass
expected = np.load(path)
for readahead in ("auto", "off", "whole", "rows"):
    for shuffle in (False, True, "block", npyfast.BlockShuffle(50, 400)):
        with open(path, "rb") as file:
            if "fadvise64" not in calls:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        made = npyfast.batches(path, 32, shuffle, seed=0, readahead=readahead)
        for epoch in range(2):
            rows = np.concatenate(list(made))
            if shuffle is not False:
                rows = rows[np.argsort(rows[:, 0])]
            assert np.array_equal(rows, expected), (readahead, shuffle)
print("fine")
