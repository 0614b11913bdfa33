"""The option `transform`: a Python function goes over each element, by one thread or several.

CPython raises KeyboardInterrupt in the main thread, and changes threads, where a Python function
begins, after a call, and where a loop jumps back; nowhere else. So what was taken from the stream
is kept where the next read finds it, and to count an element and to hand it over are the last
steps, without a call between them: it has been counted and handed over, or it comes again.
"""

from __future__ import annotations

import _thread
import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple

from npyfast._backends.interface import Counters, Stream
from npyfast._batches.living import Living
from npyfast._nest import leaves

Transform = Callable[[Any], Any]

# Elements that are made before the reader has come for them, for each thread: one that it works on,
# and one that waits while an earlier one takes longer.
_AHEAD = 2

# After so many seconds a reader looks again whether what it waits for is still to come.
_LOOK_AGAIN = 0.1

# So many seconds the end of the interpreter waits for calls of the function. Python stops a thread
# that is not at its end by then, which some C++ turns into the abortion of the process.
_LAST_CALLS = 2.0


def apply(transform: Transform, element: Any) -> Any:
    """What the function makes of an element."""
    try:
        return transform(element)
    except StopIteration as error:
        # It would end the iteration without a word, and lose every row behind.
        raise RuntimeError("the transform raised StopIteration") from error


class Transformed:
    """A stream of elements that a function has gone over, each when it is asked for.

    An error is raised in the place of its element. What is no Exception interrupts: the element has
    not been handed over, and the function is called for it again.
    """

    def __init__(self, stream: Stream, transform: Transform) -> None:
        self.position = 0
        self._stream = stream
        self._transform = transform
        self._interrupted: list[Any] = []  # elements

    def __iter__(self) -> Transformed:
        return self

    def __next__(self) -> Any:
        taken: list[Any] = []
        try:
            if self._interrupted:
                taken += self._interrupted[:1]
                del self._interrupted[:1]
            else:
                taken.extend(islice(self._stream, 1))  # a call that leaves nothing behind
            if taken:
                made = apply(self._transform, taken[0])
                self.position += 1
                return made
        except Exception:
            self.position += 1
            raise
        except BaseException:
            self._interrupted += taken
            raise
        raise StopIteration

    def close(self) -> None:
        self._stream.close()
        self._interrupted = []


class _Made(NamedTuple):
    """What has become of an element, and what there is to count of it."""

    element: Any = None
    error: BaseException | None = None  # raised in its place
    items: int = 1  # 0 with an error: interrupted; and without one: the end of the stream
    batches: int = 0  # none if the stream itself failed
    rows: int = 0
    bytes: int = 0


_END = _Made(items=0)


class _Slot:
    """Where an element will lie once it is made."""

    __slots__ = ("asked_for", "begun", "done", "made", "taken")

    def __init__(self, taken: list[Any]) -> None:
        self.taken = taken  # from the stream: the element, if it is there
        self.asked_for = self.begun = False
        self.made: _Made | None = None
        self.done = threading.Lock()  # held until it is made
        self.done.acquire()


class _Tasks:
    """What a thread that waits for work knows. It leads neither to the function nor to a reader, so
    that these can be collected; with them, its end comes."""

    def __init__(self) -> None:
        self.asked_for: SimpleQueue[tuple[_Work, _Slot] | None] = SimpleQueue()  # None: stop
        self.taking = threading.Lock()

    def run(self) -> None:
        while self.make_one():
            pass

    def make_one(self) -> bool:
        """Makes the next element that is asked for; False if there will be no other."""
        with self.taking:
            task = self.asked_for.get()
            if task is None:
                self.asked_for.put(None)  # for the next thread
                return False
            work, slot = task
            if slot.begun or work.stopped:
                return True
            slot.begun = True
            made = work.take(slot.taken)
        if made is None:
            made = work.transformed(slot.taken[0])
        if made.items:
            slot.taken.clear()
        slot.made = made
        slot.done.release()
        # An error knows this frame by its traceback: it must not be found from here.
        del task, slot, made
        return True


