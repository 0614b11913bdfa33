"""Truncates files while both libraries read, after other handlers of SIGBUS were installed, in any
order."""

import faulthandler
import itertools
import os
import signal
import sys

import numpy as np
import tensorflow as tf

import npyfast


def truncate(path):
    os.truncate(path, 4096)


def core():
    iterator = iter(npyfast.batches(sys.argv[1], 32, epochs=-1, seed=1))
    next(iterator)
    truncate(sys.argv[1])
    try:
        for batch in iterator:
            assert batch.all()
    except npyfast.NpyFormatError as error:
        assert "truncated" in str(error)
    else:
        raise AssertionError
    finally:
        del iterator
    np.save(sys.argv[1], X)


def graph():
    iterator = iter(npyfast.dataset(sys.argv[2], 32, epochs=-1, seed=1, engine="graph"))
    next(iterator)
    truncate(sys.argv[2])
    try:
        for batch in iterator:
            assert batch.numpy().all()
    except tf.errors.DataLossError as error:
        assert "truncated" in str(error)
    else:
        raise AssertionError
    finally:
        del iterator
    np.save(sys.argv[2], X)


def other():
    signal.signal(signal.SIGBUS, lambda *_: None)


X = np.ones((2048, 256), "u4")
for path in sys.argv[1:3]:
    np.save(path, X)
ours = [core, graph]
theirs = [faulthandler.enable, faulthandler.disable, other, core, graph]
for order in itertools.permutations(theirs, int(sys.argv[3])):
    for step in order:
        step()
    for read in ours:
        read()
print("fine")
