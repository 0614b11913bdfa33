"""Forks after TensorFlow's threads have run a transform; threads of the child make garbage."""

import gc
import os
import sys
import threading
import warnings

warnings.simplefilter("ignore")
import tensorflow as tf  # noqa: F401

import npyfast
from npyfast._engines import garbage


def transform(x):
    return x + len([(i, [i]) for i in range(3000)])


for _ in npyfast.dataset(sys.argv[1], 10, True, epochs=2, transform=transform):
    pass
assert garbage._threads


class Cycle:
    alive = 0

    def __init__(self):
        Cycle.alive += 1
        self.own = self

    def __del__(self):
        Cycle.alive -= 1


def make_garbage():
    for _ in range(50_000):
        Cycle()


child = os.fork()
if child == 0:
    assert not garbage._threads
    assert garbage._collecting not in gc.callbacks
    threads = [threading.Thread(target=make_garbage) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0 if Cycle.alive < 100_000 else 1)
_, status = os.waitpid(child, 0)
print("collected" if status == 0 else f"status {status}")
