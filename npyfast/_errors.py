"""npyfast's exception, and texts that are safe to print."""

from __future__ import annotations

import re

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
