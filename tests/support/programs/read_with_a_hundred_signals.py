"""Reads batches, interrupted by a hundred signals: each batch comes once."""

import random
import signal
import sys
import threading
import time

import npyfast

may_interrupt = False


def interrupt(*_):
    if may_interrupt:
        raise KeyboardInterrupt


# A shell may have started this with signals ignored.
signal.signal(signal.SIGALRM, interrupt)
path, threads, count = sys.argv[1], int(sys.argv[2]), 0
options = {"transform": lambda y: y + 0, "transform_threads": threads} if threads else {}
made = npyfast.batches(path, 5, True, seed=1, epochs=1, **options)
wanted = [batch.tolist() for batch in made]
wait = random.Random(1).uniform
while count < 100:
    stream, got = iter(made), []
    while True:
        signal.setitimer(signal.ITIMER_REAL, wait(1e-6, 0.01))
        try:
            may_interrupt = True
            for batch in stream:
                got.append(batch)  # noqa: PERF402
            may_interrupt = False
            break
        except KeyboardInterrupt:
            may_interrupt = False
            count += 1
    assert [batch.tolist() for batch in got] == wanted
    assert stream.position == (1, 0)
signal.setitimer(signal.ITIMER_REAL, 0)
del stream
# An interrupted start may have left a thread that is not running yet, and cannot be joined.
while threading.active_count() > 1:
    time.sleep(0.001)
