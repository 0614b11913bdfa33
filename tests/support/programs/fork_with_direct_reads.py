"""Forks in the middle of an epoch that is read directly: both processes go on with the same rows.

Arguments: the path of the rows 0, 1, 2 ..., or a folder with a file of each; and the rows of a
block (0: a full shuffle)."""

import os
import sys

import numpy as np
from direct_reads import has_direct_reads

import npyfast

path, block_rows = sys.argv[1], int(sys.argv[2])
shuffle = npyfast.BlockShuffle(block_rows, 10 * block_rows) if block_rows else True
# With one thread, who forks may have read files itself, into memory that its child has not.
row_files = os.path.isdir(path)
source = npyfast.source(path, per_file="row" if row_files else None)
made = npyfast.batches(source, 16, shuffle, seed=3, threads=1 if row_files else None)
batches = iter(made)
seen = [next(batches)[:, 0] for _ in range(20)]


def check() -> None:
    rows = np.concatenate([*seen, *(batch[:, 0] for batch in batches)])
    assert sorted(rows) == list(range(len(rows))), rows
    if not row_files:  # which are not counted
        assert (made.statistics.bytes_direct > 0) == has_direct_reads(path)


child = os.fork()
if child == 0:
    check()
    os._exit(0)
check()
_, status = os.waitpid(child, 0)
print("both" if status == 0 else status)
