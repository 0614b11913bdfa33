"""Freezes its objects, as a server does before it forks, and then reads with a transform."""

import gc
import sys
import warnings

warnings.simplefilter("ignore")
import tensorflow as tf  # noqa: F401

import npyfast


def transform(x):
    return x + len([(i, [i]) for i in range(3000)])


made = npyfast.dataset(sys.argv[1], 10, True, epochs=2, transform=transform)
gc.freeze()
frozen = gc.get_freeze_count()
for _ in made:
    pass
assert gc.get_freeze_count() > frozen // 2, gc.get_freeze_count()
print("still frozen")
