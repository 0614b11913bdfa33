"""Errors as the command line shows them."""

from __future__ import annotations

import os

from npyfast._errors import printable


def explain(error: BaseException) -> str:
    """An error in one line, without the errno that Python puts before system errors."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    return printable(" ".join(text.split()))
