"""The error that npyfast adds to Python's own."""

from __future__ import annotations

import re

# What controls a terminal: C0, C1, ends of lines and paragraphs, marks that turn the direction of
# text or can't be seen; and surrogates, which can't be printed. As Printable() of the core has it.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """A text as a terminal may show it: what would control one is written as an escape, and a byte
    of a name that is no UTF-8 as "\\xff". Of what is printable already nothing changes."""
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that it can't decode
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else repr(chr(code))[1:-1]


class NpyFormatError(ValueError):
    """A file is not a readable ``.npy`` file.

    It is no ``.npy`` at all, or of an unknown version; its header is malformed, too large or
    promises an impossible shape; or it holds fewer bytes than its header promises. Or it is an
    ``.npz`` archive or an HDF5 file that is damaged or cut off. The message names the file and what
    is wrong with it. ``numpy.load`` raises ``ValueError`` for most of these, and this is one:

    >>> issubclass(NpyFormatError, ValueError)
    True
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))
