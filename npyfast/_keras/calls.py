"""For what Keras calls a dataset.

Keras says `on_epoch_end` when an epoch has ended; but also before the first one, after it has
looked at some batches (`EpochIterator.reset`), and with `steps_per_epoch` in the middle of the
data. It passes nothing that would tell these apart, so the calling frames have to.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, NamedTuple


class Call(NamedTuple):
    """A call of on_epoch_end."""

    reason: Literal["start", "end", "user"]  # Keras starts reading; Keras ends an epoch; not Keras
    adapter: Any = None  # Keras' reader of the dataset


def epoch_end_call() -> Call:
    """Who calls on_epoch_end, and why. Where a later Keras does so from another place, it counts as
    the end of an epoch."""
    frame = sys._getframe(2)
    by_keras = _module(frame).startswith("keras.")
    while frame is not None:
        if frame.f_code.co_name == "on_epoch_end" and _module(frame).endswith("_dataset_adapter"):
            caller = frame.f_back
            starts = caller is not None and caller.f_code.co_name == "reset"
            return Call("start" if starts else "end", frame.f_locals.get("self"))
        frame = frame.f_back  # type: ignore[assignment]  # None above the outermost
    return Call("end" if by_keras else "user")


def asks_for_all_epochs() -> bool:
    """Whether Keras asks for the number of batches of every epoch, rather than of the next one."""
    frame = sys._getframe(2)
    return frame.f_code.co_name == "num_batches" and _module(frame).startswith("keras.")


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", ""))
