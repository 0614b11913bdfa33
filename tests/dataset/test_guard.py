"""A page that can't be read is an error whoever had the signal before: both libraries of npyfast
have a guard, and others come and go around them."""

from __future__ import annotations

import platform
from typing import Any

import processes
import pytest

pytestmark = pytest.mark.usefixtures("native")


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.slow
def test_any_order_of_handlers(tmp_path: Any, length: int) -> None:
    out, _ = processes.finish(
        processes.start(
            "two_guards.py", tmp_path / "a.npy", tmp_path / "b.npy", length, backend="native"
        )
    )
    assert out == "fine"


# FE_UPWARD of <fenv.h>, which Python does not have.
UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}


@pytest.mark.skipif(
    platform.machine() not in UPWARD, reason="the number of FE_UPWARD is not known here"
)
def test_how_a_thread_rounds(tmp_path: Any) -> None:
    """A fault in the midst of a cast leaves the thread as it was."""
    arguments = (tmp_path / "a.npy", UPWARD[platform.machine()])
    assert processes.run("rounding.py", *arguments, backend="native") == "fine"
