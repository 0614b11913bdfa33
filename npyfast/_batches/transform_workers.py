"""The threads that run a transform, ahead of the reader."""

from __future__ import annotations

import _thread
import atexit
import os
import threading
import time
from collections import deque
from itertools import islice
from queue import SimpleQueue
from typing import Any

from npyfast._backends.interface import Stream
from npyfast._batches.living import Living
from npyfast._batches.pending import END, Outcome, Pending
from npyfast._batches.transform import Transform, apply, as_it_is
from npyfast._nest import leaves

# Elements made ahead for each thread: the one that it works on, and one that waits while an earlier
# one takes longer.
_AHEAD = 2

# Seconds after which a reader checks again whether the element it waits for can still come.
_RECHECK_SECONDS = 0.1

# Seconds for which the exit of the interpreter waits for running calls. Python stops threads
# that are still running then, on which some C++ code aborts the process.
_EXIT_SECONDS = 2.0


class _Requests:
    """All that an idle thread refers to. It leads neither to the function nor to a reader, so that
    these can be garbage-collected, which stops the threads."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[tuple[Workers, Pending] | None] = SimpleQueue()  # None: stop
        self._taking = threading.Lock()  # held while an element is taken, which fixes the order

    def serve(self) -> None:
        while self.serve_one():
            pass

    def serve_one(self) -> bool:
        """Makes the next requested element; False if there will be no more requests."""
        with self._taking:
            request = self.queue.get()
            if request is None:
                self.queue.put(None)  # for the next thread
                return False
            workers, pending = request
            if pending.begun or workers.stopped:
                return True
            pending.begun = True
            outcome = workers.take(pending.taken)
        if outcome is None:
            outcome = workers.transformed(pending.taken[0])
        if outcome.items:
            pending.taken.clear()
        pending.outcome = outcome
        pending.done.release()
        # An error's traceback refers to this frame, which must not refer to the element.
        del request, pending, outcome
        return True


class Workers:
    """The threads of one iteration, and the elements that they make.

    Refers to nothing of the reader's, so that an abandoned iterator can be garbage-collected while
    the threads work.
    """

    def __init__(self, stream: Stream, transform: Transform, threads: int) -> None:
        self.coming: deque[Pending] = deque()  # in order; readers add and remove them
        self.stopped = False
        # Whether there are no threads, so that readers must make the elements themselves.
        self.alone = _exiting
        self._stream = stream
        self._transform = transform
        self._most_threads = threads
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._requests = _Requests()

    def first(self) -> Pending:
        """The next element in order. Requests enough of the following ones, too."""
        while len(self.coming) <= _AHEAD * self._most_threads:
            self.coming.append(Pending([]))
        for pending in self.coming.copy():
            if not pending.requested:
                # After an interrupt here it is requested twice, which does no harm.
                self._requests.queue.put((self, pending))
                pending.requested = True
        return self.coming[0]

    def await_or_make(self, pending: Pending) -> None:
        """Returns when the element is made, or after a moment."""
        if not self._threads and not self.alone:
            try:
                # A thread starts the others: here Ctrl-C could interrupt the start, and leave
                # Python-level locks of the threading module locked.
                _thread.start_new_thread(self._start, ())
            except RuntimeError:  # no threads are available, or not any more
                self.alone = True
        if self.alone:
            self._requests.serve_one()
        elif pending.done.acquire(timeout=_RECHECK_SECONDS):
            pending.done.release()  # for other readers

    def _start(self) -> None:
        _running.add(self)
        with self._starting:
            while not (self.stopped or _exiting) and len(self._threads) < self._most_threads:
                name = f"npyfast-transform_{len(self._threads)}"
                # A daemon, so that a hanging call does not keep the interpreter from exiting.
                thread = threading.Thread(target=self._requests.serve, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    break
                self._threads.append(thread)
            self.alone = not self._threads

    def take(self, taken: list[Any]) -> Outcome | None:
        """Takes an element from the stream unless `taken` holds one; the outcome if there is
        none."""
        try:
            if not taken:
                taken.extend(islice(self._stream, 1))
        except BaseException as error:
            if self.alone and not isinstance(error, Exception):
                raise  # Ctrl-C
            return Outcome(error=error)
        return None if taken else END

    def transformed(self, element: Any) -> Outcome:
        """Calls the function with an element."""
        columns = list(leaves(element))
        rows = len(columns[0]) if columns else 0  # a structure without fields has no columns
        count = (1, 1, rows, sum(column.nbytes for column in columns))
        before = serving()
        _this_thread.workers = self
        begin = time.perf_counter_ns()
        try:
            made = apply(self._transform, element)
            timed = self._transform is not as_it_is
            return Outcome(made, None, *count, time.perf_counter_ns() - begin if timed else 0)
        except Exception as error:
            return Outcome(None, error, *count)
        except BaseException as error:
            return Outcome(error=error, items=0)
        finally:
            _this_thread.workers = before

    def stop(self) -> None:
        """Makes the threads end after the calls that are running."""
        self.stopped = True
        self._requests.queue.put(None)
        self._stream.close()

    def join(self, end: float | None = None) -> None:
        """Waits until the threads have ended, or until time.monotonic() is `end`."""
        with self._starting:
            threads = self._threads.copy()
        for thread in threads:
            thread.join(None if end is None else max(0, end - time.monotonic()))


_this_thread = threading.local()


def serving() -> Workers | None:
    """The workers for which this thread is running the function."""
    workers: Workers | None = getattr(_this_thread, "workers", None)
    return workers


_running: Living[Workers] = Living()  # those that have threads
_exiting = False


def _exit() -> None:
    """Stops all threads before the interpreter is finalized, after which none runs safely. A daemon
    thread of the program may read on, and must not start new ones."""
    global _exiting
    _exiting = True
    running = list(_running)
    for workers in running:
        workers.stop()
    end = time.monotonic() + _EXIT_SECONDS
    for workers in running:
        workers.join(end)


atexit.register(_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # the child has none of the threads
