"""Keeps Python's garbage collector off the threads in which TensorFlow runs generators.

An iterator of `tf.data` in a reference cycle, for example with the traceback of an error, is
destroyed by the collector, on the thread whose allocation started the collection. The destructor
waits for the iterator's prefetching thread. If that thread is itself waiting for a generator which
runs on this very thread, both wait forever. Once all threads of TensorFlow's pool are lost this
way, training hangs. So a thread of npyfast makes the collections that such a thread starts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

# A full collection holds the GIL. The thread makes one as soon as collections take at most this
# share of the time, or after this many requests. Each stands for 700 new objects or more.
_SHARE = 0.01
_REQUESTS = 500
_PROGRAMS_OWN_SECONDS = 1.0

_threads: set[int] = set()  # of TensorFlow that have run a generator; its pools keep theirs
_here = threading.local()  # for a thread of Python's: known to be one
_requests: queue.SimpleQueue[None] = queue.SimpleQueue()  # may be filled within a collection
_frozen = False
_programs_own_until = 0.0
_started = threading.Lock()


def keep_off_this_thread() -> None:
    """Keeps this thread from starting collections, unless Python started the thread itself."""
    if getattr(_here, "of_python", False):
        return
    ident = threading.get_ident()
    if any(thread.ident == ident for thread in _threads_of_python()):
        _here.of_python = True
        _threads.discard(ident)  # of a thread that has ended
        return
    _threads.add(ident)
    if _started.acquire(blocking=False):  # never released: once in a process
        gc.callbacks.append(_collecting)
        threading.Thread(target=_collect, name="npyfast-garbage", daemon=True).start()


def _threads_of_python() -> Iterator[threading.Thread]:
    # Other threads may have a _DummyThread too, for example after logging.
    dummy = threading._DummyThread
    return (thread for thread in threading.enumerate() if not isinstance(thread, dummy))


def _collecting(phase: str, info: dict[str, Any]) -> None:
    """Empties the collection that begins, if a thread of TensorFlow started it."""
    global _frozen, _programs_own_until
    if phase == "stop":
        if _frozen:
            _frozen = False
            gc.unfreeze()
            _requests.put(None)
    elif threading.get_ident() in _threads and time.monotonic() >= _programs_own_until:
        # Objects that the program has frozen could not be told from those frozen here. Counting
        # many of them takes milliseconds.
        if gc.get_freeze_count() != 0:
            _programs_own_until = time.monotonic() + _PROGRAMS_OWN_SECONDS
        else:
            gc.freeze()
            _frozen = True


def _collect() -> None:
    while True:
        begin = time.monotonic()
        gc.collect()
        end = time.monotonic()
        _wait_until_due(end + (end - begin) / _SHARE)


def _wait_until_due(latest: float) -> None:
    """Waits for a request, then until it is time for a collection or there are many requests."""
    _requests.get()
    with contextlib.suppress(queue.Empty):
        for _ in range(_REQUESTS):
            _requests.get(timeout=max(0.0, latest - time.monotonic()))


def _start_over() -> None:
    """Starts over in a forked child, where the threads are gone and others may get their idents."""
    global _requests, _frozen, _started
    _threads.clear()
    _requests, _frozen, _started = queue.SimpleQueue(), False, threading.Lock()
    with contextlib.suppress(ValueError):
        gc.callbacks.remove(_collecting)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
