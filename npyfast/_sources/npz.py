"""`.npz` archives: zip files whose members are `.npy` files, by the names that `np.load` has."""

from __future__ import annotations

import errno
import itertools
import os
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, Literal, Protocol

import numpy as np

from npyfast._backends import backend
from npyfast._backends.fields import AnyArray
from npyfast._backends.file_status import FileState
from npyfast._backends.header import (
    MAX_HEADER_BYTES,
    Header,
    LocatedHeader,
    check_size,
    refuse_objects,
)
from npyfast._errors import NpyFormatError, printable
from npyfast._sources.formats import (
    list_keys,
    member_name,
    open_file,
)

_MAGIC = b"\x93NUMPY"
_READ_BYTES = 1 << 20

_METHODS = {
    zipfile.ZIP_DEFLATED: "deflate",
    zipfile.ZIP_BZIP2: "bzip2",
    zipfile.ZIP_LZMA: "LZMA",
}

# The local header, before a member's data: signature, flags, method, checksum, packed and unpacked
# size, length of the name and of the extra field.
_LOCAL_HEADER = struct.Struct("<4s2xHH4xIIIHH")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8  # sizes and checksum follow the data, and may be 0 before it
_PATCHED = 0x20
_UTF_8 = 0x800
_IN_EXTRA = 0xFFFFFFFF  # a size that is found in the extra field of this kind:
_ZIP64 = 1


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Archive:
    """The directory of an archive, read once.

    `status` is the state of the file that it was read from. Whatever else is read from the archive
    is read from the same file in the same state; otherwise OSError (ESTALE) is raised.

    With `file`, which the caller has open, the archive reads from that as long as it stays open,
    else it opens the file each time. Raises NpyFormatError if the directory cannot be read.
    """

    def __init__(self, path: str, file: BinaryIO | None = None) -> None:
        self.path = path
        self._file = file
        with self._opened() as file:
            self.status = os.fstat(file.fileno())
            infos, directory = _directory(path, file)
        self._members = {
            info.filename: info for info in infos
        }  # the last one counts, as in np.load
        counts = Counter(info.filename for info in infos)
        self._twice = {name for name, count in counts.items() if count > 1}
        self._ends: dict[str, int] = {}  # the offset of what follows each member
        end = directory
        for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
            self._ends[info.filename] = end
            end = info.header_offset

    def keys(self) -> list[str]:
        """The names of its arrays, in archive order, without members that are not `.npy` files."""
        with self._reading() as file:
            names = [name for name, info in self._members.items() if self._is_array(file, info)]
        return list(dict.fromkeys(name.removesuffix(".npy") for name in names))

    def locate(self, key: str) -> LocatedHeader:
        """Where in the archive an array lies that is not compressed.

        Raises ValueError for a key that does not exist, and for an encrypted member; NpyFormatError
        for unreadable members; TypeError for Python objects.
        """
        name, info = member_name(self.path, key), self._member(key)
        assert info.compress_type == zipfile.ZIP_STORED
        with self._reading() as file:
            start = self._start(file, name, info)
            held = min(info.file_size, MAX_HEADER_BYTES)
            header = _header(name, os.pread(file.fileno(), held, start))
        check_size(name, header, info.file_size)
        return LocatedHeader(replace(header, data_offset=start + header.data_offset), self.status)

    def compression(self, key: str) -> str | None:
        """The compression method of an array, which then cannot be mapped until inflate() or
        extract() has decompressed it; None if it is stored uncompressed."""
        info = self._member(key)
        return None if info.compress_type == zipfile.ZIP_STORED else _method(info)

    def look(self, key: str) -> Header:
        """The header of an array. Its offset is one in the archive, or in the file that extract()
        writes if the array is compressed. Raises as extract() does."""
        if self.compression(key) is None:
            return self.locate(key).header
        info = self._member(key)
        name = member_name(self.path, key)
        with self._pieces(name, info) as pieces:
            header = _header(name, next(pieces, b""))
        check_size(name, header, info.file_size)
        return header

    def unpacked_bytes(self, key: str) -> int:
        """Bytes of the `.npy` file that extract() writes."""
        return self._member(key).file_size

    def extract(self, key: str, file: _Writable) -> Header:
        """Writes an array, compressed or not, to an open file as a `.npy` file; returns its header.

        Uses bounded memory and verifies the checksum. Raises as locate(), except that compressed
        members are allowed.
        """
        name, info = member_name(self.path, key), self._member(key)
        with self._pieces(name, info) as pieces:
            start = next(pieces, b"")
            header = _header(name, start)
            check_size(name, header, info.file_size)
            file.write(start)
            for piece in pieces:
                file.write(piece)
        return header

    def inflate(self, key: str, out: AnyArray, stopped: Callable[[], bool]) -> None:
        """Fills `out`, of the shape and dtype of an array, with its items; gives up once `stopped`
        tells so. Verifies the checksum. Raises as extract() does. May be called by several threads
        at once."""
        name, info = member_name(self.path, key), self._member(key)
        own = Archive(self.path)  # each thread has its place in a file of its own
        own.status = self.status
        with own._pieces(name, info) as pieces:
            start = next(pieces, b"")
            header = _header(name, start)
            order: Literal["C", "F"] = "F" if header.fortran_order else "C"
            dense = out.flags.f_contiguous if header.fortran_order else out.flags.c_contiguous
            filled = out if dense else np.empty_like(out, order=order)
            place = _bytes_of(filled).data
            at = -header.data_offset
            for piece in itertools.chain([start], pieces):
                if stopped():
                    return
                part = piece[max(0, -at) : max(0, len(place) - at)]
                place[max(0, at) : max(0, at) + len(part)] = part
                at += len(piece)
        if not dense:
            out[...] = filled

    def check(self, key: str, tell: Callable[[int], object]) -> None:
        """Verifies the checksum of an array; calls `tell` with the size of each piece that was
        read. Raises NpyFormatError if the checksum differs."""
        with self._pieces(member_name(self.path, key), self._member(key)) as pieces:
            for piece in pieces:
                tell(len(piece))

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self._file is not None and not self._file.closed:
            yield self._file
        else:
            with open_file(self.path) as file:
                yield file

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        with self._opened() as file:
            if FileState.of(os.fstat(file.fileno())) != FileState.of(self.status):
                changed = "was changed or replaced while it was opened"
                raise OSError(errno.ESTALE, changed, self.path)
            yield file

    def _is_array(self, file: BinaryIO, info: zipfile.ZipInfo) -> bool:
        """Whether `np.load` would load a member as an array, which depends on its first bytes."""
        if info.is_dir():
            return False
        try:
            start = self._start(file, "", info)
            if info.compress_type == zipfile.ZIP_STORED:
                return os.pread(file.fileno(), len(_MAGIC), start) == _MAGIC
            file.seek(start)
            with zipfile.ZipExtFile(file, "r", info) as data:
                return data.read(len(_MAGIC)) == _MAGIC
        except Exception:
            # Encrypted, of an unknown method, or damaged: locate() reports which.
            return info.filename.endswith(".npy")

    def _member(self, key: str) -> zipfile.ZipInfo:
        for name in (key, f"{key}.npy"):
            info = self._members.get(name)
            if info is None:
                continue
            if info.flag_bits & _ENCRYPTED:
                raise ValueError(
                    f"{member_name(self.path, key)}: is encrypted; unpack the archive first"
                )
            return info
        raise ValueError(
            printable(f"{self.path}: has no array {key!r}; it has {list_keys(self.keys())}")
        )

    def _start(self, file: BinaryIO, name: str, info: zipfile.ZipInfo) -> int:
        """The offset of a member's data, all of which lies within the file. Raises NpyFormatError
        if the two headers of the member contradict each other."""
        if info.filename in self._twice:
            raise NpyFormatError(
                f"{name}: is one of several members named {info.filename!r} in the archive; "
                "save it again"
            )
        end = self._ends[info.filename]
        start = info.header_offset + _LOCAL_HEADER.size
        damage = "not where the archive's directory says"
        if start <= end:
            local = os.pread(file.fileno(), _LOCAL_HEADER.size, info.header_offset)
            if len(local) == _LOCAL_HEADER.size and local.startswith(b"PK\x03\x04"):
                fields = _LOCAL_HEADER.unpack(local)
                about = os.pread(file.fileno(), fields[-2] + fields[-1], start)
                start += fields[-2] + fields[-1]
                damage = _difference(info, fields, about)
                if not damage and start + info.compress_size > end:
                    damage = "reaches into what follows it in the archive, or beyond its end"
        if damage:
            raise NpyFormatError(f"{name}: {damage}: the archive is damaged; copy it again")
        return start

    @contextmanager
    def _pieces(self, name: str, info: zipfile.ZipInfo) -> Iterator[Iterator[bytes]]:
        """The decompressed bytes of a member, in pieces. The first contains the whole header."""
        with self._reading() as file:
            file.seek(self._start(file, name, info))
            yield _decompressed(name, file, info)