class _Work:
    """What the threads of an iteration share. It refers to nothing of the reader's, so that an
    iterator that nobody reads any more can be collected while they are at work."""

    def __init__(self, stream: Stream, transform: Transform, threads: int) -> None:
        self.coming: deque[_Slot] = deque()  # in order; the readers add and remove them
        self.stopped = False
        # The readers have to make the elements themselves.
        self.alone = _ending
        self._stream = stream
        self._transform = transform
        self._most_threads = threads
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._tasks = _Tasks()

    def first(self) -> _Slot:
        """The element whose turn it is; sees to it that enough others are asked for."""
        while len(self.coming) <= _AHEAD * self._most_threads:
            self.coming.append(_Slot([]))
        for slot in self.coming.copy():
            if not slot.asked_for:
                # Once more, after an interrupt here, does nothing.
                self._tasks.asked_for.put((self, slot))
                slot.asked_for = True
        return self.coming[0]

    def await_or_make(self, slot: _Slot) -> None:
        """Returns when an element is made, or after a moment."""
        if not self._threads and not self.alone:
            try:
                # A thread starts the others, because Ctrl-C would interrupt us in the middle of it,
                # in Python-level locks of the module threading.
                _thread.start_new_thread(self._start, ())
            except RuntimeError:  # there is none to be had, or none any more
                self.alone = True
        if self.alone:
            self._tasks.make_one()
        elif slot.done.acquire(timeout=_LOOK_AGAIN):
            slot.done.release()  # for others that wait

    def _start(self) -> None:
        _works.add(self)
        with self._starting:
            while not (self.stopped or _ending) and len(self._threads) < self._most_threads:
                name = f"npyfast-transform_{len(self._threads)}"
                # A daemon, so that a call that hangs doesn't keep the interpreter from ending.
                thread = threading.Thread(target=self._tasks.run, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    break
                self._threads.append(thread)
            self.alone = not self._threads

    def take(self, taken: list[Any]) -> _Made | None:
        """Takes an element from the stream, if it is not there; what became of it if that fails."""
        try:
            if not taken:
                taken.extend(islice(self._stream, 1))
        except BaseException as error:
            if self.alone and not isinstance(error, Exception):
                raise  # Ctrl-C
            return _Made(error=error)
        return None if taken else _END

    def transformed(self, element: Any) -> _Made:
        """What the function makes of an element."""
        columns = list(leaves(element))
        rows = len(columns[0]) if columns else 0  # none of a structure without fields
        count = (1, 1, rows, sum(column.nbytes for column in columns))
        before = _working_for()
        _this_thread.work = self
        try:
            return _Made(apply(self._transform, element), None, *count)
        except Exception as error:
            return _Made(None, error, *count)
        except BaseException as error:
            return _Made(error=error, items=0)
        finally:
            _this_thread.work = before

    def stop(self) -> None:
        """Lets the threads end after the calls that have begun."""
        self.stopped = True
        self._tasks.asked_for.put(None)
        self._stream.close()

    def join(self, end: float | None = None) -> None:
        """Waits until the threads have ended, or time.monotonic() has come to `end`."""
        with self._starting:
            threads = self._threads.copy()
        for thread in threads:
            thread.join(None if end is None else max(0, end - time.monotonic()))


_this_thread = threading.local()


def _working_for() -> _Work | None:
    """The work that this thread is running the function for."""
    work: _Work | None = getattr(_this_thread, "work", None)
    return work


class TransformedByThreads:
    """A stream of elements that several threads run a function on, ahead of the reader, who gets
    them in their order.

    Few elements are made ahead, whatever the reader does. Errors and interrupts are as those of
    Transformed. Several readers may share a stream. Once it has ended, is closed, or is referred to
    by nobody, its threads end too. In a forked child, which has none of them, it starts over where
    its reader was.
    """

    def __init__(
        self,
        begin: Callable[[int], Stream],
        transform: Transform,
        threads: int,
        counters: DeliveredCounters,
        check: Callable[[], None],
    ) -> None:
        """`begin(position)` is the stream of what comes after so many elements; `check()` raises
        what takes the place of an element that was made before a file was changed."""
        self.position = 0  # elements that a reader has been given
        self._begin = begin
        self._transform = transform
        self._threads = threads
        self._counters = counters
        self._check = check
        self._closed = False
        self._work: _Work | None = None
        self._work = self._working()
        counters.streams.add(self)
        _streams.add(self)

    def start_over(self) -> None:
        """Forgets all threads and all that they have made."""
        self._work = None

    def __iter__(self) -> TransformedByThreads:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter_ns()
        wait_ns = 0
        if self._work is not None and _working_for() is self._work:
            # It would wait for itself.
            raise RuntimeError("a transform can't read the iterator that it is run for")
        while not self._closed:
            work = self._working()
            slot = work.first()
            made = slot.made
            if made is None:
                self._await_or_make(work, slot)
                wait_ns = time.perf_counter_ns() - begin
                continue
            if made is _END:
                self.close()
                break
            again = None if made.items else _Slot(slot.taken)
            if made.error is None:
                made = self._checked(made)
            # No call from here on.
            if self._work is not work or work.coming[0] is not slot:
                continue  # another reader was faster
            if again is not None:
                work.coming[0] = again
            else:
                del work.coming[0]
            counters = self._counters
            counters.batches += made.batches
            counters.rows += made.rows
            counters.bytes += made.bytes
            counters.waits += wait_ns > 0
            counters.wait_ns += wait_ns
            self.position += made.items
            if made.error is None:
                return made.element
            try:
                raise made.error
            finally:
                del made, slot  # the error's traceback has this frame
        raise StopIteration

    def _checked(self, made: _Made) -> _Made:
        """An element, or the error in its place: the stream has looked at the files when it gave
        the element to a thread, which may be many seconds ago."""
        try:
            self._check()
        except Exception as error:
            return _Made(error=error)
        return made

    def _working(self) -> _Work:
        """The work that is done for the readers now."""
        while self._work is None or self._work.stopped:
            position = self.position
            work = _Work(self._begin(position), self._transform, self._threads)
            if self.position == position:
                self._work = work
        return self._work

    def _await_or_make(self, work: _Work, slot: _Slot) -> None:
        try:
            work.await_or_make(slot)
        except BaseException:
            if work.alone:
                self._work = None  # what was being made is nowhere
            raise

    def ready(self) -> int:
        """The elements that lie ready."""
        work = self._work
        if self._closed or work is None:
            return 0
        return sum(slot.made.items for slot in work.coming.copy() if slot.made is not None)

    def close(self) -> None:
        """Ends the iteration, and waits for the calls of the function that have begun."""
        work = self._stop()
        if work is not None and work is not _working_for():
            work.join()

    def _stop(self) -> _Work | None:
        self._closed = True
        if self._work is not None:
            self._work.stop()
        return self._work

    def __del__(self) -> None:
        # Without waiting: it may be one of the threads that collects garbage.
        self._stop()


class DeliveredCounters:
    """Counts the elements that readers of transformed streams have been given; see Counters."""

    def __init__(self, taken: Counters) -> None:
        self.taken = taken  # by threads, perhaps for nobody
        self.streams: Living[TransformedByThreads] = Living()  # that elements may lie ready in
        self.batches = self.rows = self.bytes = self.waits = self.wait_ns = 0

    def counters(self) -> tuple[int, ...]:
        *_, needed_bytes, read_bytes = self.taken.counters()
        ahead = sum(stream.ready() for stream in self.streams)
        counted = (self.batches, self.rows, self.bytes, self.waits, self.wait_ns)
        return *counted, ahead, needed_bytes, read_bytes


_streams: Living[TransformedByThreads] = Living()
_works: Living[_Work] = Living()  # that threads work for
_ending = False


def _start_over() -> None:
    """In a forked child: no thread is left, and locks may be held by those that are gone."""
    for stream in _streams:
        stream.start_over()
    _works.clear()


def _end() -> None:
    """Before the interpreter ends: with it ends what threads can do safely. A daemon of the program
    may read on, and must start none."""
    global _ending
    _ending = True
    works = list(_works)
    for work in works:
        work.stop()
    end = time.monotonic() + _LAST_CALLS
    for work in works:
        work.join(end)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
