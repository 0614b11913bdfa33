"""Forks while files of one row are read past the page cache: both processes read on.

Argument: the folder of the files, which hold the rows 0, 1, 2 ...."""

import os
import sys

import numpy as np

import npyfast

made = npyfast.batches(npyfast.source(sys.argv[1], per_file="row"), 16, True, seed=3, threads=1)
batches = iter(made)
seen = [next(batches)[:, 0] for _ in range(10)]


def check() -> None:
    found = np.concatenate([*seen, *(batch[:, 0] for batch in batches)])
    assert sorted(found) == list(range(400)), found


child = os.fork()
if child == 0:
    check()
    os._exit(0)
check()
_, status = os.waitpid(child, 0)
print("both" if status == 0 else status)
