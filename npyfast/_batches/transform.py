"""The option `transform`: a Python function that is called with each element.

`Transformed` calls it in the reader's thread, `npyfast._batches.threaded_transform` in threads.

CPython raises KeyboardInterrupt in the main thread, and switches threads, only where a Python
function begins, after a call, and where a loop jumps back. So whatever was taken from the stream is
stored where the next read finds it. Counting an element and handing it over are the last steps,
without a call between them: an element that was not handed over is not counted, and comes again.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from npyfast._backends.interface import Stream
from npyfast._batches.delivered_counters import TransformCounters

Transform = Callable[[Any], Any]


def check_parameters(transform: Transform) -> None:
    """Raises ValueError unless the function can be called with one argument."""
    try:
        signature = inspect.signature(transform)
    except (TypeError, ValueError):  # of some functions in C
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(transform, "__name__", type(transform).__name__)
        raise ValueError(
            f"transform is called with one argument, the batch, which {name}{signature} does not "
            "take; the batch of several arrays is one tuple: `x, y = batch` takes it apart"
        ) from None


def apply(transform: Transform, element: Any) -> Any:
    """Calls the function with an element."""
    try:
        return transform(element)
    except StopIteration as error:
        # It would end the iteration silently, and the remaining rows would be lost.
        raise RuntimeError("the transform raised StopIteration") from error


def as_it_is(element: Any) -> Any:
    """The transform that changes nothing, for elements that are only made ahead."""
    return element


class Transformed:
    """A stream of transformed elements. The reader's thread calls the function.

    An Exception takes the place of its element. Any other exception, such as KeyboardInterrupt,
    does not: the function is called again for the same element.
    """

    def __init__(self, stream: Stream, transform: Transform, counters: TransformCounters) -> None:
        self.position = 0
        self._stream = stream
        self._transform = transform
        self._counters = counters
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
                taken.extend(islice(self._stream, 1))  # one call: an interrupt loses nothing
            if taken:
                begin = time.perf_counter_ns()
                made = apply(self._transform, taken[0])
                spent_ns = time.perf_counter_ns() - begin
                self._counters.waits += 1
                self._counters.transform_ns += spent_ns
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
