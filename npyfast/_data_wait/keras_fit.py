"""Measures the batches of `keras.Model.fit`.

With TensorFlow, Keras takes a batch inside the compiled function that trains on it, so time between
two callbacks measures nothing. The loop of `fit` is over an EpochIterator; the iterator of batches
that this makes for each epoch is replaced by one that measures. It lives no longer than `fit`, and
the model is left as it is.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from npyfast._data_wait.meter import Meter, clock
from npyfast._data_wait.timed import FetchTimer

# Strategies of tf.distribute with which the steps begin and end in this process.
_STRATEGIES = (
    *("_DefaultDistributionStrategy", "OneDeviceStrategy", "MirroredStrategy"),
    *("MirroredStrategyV1", "CollectiveAllReduceStrategy"),
)


class NotMeasurable(Exception):
    """Why the waits of this training cannot be measured, and what to do."""


def measure_fit(model: Any, meter: Callable[[], Meter | None]) -> None:
    """Measures the batches of the `fit` that is calling; `meter` gives the meter of an epoch.

    Raises NotMeasurable.
    """
    iterator = _epoch_iterator()
    steps = getattr(model, "steps_per_execution", 1)
    if steps != 1:
        raise NotMeasurable(
            f"steps_per_execution={steps} takes several batches within one call of a compiled "
            "function; compile with steps_per_execution=1 to measure"
        )
    backend = sys.modules["keras"].backend.backend()
    end: Callable[[], BaseException] = StopIteration
    if backend == "tensorflow":
        _check_tensorflow(model)
        end = _out_of_range
    _replace(iterator, meter, end)


def _epoch_iterator() -> Any:
    """The EpochIterator of the `fit` that is calling, which Keras hands to no callback."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and _package(frame) == "keras":
            found = frame.f_locals.get("epoch_iterator")
            if callable(getattr(type(found), "_get_iterator", None)):
                return found
        frame = frame.f_back
    raise NotMeasurable(
        "it was not called by a `fit` of Keras 3 that it knows; in a loop of your own, iterate "
        "over `wait(dataset)`"
    )


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _check_tensorflow(model: Any) -> None:
    """Raises NotMeasurable unless the function that trains takes batches from any iterator."""
    code = getattr(model.train_function, "__code__", None)
    if code is None or "one_step_on_data" not in code.co_freevars:
        raise NotMeasurable(
            "the model or this version of Keras has a train_function that takes batches in a way "
            "of its own; npyfast.statistics measures npyfast's datasets"
        )
    strategy = type(model.distribute_strategy).__name__
    if strategy not in _STRATEGIES:
        raise NotMeasurable(
            f"{strategy} takes the batches in other processes or on other devices; "
            "npyfast.statistics measures npyfast's datasets"
        )


def _out_of_range() -> BaseException:
    """How the end of a dataset reaches `fit` with TensorFlow: a StopIteration would only end the
    loop over the steps of one call, before it has a result."""
    error: BaseException = sys.modules["tensorflow"].errors.OutOfRangeError(
        None, None, "End of sequence"
    )
    return error


def _replace(
    iterator: Any, meter: Callable[[], Meter | None], end: Callable[[], BaseException]
) -> None:
    """Lets an EpochIterator make iterators that measure."""
    # No cycle: the iterator must end, and close its files, when `fit` drops it.
    held = weakref.ref(iterator)
    make = type(iterator)._get_iterator
    replaced = vars(iterator).get("_get_iterator")  # by another DataWait

    class Measured:
        """What the EpochIterator calls iter() of."""

        def __iter__(self) -> Iterator[Any]:
            opened = clock()
            made = replaced() if replaced is not None else make(held())
            return FetchTimer(iter(made), opened, meter, end)

    iterator._get_iterator = Measured
