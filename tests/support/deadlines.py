"""Waiting for what threads will have done in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

# Of what never happens, and so fails: far beyond what the busiest machine takes. No defect is found
# by a shorter wait, and a machine that compiles beside the tests is no defect.
SECONDS = 300


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds; AssertionError if it never does."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)
