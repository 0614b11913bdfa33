"""Ending the reads of TensorFlow's threads before the interpreter is finalized.

TensorFlow destroys an iterator that is still alive late in Python's finalization, and waits there
for its threads. A thread that enters Python by then never returns, so the process would hang.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator
from typing import Any

from npyfast._batches.living import Living
from npyfast._engines.garbage import keep_off_this_thread

# The longest wait for calls in progress, and how long none may have been in progress: after a call,
# TensorFlow spends some more microseconds in Python.
_SECONDS = 2.0
_QUIET_SECONDS = 0.03

_alive: Living[UntilExit] = Living()
_ending = False


class UntilExit:
    """An iterator over the same elements, which stops when the interpreter begins to exit.

    The first read after that raises RuntimeError, because a silent stop would look like the end of
    the data. Later reads raise StopIteration.
    """

    def __init__(self, stream: Iterator[Any]) -> None:
        self._stream = stream
        self._told = False
        self.running = False
        _alive.add(self)

    def __iter__(self) -> UntilExit:
        return self

    def __next__(self) -> Any:
        if _ending:
            if self._told:
                raise StopIteration
            self._told = True
            raise RuntimeError("the interpreter is shutting down")
        keep_off_this_thread()
        self.running = True
        try:
            return next(self._stream)
        finally:
            self.running = False


def _end() -> None:
    global _ending
    _ending = True
    end = time.monotonic() + _SECONDS
    quiet_since = time.monotonic()
    while any(True for _ in _alive) and quiet_since + _QUIET_SECONDS > time.monotonic() < end:
        time.sleep(0.001)
        if any(each.running for each in _alive):
            quiet_since = time.monotonic()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alive.clear)  # no thread is left that could be reading
