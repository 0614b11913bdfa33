"""The exception class that npyfast adds to Python's."""

from __future__ import annotations

import re

# Characters that control a terminal: C0, C1, line and paragraph separators, marks that are
# invisible or change the direction of text; and surrogates, which cannot be printed. As Printable()
# in the core.
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

    It is not a ``.npy`` file, or of an unknown version; its header is malformed, too large or
    promises an impossible shape; or it holds fewer bytes than its header promises. Or it is a
    damaged or truncated ``.npz`` archive or HDF5 file. The message names the file and what is wrong
    with it. ``numpy.load`` raises ``ValueError`` for most of these, and this is one:

    >>> issubclass(NpyFormatError, ValueError)
    True
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))
