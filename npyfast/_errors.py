"""npyfast's exception, and texts that are safe to print."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import numpy as np

# Characters that control a terminal (C0, C1, line and paragraph separators, invisible marks and
# marks that change the direction of text), and surrogates, which cannot be printed. The same as in
# Printable() of the core.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """A text that is safe on a terminal: control characters become escapes, and bytes of a file
    name that are not UTF-8 become "\\xff". Printable text is unchanged."""
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else repr(chr(code))[1:-1]


# Of a list, tuple or dict in a message.
_SHOWN_ITEMS = 3


def shown(value: Any) -> str:
    """A value in an error message: its repr, shortened. Of anything with a shape and a dtype, these
    and the type, never the data.

    >>> import numpy as np
    >>> shown("y.npy"), shown((np.zeros(3), 1)), shown(list(range(9)))
    ("'y.npy'", '(ndarray of shape (3,) and dtype float64, 1)', '[0, 1, 2, ...]')
    """
    if not isinstance(value, (type, np.dtype, np.generic)):
        try:
            if value.shape is not None:
                return f"{type(value).__name__} of shape {_tuple(value.shape)}{_dtype(value)}"
        except Exception:  # no array, or one that is closed
            pass
    if type(value) is dict:
        items = [
            f"{shown(key)}: {shown(each)}" for key, each in islice(value.items(), _SHOWN_ITEMS + 1)
        ]
        return f"{{{_joined(items)}}}"
    if type(value) is tuple:
        items = [shown(each) for each in value[: _SHOWN_ITEMS + 1]]
        return f"({_joined(items)}{',' * (len(items) == 1)})"
    if type(value) is list:
        return f"[{_joined([shown(each) for each in value[: _SHOWN_ITEMS + 1]])}]"
    return f"{value!r:.200}"


def _tuple(shape: Any) -> str:
    """A shape as NumPy writes it, if all of its lengths are known."""
    try:
        return str(tuple(int(length) for length in shape))
    except (TypeError, ValueError):
        return str(shape)


def _dtype(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return "" if dtype is None else f" and dtype {getattr(dtype, 'name', dtype)}"


def _joined(items: list[str]) -> str:
    return ", ".join(items if len(items) <= _SHOWN_ITEMS else [*items[:_SHOWN_ITEMS], "..."])


class NpyFormatError(ValueError):
    """A file is not a readable ``.npy`` file.

    It is not a ``.npy`` file, or has an unknown version; its header is malformed, too large or
    promises an impossible shape; or it holds fewer bytes than its header promises. Damaged or
    truncated ``.npz`` archives and HDF5 files raise it, too. The message names the file and what is
    wrong with it. It is a ``ValueError``, which ``numpy.load`` raises for most of these:

    >>> issubclass(NpyFormatError, ValueError)
    True
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))
