"""The formats of files that hold arrays, and their names in error messages.

Uncompressed data in a file is described by a `Header` with an absolute `data_offset`, and mapped by
the backends like a `.npy` file.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, Literal

import numpy as np

from npyfast._backends.header import Header, header_bytes
from npyfast._errors import printable

# As error messages name them.
Format = Literal["a .npy file", "an .npz archive", "an HDF5 file", "no file of arrays"]
NPY: Final = "a .npy file"
NPZ: Final = "an .npz archive"
HDF5: Final = "an HDF5 file"
UNKNOWN: Final = "no file of arrays"

_SIGNATURES: dict[bytes, Format] = {
    b"\x93NUMPY": NPY,
    b"PK\x03\x04": NPZ,
    b"PK\x05\x06": NPZ,  # an empty archive
}
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

_LISTED_KEYS = 40


def open_file(path: str) -> BinaryIO:
    """Opens a file for inspection. Raises OSError for anything without a known size, such as a
    pipe, and never waits for the writer of one."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _IRREGULAR if is_kind(mode)), "no file")
        raise OSError(errno.EINVAL, f"is {kind}, whose size is unknown: copy it into a file", path)
    return open(path, "rb")


_IRREGULAR = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def format_of_descriptor(descriptor: int) -> Format:
    """The format of an open file, by its first bytes. Raises OSError if it cannot be read."""
    start = os.pread(descriptor, 8, 0)
    for signature, found in _SIGNATURES.items():
        if start.startswith(signature):
            return found
    size = os.fstat(descriptor).st_size
    offset = 0  # after a user block, if any, of 512 bytes or a larger power of two
    while offset < size:
        if os.pread(descriptor, 8, offset) == _HDF5_SIGNATURE:
            return HDF5
        offset = 2 * offset or 512
    return UNKNOWN


def has_header(dtype: np.dtype[Any]) -> bool:
    """Whether a `.npy` header can express the dtype; it cannot if fields overlap."""
    try:
        header_bytes(Header((3, 0), (0,), dtype, False, 0))
    except ValueError:
        return False
    return True


def member_name(path: str, key: str) -> str:
    """The name of one array of a file in error messages."""
    return f"{printable(path)}[{key!r}]"


def pack_command(path: str, key: str | None, out: str | None = None) -> str:
    """The command that writes one array of a file into a `.npy` file, `out` or named by the key."""
    if key is not None:
        out = f"{key.strip('/').replace('/', '-')}.npy"
    assert out is not None
    # A leading dash would make it an option.
    path, out = (f"./{name}" if name.startswith("-") else name for name in (path, out))
    chosen = [] if key is None else [f"--key={key}"] if key.startswith("-") else ["--key", key]
    return shlex.join(["npyfast", "pack", path, *chosen, "-o", out])


def list_keys(keys: Sequence[str]) -> str:
    """The keys of a file, for an error message."""
    listed = ", ".join(map(repr, keys[:_LISTED_KEYS])) or "none"
    more = len(keys) - _LISTED_KEYS
    return f"{listed} and {more:,} more" if more > 0 else listed
