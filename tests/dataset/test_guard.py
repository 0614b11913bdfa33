"""A page that can't be read is an error whoever had the signal before: both libraries of npyfast
have a guard, and others come and go around them."""

from __future__ import annotations

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


def test_how_a_thread_rounds(tmp_path: Any) -> None:
    """A fault in the midst of a cast leaves the thread as it was."""
    assert processes.run("rounding.py", tmp_path / "a.npy", backend="native") == "fine"
