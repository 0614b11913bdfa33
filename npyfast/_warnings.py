"""Warnings that point at the line of the caller."""

from __future__ import annotations

import sys
import warnings

# Between the caller and this package there may be TensorFlow, which calls what builds a dataset, or
# Keras, which calls callbacks.
_PASSED_OVER = ("npyfast", "tensorflow", "keras")


def warn(message: str, category: type[Warning]) -> None:
    """Issues a warning for the line, outside this package, TensorFlow and Keras, that led here.
    Python shows it once for each such line, unless told otherwise."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _PASSED_OVER:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]
