"""Archives that say different things in different places, or lie; made byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

X = np.arange(24, dtype="f4").reshape(12, 2)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@dataclass
class Headers:
    """What the two headers of a member say, and what stands between them. None: what is true."""

    name: bytes = b"x.npy"
    data: bytes = npy(X)
    flags: int = 0
    method: int = 0
    packed: int | None = None
    size: int | None = None
    checksum: int | None = None
    offset: int | None = None
    extra: bytes = b""
    central_extra: bytes = b""
    local: dict[str, Any] = field(default_factory=dict)  # what its local header says instead
    gap: bytes = b""  # behind the data


def archive(*members: Headers, directory_at: int | None = None) -> bytes:
    """An archive byte by byte, as Python's zipfile would not write it."""
    body, directory = b"", b""
    for member in members:
        at = len(body) if member.offset is None else member.offset
        said: dict[str, Any] = {
            "name": member.name,
            "flags": member.flags,
            "method": member.method,
            "packed": len(member.data) if member.packed is None else member.packed,
            "size": len(member.data) if member.size is None else member.size,
            "checksum": zlib.crc32(member.data) if member.checksum is None else member.checksum,
            "extra": member.extra,
        }
        local = said | member.local
        common = "<HHHHHIIIHH"

        def fields(what: dict[str, Any], extra: bytes, common: str = common) -> bytes:
            return struct.pack(
                common,
                45,
                what["flags"],
                what["method"],
                0,
                0x21,
                what["checksum"],
                what["packed"],
                what["size"],
                len(what["name"]),
                len(extra),
            )

        body += b"PK\x03\x04" + fields(local, local["extra"]) + local["name"] + local["extra"]
        body += member.data + member.gap
        directory += b"PK\x01\x02\x2d\x00" + fields(said, member.central_extra)
        directory += struct.pack("<HHHII", 0, 0, 0, 0, at) + said["name"] + member.central_extra
    begin = len(body) if directory_at is None else directory_at
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), begin, 0)
    return body + directory + b"PK\x05\x06" + end


def zip64(*sizes: int) -> bytes:
    """An extra field of sizes that take eight bytes."""
    return struct.pack(f"<HH{len(sizes)}Q", 1, 8 * len(sizes), *sizes)


ALL_ONES = 0xFFFFFFFF
LENGTH = len(npy(X))
Y = Headers(b"y.npy", npy(np.arange(12)))


def member(**told: Any) -> bytes:
    return archive(Headers(**told), Y)


HOSTILE = {
    "packed-smaller": member(packed=LENGTH - 8),
    "packed-larger": member(packed=LENGTH + 8),
    "size-larger-in-both": member(size=LENGTH + 8, packed=LENGTH + 8),
    "size-beyond-the-archive": member(size=1 << 30, packed=1 << 30),
    "local-size": member(local={"size": LENGTH - 8}),
    "local-packed": member(local={"packed": LENGTH - 8}),
    "local-checksum": member(local={"checksum": 1}),
    "local-method": member(local={"method": 8}),
    "local-name": member(local={"name": b"y.npy"}),
    "local-name-longer": member(local={"name": b"x.npy" + b"z" * 1000}),
    "local-extra-beyond": member()[:28] + b"\xff\xff" + member()[30:],
    "local-encrypted": member(local={"flags": 1}),
    "encrypted": member(flags=1),
    "strongly-encrypted": member(flags=0x41),
    "masked": member(flags=0x2000),
    "patched": member(flags=0x20),
    "offset-of-another": archive(Headers(offset=30 + 5 + LENGTH), Y),
    "offset-of-the-directory": archive(Headers(offset=2 * (30 + 5) + LENGTH + len(Y.data)), Y),
    "offset-in-the-data": archive(Headers(offset=64), Y),
    "offset-beyond": archive(Headers(offset=1 << 30), Y),
    "offset-2**63": member(offset=ALL_ONES, central_extra=zip64(1 << 63)),
    "offset-2**64-1": member(offset=ALL_ONES, central_extra=zip64((1 << 64) - 1)),
    "size-2**63": member(size=ALL_ONES, packed=ALL_ONES, central_extra=zip64(1 << 63, 1 << 63)),
    "zip64-that-differs": member(
        local={"size": ALL_ONES, "packed": ALL_ONES, "extra": zip64(LENGTH, LENGTH + 1)}
    ),
    "zip64-cut-off": member(
        local={"size": ALL_ONES, "packed": ALL_ONES, "extra": zip64(LENGTH)[:-3]}
    ),
    "zip64-missing": member(local={"size": ALL_ONES, "packed": ALL_ONES}),
    "no-sizes": member(local={"size": 0, "packed": 0, "checksum": 0}),
    "sizes-behind-that-differ": member(flags=8, local={"size": 8, "packed": 8, "checksum": 0}),
    "twice": archive(Headers(), Headers(), Y),
    "overlapping": archive(Headers(data=npy(X) + npy(X), size=LENGTH, packed=LENGTH + 80), Y),
    "the-same-bytes": archive(
        Headers(), Headers(data=b"", packed=LENGTH, size=LENGTH, offset=0), Y
    ),
    "header-promises-more": member(data=npy(X)[:-1]),
    "header-cut-off": member(data=npy(X)[:40]),
    "unknown-method": member(method=99),
}


def refuse(content: bytes, path: Path, read: Callable[[Any], object]) -> None:
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError)) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)), caught.value
