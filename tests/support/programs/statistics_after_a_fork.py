"""Both sides of a fork go on counting."""

import os
import sys
import time
import warnings

import npyfast

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
made = npyfast.batches(sys.argv[1], 10, True)
stream = iter(made)
for _ in range(4):
    next(stream)
while npyfast.backend == "native" and made.statistics.batches_ahead < 7:
    time.sleep(0.001)
pid = os.fork()
rest = len(list(stream))
del stream
statistics = made.statistics
right = (rest, statistics.batches, statistics.rows, statistics.batches_ahead) == (7, 11, 103, 0)
if pid == 0:
    os._exit(0 if right else 1)
assert os.waitpid(pid, 0)[1] == 0
assert right
