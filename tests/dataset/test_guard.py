"""A page that can't be read is an error whoever had the signal before: both libraries of npyfast
have a guard, and others come and go around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import processes
import pytest

pytestmark = pytest.mark.usefixtures("native")

SCRIPT = """
    import faulthandler, itertools, os, signal, sys, warnings
    import numpy as np
    import npyfast
    import tensorflow as tf

    def truncate(path):
        size = os.path.getsize(path)
        os.truncate(path, 4096)
        return size

    def core():
        iterator = iter(npyfast.batches(sys.argv[1], 32, epochs=-1, seed=1))
        next(iterator)
        size = truncate(sys.argv[1])
        try:
            for batch in iterator: assert batch.all()
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
            for batch in iterator: assert batch.numpy().all()
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
"""


@pytest.mark.parametrize("length", [1, 2])
def test_any_order_of_handlers(tmp_path: Any, length: int) -> None:
    out, _ = processes.finish(
        processes.start(SCRIPT, tmp_path / "a.npy", tmp_path / "b.npy", length, backend="native")
    )
    assert out == "fine"


ROUNDING = """
    import os, sys
    import numpy as np
    import npyfast

    ctypes = __import__("ctypes")
    libm = ctypes.CDLL("libm.so.6")
    UPWARD = 0x800
    X = np.ones((4096, 1024), "u1")
    np.save(sys.argv[1], X)
    rows = npyfast.open(npyfast.source(sys.argv[1], cast="f4", scale=0.1))
    rows[:8]
    assert libm.fesetround(UPWARD) == 0
    os.truncate(sys.argv[1], 4096)
    try:
        rows[1000:1032]
    except npyfast.NpyFormatError:
        pass
    else:
        raise AssertionError
    assert libm.fegetround() == UPWARD
    print("fine")
"""


@pytest.mark.skipif(np.dtype("P").itemsize != 8, reason="the number is that of x86-64")
def test_how_a_thread_rounds(tmp_path: Any) -> None:
    """A fault in the midst of a cast leaves the thread as it was."""
    assert processes.run(ROUNDING, tmp_path / "a.npy", backend="native") == "fine"
