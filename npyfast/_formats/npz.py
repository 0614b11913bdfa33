"""`.npz` archives: zip files whose members are `.npy` files, by the names that `np.load` has."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

from npyfast._errors import NpyFormatError
from npyfast._formats import list_keys, member_name, pack_command, parse_header, refuse_objects
from npyfast._header import MAX_HEADER_BYTES, Header, check_size

_MAGIC = b"\x93NUMPY"

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_BLOCK_BYTES = 1 << 20

_METHODS = {
    zipfile.ZIP_DEFLATED: "deflate",
    zipfile.ZIP_BZIP2: "bzip2",
    zipfile.ZIP_LZMA: "LZMA",
}


def keys(path: str) -> list[str]:
    """The names of the arrays in an archive, in its order; members that are no `.npy` are none."""
    with _opened(path) as archive:
        return _keys(archive)


def locate(path: str, key: str) -> Header:
    """The header of an array, with the byte of the archive where its data begins.

    Raises ValueError for a key that does not exist, and for a compressed or encrypted member;
    NpyFormatError for what can't be read; TypeError for Python objects.
    """
    name = member_name(path, key)
    with _opened(path) as archive:
        member = _member(archive, path, key)
        if member.compress_type != zipfile.ZIP_STORED:
            method = _METHODS.get(member.compress_type, f"method {member.compress_type}")
            raise ValueError(
                f"{name}: is compressed ({method}), so that its rows can't be mapped: write "
                f"it into a plain file once, by `{pack_command(path, key)}`, or save the archive "
                "by np.savez, not np.savez_compressed"
            )
        file = archive.fp
        assert file is not None
        # The central directory does not say how long the header in front of the data is.
        file.seek(member.header_offset)
        local = file.read(_LOCAL_HEADER.size)
        if len(local) < _LOCAL_HEADER.size or local[:4] != b"PK\x03\x04":
            raise NpyFormatError(f"{name}: not where the archive's directory says; copy it again")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(local)
        start = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        file.seek(0, 2)
        held = min(member.file_size, file.tell() - start)
        file.seek(start)
        header = _header(name, file.read(max(0, min(held, MAX_HEADER_BYTES))))
    check_size(name, header, held)
    return replace(header, data_offset=start + header.data_offset)


def is_compressed(path: str, key: str) -> bool:
    """Whether an array can't be mapped, and extract() is what makes a file of it that can."""
    with _opened(path) as archive:
        return _member(archive, path, key).compress_type != zipfile.ZIP_STORED


def look(path: str, key: str) -> tuple[Header, str | None]:
    """The header of an array, and the method by which it is compressed, if it is: its data then
    begins at that byte of what extract() writes. Raises as extract() does."""
    with _opened(path) as archive:
        member = _member(archive, path, key)
        if member.compress_type == zipfile.ZIP_STORED:
            return locate(path, key), None
        name = member_name(path, key)
        header = _header(name, next(_blocks(name, archive, member), b""))
        check_size(name, header, member.file_size)
        return header, _METHODS.get(member.compress_type, f"method {member.compress_type}")


def unpacked_bytes(path: str, key: str) -> int:
    """Bytes of the `.npy` file that extract() writes."""
    with _opened(path) as archive:
        return _member(archive, path, key).file_size


def extract(path: str, key: str, file: IO[bytes]) -> Header:
    """Writes an array, compressed or not, to an open file as a `.npy` file; returns its header.

    In bounded memory; the archive's checksum is compared. Raises what locate() raises, but takes
    compressed members.
    """
    name = member_name(path, key)
    with _opened(path) as archive:
        member = _member(archive, path, key)
        blocks = _blocks(name, archive, member)
        start = next(blocks, b"")
        header = _header(name, start)
        check_size(name, header, member.file_size)
        file.write(start)
        for block in blocks:
            file.write(block)
    return header


@contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, LookupError) as error:
        raise NpyFormatError(f"{path}: not a readable .npz archive: {error}") from error
    with archive:
        for member in archive.infolist():
            if not member.filename or member.header_offset < 0:
                raise NpyFormatError(
                    f"{path}: not a readable .npz archive: its directory is damaged; copy it again"
                )
        yield archive


def _keys(archive: zipfile.ZipFile) -> list[str]:
    members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    arrays = (name for name, member in members.items() if _is_array(archive, member))
    return list(dict.fromkeys(name.removesuffix(".npy") for name in arrays))


def _is_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether `np.load` would take it for one: what counts is how it begins."""
    try:
        with archive.open(member) as data:
            return data.read(len(_MAGIC)) == _MAGIC
    except Exception:
        # Encrypted, of an unknown method or damaged: locate() says what is the matter with it.
        return member.filename.endswith(".npy")


def _member(archive: zipfile.ZipFile, path: str, key: str) -> zipfile.ZipInfo:
    for name in (key, f"{key}.npy"):
        try:
            member = archive.getinfo(name)
        except KeyError:
            continue
        if member.flag_bits & 1:
            raise ValueError(f"{member_name(path, key)}: is encrypted; unpack the archive first")
        return member
    raise ValueError(f"{path}: has no array {key!r}; it has {list_keys(_keys(archive))}")


def _blocks(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a member, decompressed, in blocks of which the first has any header."""
    try:
        with archive.open(member) as data:
            while block := data.read(_BLOCK_BYTES):
                yield block
    except NotImplementedError as error:
        raise ValueError(f"{name}: can't be decompressed: {error}") from error
    except Exception as error:  # each method of compression has kinds of its own
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the data
        reason = str(error) or "it ends too early"
        raise NpyFormatError(f"{name}: is damaged: {reason}; copy the archive again") from error


def _header(name: str, start: bytes) -> Header:
    try:
        header = parse_header(start)
    except NpyFormatError as error:
        raise NpyFormatError(f"{name}: not a readable .npy file: {error}") from error
    refuse_objects(name, header.dtype)
    return header
