"""Reads transformed batches without an end, or, with the argument "once", one of them.

With "hangs", all calls of the transform but the first one hang.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import npyfast


def transform(y):
    if "hangs" in sys.argv and y[0] != 0:
        time.sleep(10**6)
    return y + 1


stream = iter(
    npyfast.batches(np.arange(1000), 5, epochs=-1, transform=transform, transform_threads=4)
)
next(stream)
print("reading", flush=True)
if "once" not in sys.argv:
    for _ in stream:
        pass