def _directory(path: str, file: BinaryIO) -> tuple[list[zipfile.ZipInfo], int]:
    """The members of an archive, and the offset of its directory."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos, begin = archive.infolist(), archive.start_dir
    except MemoryError:
        raise
    except Exception as error:  # zipfile raises anything for bad bytes
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = path
            raise  # the disk, not the data
        raise NpyFormatError(f"{path}: not a readable .npz archive: {error}") from error
    for info in infos:
        if not info.filename or info.header_offset < 0 or "\0" in info.orig_filename:
            raise NpyFormatError(
                f"{path}: not a readable .npz archive: its directory is damaged; copy it again"
            )
    return infos, begin


def _difference(info: zipfile.ZipInfo, fields: tuple[int, ...], about: bytes) -> str:
    """How the two headers of a member differ, or why it is unreadable; "" if it is fine. `about`
    holds the name and the extra field of the local header, `fields` its other fields."""
    _, flags, method, checksum, packed, unpacked, name_bytes, extra_bytes = fields
    name, extra = about[:name_bytes], about[name_bytes:]
    if len(about) < name_bytes + extra_bytes:
        return "is cut off"
    if (flags ^ info.flag_bits) & _ENCRYPTED:
        return "is encrypted by one of its two headers only"
    if (flags | info.flag_bits) & _PATCHED:
        return "is a patch of other data"
    if name.decode("utf-8" if info.flag_bits & _UTF_8 else "cp437", "replace") != (
        info.orig_filename
    ):
        return f"has another name, {name!r}, in front of its data"
    sizes = _sizes(packed, unpacked, extra)
    wanted = info.compress_size, info.file_size
    unset = flags & _SIZES_FOLLOW and (checksum, sizes) == (0, (0, 0))
    if (method, checksum, sizes) != (info.compress_type, info.CRC, wanted) and not (
        unset and method == info.compress_type
    ):
        return "has another size, checksum or method in front of its data than in the directory"
    if method == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return (
            f"takes {info.compress_size:,} bytes, uncompressed, and is said to be "
            f"{info.file_size:,} bytes long"
        )
    return ""


def _sizes(packed: int, unpacked: int, extra: bytes) -> tuple[int, int] | None:
    """The sizes of a local header, which may be in its extra field; None if they are missing."""
    long = b""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == _ZIP64:
            long = extra[4 : 4 + size]
        extra = extra[4 + size :]
    sizes = []
    for size in (unpacked, packed):
        if size == _IN_EXTRA:
            if len(long) < 8:
                return None
            size, long = int.from_bytes(long[:8], "little"), long[8:]
        sizes.append(size)
    return sizes[1], sizes[0]


def _decompressed(name: str, file: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    left = info.file_size
    try:
        with zipfile.ZipExtFile(file, "r", info) as data:
            while piece := data.read(_READ_BYTES):
                left -= len(piece)
                yield piece
        if left:
            raise zipfile.BadZipFile(f"{left:,} of {info.file_size:,} bytes are missing")
    except NotImplementedError as error:
        raise ValueError(f"{name}: cannot be decompressed: {error}") from error
    except Exception as error:  # each compression method raises its own
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the data
        reason = str(error) or "it ends too early"
        raise NpyFormatError(f"{name}: is damaged: {reason}; copy the archive again") from error


def _bytes_of(array: AnyArray) -> AnyArray:
    """The memory of an array that is contiguous in some order, as bytes."""
    return np.ndarray((array.nbytes,), np.uint8, array.T if array.flags.f_contiguous else array)


def _method(info: zipfile.ZipInfo) -> str:
    return _METHODS.get(info.compress_type, f"method {info.compress_type}")


def _header(name: str, start: bytes) -> Header:
    try:
        header = backend().parse_header(start)
    except NpyFormatError as error:
        raise NpyFormatError(f"{name}: not a readable .npy file: {error}") from error
    refuse_objects(name, header.dtype)
    return header
