"""Reads an array of a trillion rows; prints by how many MiB that made the process grow."""

import itertools
import resource
import sys

import npyfast

path = sys.argv[1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = npyfast.open(path)
assert len(rows) == rows.nbytes == 10**12, rows
assert rows[[0, -1, 10**12 - 2]].tolist() == [0, 7, 0]
assert rows[-3:].tolist() == [0, 0, 7]

made = npyfast.batches(path, 100, True, seed=1)
assert len(made) == 10**10
assert sum(int(batch.sum()) for batch in itertools.islice(made, 3)) == 0

last = npyfast.batches(path, 10, epochs=1, start_batch=10**11 - 1)
assert [batch.tolist() for batch in last] == [[0] * 9 + [7]]
part = npyfast.batches(path, 10, True, seed=1, rows=slice(10**11, None, 3), shard=(3, 7))
assert len(part) == -(-3 * 10**11 // 70)
next(iter(part))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) >> 10)
