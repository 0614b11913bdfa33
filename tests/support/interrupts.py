"""KeyboardInterrupt at each moment at which CPython may raise it, one after the other."""

from __future__ import annotations

import dis
import functools
import gc
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


@functools.cache
def _names(code: CodeType) -> dict[int, str]:
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


def _is_checked(code: CodeType, before: int | None, now: int) -> bool:
    """Whether CPython looks for signals between two steps of a function: as it begins, after a
    call, and where it jumps back."""
    if before is None or now <= before:
        return True
    name = _names(code).get(before, "an exception")
    return name.startswith("CALL") or name == "RESUME"


def _is_unheard(frame: FrameType | None) -> bool:
    """Whether what it raises goes nowhere: a finalizer, or the callback of a weak reference."""
    while frame is not None:
        if frame.f_code.co_name in ("__del__", "_remove", "remove", "gc_collect"):
            return True
        frame = frame.f_back
    return False


class Injector:
    """Runs functions, and interrupts what they call at the k-th moment of all of them together.

    `left` is how many moments are still to come before.
    """

    def __init__(self, moment: int) -> None:
        self.left = moment
        self.place = ""  # where it happened, for messages

    @property
    def is_done(self) -> bool:
        """Whether it has interrupted."""
        return self.place != ""

    def call(self, function: Callable[[], Any]) -> Any:
        if self.is_done:
            return function()
        # What it raises in the callbacks of other packages (gc.callbacks) goes nowhere.
        collects = gc.isenabled()
        gc.disable()
        sys.settrace(self._enter)
        try:
            return function()
        finally:
            sys.settrace(None)
            if collects:
                gc.enable()

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self.is_done or _is_unheard(frame):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        before: int | None = None

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            if event == "opcode":
                checked = _is_checked(frame.f_code, before, frame.f_lasti)
                before = frame.f_lasti
                if checked and not self.is_done:
                    self._count(frame)
            elif event == "exception":
                before = -1  # on the way to its handler signals are looked for nowhere
            return step

        return step

    def _count(self, frame: FrameType) -> None:
        self.left -= 1
        if self.left < 0:
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}, {frame.f_code.co_qualname}"
            raise KeyboardInterrupt
