"""The option `transform`: a Python function goes over each element, by one thread or several."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from npyfast._backends import Counters, Stream
from npyfast._nest import leaves

Transform = Callable[[Any], Any]

# Elements that are made before the reader has come for them, for each thread: one that it works on,
# and one that waits while an earlier one takes longer.
_AHEAD = 2


def apply(transform: Transform, element: Any) -> Any:
    """What the function makes of an element."""
    try:
        return transform(element)
    except StopIteration as error:
        # It would end the iteration without a word, and lose every row behind.
        raise RuntimeError("the transform raised StopIteration") from error


class Transformed:
    """A stream of elements that a function has gone over, each when it is asked for."""

    def __init__(self, stream: Stream, transform: Transform) -> None:
        self._stream = stream
        self._transform = transform

    def __iter__(self) -> Transformed:
        return self

    def __next__(self) -> Any:
        return apply(self._transform, next(self._stream))

    @property
    def position(self) -> int:
        return self._stream.position

    def close(self) -> None:
        self._stream.close()


class _Made(NamedTuple):
    """What has become of an element, and what there is to count of it."""

    element: Any
    error: BaseException | None = None  # raised in its place
    batches: int = 0  # none if the stream itself failed
    rows: int = 0
    bytes: int = 0


# Where an element will lie once it is made; None at the end of the stream.
_Slot = Future[_Made | None]


class _Work:
    """What the threads of an iteration share. It refers to nothing of the reader's, so that an
    iterator that nobody reads any more can be collected while they are at work."""

    def __init__(self, stream: Stream, transform: Transform) -> None:
        self.stream = stream
        self.coming: deque[_Slot] = deque()  # in order; the reader adds and removes them
        self._transform = transform
        self._taking = threading.Lock()

    def make(self) -> None:
        """Makes the first element that nobody has begun with."""
        with self._taking:
            # A copy, which takes no step of Python's in which the reader could change it.
            for slot in self.coming.copy():
                # False where it has been cancelled.
                if not slot.running() and not slot.done() and slot.set_running_or_notify_cancel():
                    break
            else:
                return
            made: _Made | None
            try:
                made = _Made(next(self.stream), None, 1)
            except StopIteration:
                made = None
            except BaseException as error:
                made = _Made(None, error)
        if made is not None and made.batches:
            made = self._transformed(made.element)
        slot.set_result(made)
        # An error knows this frame by its traceback: it must not be found from here.
        del slot, made

    def _transformed(self, element: Any) -> _Made:
        columns = list(leaves(element))
        rows = len(columns[0]) if columns else 0  # none of a structure without fields
        count = (1, rows, sum(column.nbytes for column in columns))
        before = _working_for()
        _this_thread.work = self
        try:
            return _Made(apply(self._transform, element), None, *count)
        except BaseException as error:
            return _Made(None, error, *count)
        finally:
            _this_thread.work = before


_this_thread = threading.local()


def _working_for() -> _Work | None:
    """The work that this thread is running the function for."""
    work: _Work | None = getattr(_this_thread, "work", None)
    return work


class Progress:
    """How many elements a reader has been given: known for longer than the iterator lives."""

    def __init__(self) -> None:
        self.position = 0


class TransformedByThreads:
    """A stream of elements that several threads run a function on, ahead of the reader, who gets
    them in their order.

    Few elements are made ahead, whatever the reader does. An error is raised in the place of its
    element, and the stream goes on behind it. Several readers may share a stream. Once it has
    ended, is closed, or is referred to by nobody, its threads end too. In a forked child, which has
    none of them, it starts over where its reader was.
    """

    def __init__(
        self,
        begin: Callable[[int], Stream],
        transform: Transform,
        threads: int,
        counters: DeliveredCounters,
    ) -> None:
        """`begin(position)` is the stream of what comes after so many elements."""
        self.progress = Progress()
        self._begin = begin
        self._transform = transform
        self._threads = threads
        self._counters = counters
        self._closed = False
        self._work: _Work | None = None
        self.start_over()
        self._work = _Work(begin(0), transform)
        counters.add(self)
        _streams.add(self)

    def start_over(self) -> None:
        """Forgets all threads and all that they have made."""
        self._reading = threading.Lock()
        self._work = None
        self._executor: ThreadPoolExecutor | None = None
        self._asked_for = self._given_out = 0  # elements of this work

    def __iter__(self) -> TransformedByThreads:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter_ns()
        if self._work is not None and _working_for() is self._work:
            # It would wait for itself.
            raise RuntimeError("a transform can't read the iterator that it is run for")
        with self._reading:
            if self._closed:
                raise StopIteration
            ready = self._is_ready()
            coming = self._make_ahead()
            try:
                made = coming[0].result()  # which stays there if the wait is interrupted
            except CancelledError:
                made = None
            if made is None or self._closed:
                self.close()
                raise StopIteration
            coming.popleft()
            self._given_out += 1
            self.progress.position += made.batches
            self._counters.count(made, 0 if ready else time.perf_counter_ns() - begin)
            # Now, so that the threads have work while the reader has.
            self._make_ahead()
            del coming
        if made.error is None:
            return made.element
        try:
            raise made.error
        finally:
            del made  # the error's traceback has this frame

    def _is_ready(self) -> bool:
        """Whether the next element is there before the reader has come for it."""
        return self._work is not None and any(slot.done() for slot in [*self._work.coming][:1])

    def _make_ahead(self) -> deque[_Slot]:
        """The coming elements, of which it sees to it that enough are in the making."""
        if self._work is None:
            self._work = _Work(self._begin(self.position), self._transform)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, "npyfast-transform")
        coming = self._work.coming
        while len(coming) < _AHEAD * self._threads:
            coming.append(Future())
        # By their numbers, as Ctrl-C may have come in between; a call too many does nothing.
        while self._asked_for < self._given_out + len(coming):
            if not self._ask_for_one():
                break
        return coming

    def _ask_for_one(self) -> bool:
        """Whether a thread will make one; if not, it is made."""
        assert self._executor is not None
        assert self._work is not None
        try:
            self._executor.submit(self._work.make)
        except RuntimeError:
            # No thread can be started, or none any more because the interpreter ends.
            self._work.make()
            return False
        finally:
            self._asked_for += 1
        return True

    @property
    def position(self) -> int:
        return self.progress.position

    def ready(self) -> int:
        """The elements that lie ready."""
        if self._closed or self._work is None:
            return 0
        done = [slot for slot in self._work.coming.copy() if slot.done() and not slot.cancelled()]
        return sum(slot.result() is not None for slot in done)

    def close(self) -> None:
        """Ends the iteration, and waits for the calls of the function that have begun."""
        self._stop(wait=True)

    def _stop(self, wait: bool) -> None:
        self._closed = True
        executor, work = self._executor, self._work
        if work is None:
            return
        work.stream.close()
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
            for slot in work.coming.copy():
                slot.cancel()  # has no effect on those that a thread has begun with
            if wait:
                executor.shutdown()

    def __del__(self) -> None:
        # Without waiting: it may be one of the threads that collects garbage.
        self._stop(wait=False)


class DeliveredCounters:
    """Counts the elements that readers of transformed streams have been given; see Counters."""

    def __init__(self, taken: Counters) -> None:
        self.taken = taken  # by threads, perhaps for nobody
        self._streams: weakref.WeakSet[TransformedByThreads] = weakref.WeakSet()
        self._batches = self._rows = self._bytes = self._waits = self._wait_ns = 0
        self.start_over()

    def start_over(self) -> None:
        """Forgets who is counting."""
        self._counting = threading.Lock()

    def add(self, stream: TransformedByThreads) -> None:
        """Counts what lies ready in a stream as well."""
        with self._counting:
            self._streams.add(stream)

    def count(self, made: _Made, wait_ns: int) -> None:
        """Counts an element for which its reader has waited so long."""
        with self._counting:
            self._batches += made.batches
            self._rows += made.rows
            self._bytes += made.bytes
            self._waits += wait_ns > 0
            self._wait_ns += wait_ns

    def counters(self) -> tuple[int, ...]:
        *_, needed_bytes, read_bytes = self.taken.counters()
        with self._counting:
            ahead = sum(stream.ready() for stream in self._streams)
            counted = (self._batches, self._rows, self._bytes, self._waits, self._wait_ns)
        return *counted, ahead, needed_bytes, read_bytes


_streams: weakref.WeakSet[TransformedByThreads] = weakref.WeakSet()


def _start_over() -> None:
    """In a forked child: no thread is left, and locks may be held by those that are gone."""
    for stream in _streams:
        stream._counters.start_over()
        stream.start_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
