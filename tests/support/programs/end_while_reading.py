"""Ends, in one of several ways, while a stream of batches is alive.

Arguments: the path of an array, the way, and "plain" or "transform".
"""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import threading
import time

import numpy as np

import npyfast

path, way, kind = sys.argv[1:]
X = np.load(path)
options = {"epochs": -1}
source = {"a": {"b": path}, "c": X}
if kind == "transform":
    source = path
    options |= {"transform": lambda x: x + 1, "transform_threads": 3}
stream = iter(npyfast.batches(source, 10, True, **options))
next(stream)
print("reading", flush=True)


def read(batches=None):
    for _ in itertools.islice(stream, batches):
        pass


def read_rows():
    rows = npyfast.open(X)
    while True:
        rows[:]


match way:
    case "returns":
        pass
    case "sys.exit":
        sys.exit()
    case "os._exit":
        os._exit(0)
    case "kept by a module":
        sys.modules["kept"] = stream, next(stream)
    case "read at the exit":
        atexit.register(read, 99)
    case "in a cycle":
        cycle = [stream]
        cycle.append(cycle)
        del stream
    case "read by a thread":
        threading.Thread(target=read, args=(1000,)).start()
    case "read by daemons":
        for _ in range(2):
            threading.Thread(target=read, daemon=True).start()
        time.sleep(0.05)
    case "rows read by a daemon":
        threading.Thread(target=read_rows, daemon=True).start()
        time.sleep(0.05)
    case _:
        raise ValueError(way)
