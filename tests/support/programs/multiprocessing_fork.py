"""Reads in the children of a pool of forked processes, and goes on in the parent."""

import multiprocessing
import sys
import warnings

import npyfast

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads

path = sys.argv[1]
made = npyfast.batches(path, 9, True, seed=1, epochs=-1)
stream = iter(made)
next(stream)


def total(i):
    own = npyfast.batches(path, 9, True, seed=1, shard=(i, 4))
    return sum(float(batch.sum()) for batch in own) + float(next(stream).sum()) * 0


with multiprocessing.get_context("fork").Pool(4) as pool:
    totals = pool.map(total, range(4))
whole = sum(float(batch.sum()) for batch in npyfast.batches(path, 100))
assert abs(sum(totals) - whole) < 1e-3 * whole, (totals, whole)
next(stream)
