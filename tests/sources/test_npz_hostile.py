"""Archives that say different things in different places, or lie: never a wrong row."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest

import npyfast
from npyfast._commands import main
from npyfast._sources import npz

X = np.arange(24, dtype="f4").reshape(12, 2)

pytestmark = pytest.mark.usefixtures("backend")


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


FRONT_ENDS: dict[str, Callable[[Path], object]] = {
    "batches": npyfast.batches,
    "open": lambda path: npyfast.open(npyfast.source(path, key="x")),
    "batches-key": lambda path: npyfast.batches(npyfast.source(path, key="x")),
    "pack": lambda path: npyfast.pack(npyfast.source(path, key="x"), path.parent / "out.npy"),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_refused(tmp_path: Path, content: bytes, front_end: Callable[[Path], object]) -> None:
    refuse(content, tmp_path / "a.npz", front_end)
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_keys_and_info(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with contextlib.suppress(npyfast.NpyFormatError):
        keys = npz.Archive(str(path)).keys()
        assert "x" in keys  # what is wrong with it is said when it is opened
    assert main(["info", "--json", str(path)]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    errors = [told["error"]] if told["error"] else [a["error"] for a in told["arrays"]]
    assert any(error and str(path) in error for error in errors)


def test_members_beside_a_hostile_one_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (HOSTILE["local-name"], HOSTILE["packed-larger"], HOSTILE["twice"]):
        path.write_bytes(content)
        assert (npyfast.open(npyfast.source(path, key="y"))[:] == np.arange(12)).all()


SOUND = {
    "plain": member(),
    "sizes-behind": member(
        flags=8,
        local={"size": 0, "packed": 0, "checksum": 0},
        gap=b"PK\x07\x08" + struct.pack("<III", zlib.crc32(npy(X)), LENGTH, LENGTH),
    ),
    "zip64": member(
        size=ALL_ONES,
        packed=ALL_ONES,
        local={"extra": b"\x99\x99\x02\x00ab" + zip64(LENGTH, LENGTH)},
        central_extra=zip64(LENGTH, LENGTH),
    ),
    "padded": member(local={"extra": b"\x35\xd9\x3c\x00" + bytes(60)}, gap=bytes(100)),
    "more-than-its-header-promises": member(data=npy(X) + bytes(7)),
}


@pytest.mark.parametrize("content", SOUND.values(), ids=SOUND)
def test_what_is_unusual_and_sound(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with np.load(path) as loaded:
        assert (loaded["x"] == X).all()
    assert (npyfast.open(npyfast.source(path, key="x"))[:] == X).all()
    npyfast.pack(npyfast.source(path, key="x"), tmp_path / "out.npy")
    assert (np.load(tmp_path / "out.npy") == X).all()


class Unseekable(io.FileIO):
    """Where zipfile writes sizes behind the data."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation

    def seek(self, place: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation


def test_an_archive_that_was_written_to_a_pipe(tmp_path: Path) -> None:
    with Unseekable(tmp_path / "a.npz", "w") as file:
        np.savez(file, x=X)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.getinfo("x.npy").flag_bits & 8
    assert (npyfast.open(tmp_path / "a.npz")[:] == X).all()


def test_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    content = bytearray(member())
    content[content.index(X[5].tobytes())] ^= 1
    path.write_bytes(content)
    key = npyfast.source(path, key="x")
    whole: list[dict[str, Any]] = [{}, {"shuffle": True}, {"rows": slice(None, None, -1)}]
    for options in whole:
        with pytest.raises(npyfast.NpyFormatError, match=r"a\.npz\['x'\]: is damaged: Bad CRC-32"):
            npyfast.pack(key, tmp_path / "out.npy", **options)
        assert os.listdir(tmp_path) == ["a.npz"]
    npyfast.pack(key, tmp_path / "out.npy", rows=slice(6, 12))  # which are not all of it
    assert (np.load(tmp_path / "out.npy") == X[6:]).all()


def test_the_checksum_of_each_archive(tmp_path: Path) -> None:
    stages = []
    for number in range(3):
        (tmp_path / f"{number}.npz").write_bytes(member())
    source = npyfast.source(f"{tmp_path}/*.npz", key="x")
    npyfast.pack(source, tmp_path / "out.npy", progress=lambda p: stages.append(p.stage))
    assert list(dict.fromkeys(stages)) == ["checking", "writing"]
    (tmp_path / "2.npz").write_bytes(member(checksum=1))
    with pytest.raises(npyfast.NpyFormatError, match=r"2\.npz\['x'\]: is damaged: Bad CRC-32"):
        npyfast.pack(source, tmp_path / "out.npy", overwrite=True)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_of_another_size(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr("x.npy", npy(X))
    good = (tmp_path / "a.npz").read_bytes()
    for more in (-8, 8):
        content = good.replace(struct.pack("<I", LENGTH), struct.pack("<I", LENGTH + more))
        for front_end in FRONT_ENDS.values():
            refuse(content, tmp_path / "a.npz", front_end)
        assert os.listdir(tmp_path) == ["a.npz"]


def test_an_archive_that_is_replaced_while_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(member())
    read = npz.Archive(str(path))
    assert read.locate("x").status == read.status == os.stat(path)
    (tmp_path / "b.npz").write_bytes(member())
    os.replace(tmp_path / "b.npz", path)
    for look in (read.locate, read.look, lambda key: read.extract(key, io.BytesIO())):
        with pytest.raises(OSError, match=r"was changed or replaced while it was opened.*a\.npz"):
            look("x")


COUNTED = """
import contextlib, io, os, sys, zipfile
import numpy as np
import npyfast
from npyfast._commands import main

made = zipfile.ZipFile.__init__
read = []
def counting(archive, file, *arguments, **options):
    read.append(file.name if hasattr(file, "name") else file)
    made(archive, file, *arguments, **options)
zipfile.ZipFile.__init__ = counting

def times(function):
    read.clear()
    function()
    return len(read)

a, b, compressed = (os.path.join(sys.argv[1], name) for name in ("a.npz", "b.npz", "c.npz"))
assert times(lambda: npyfast.batches(a)) == 1
leaves = {str(i): npyfast.source(a, key=f"x{i}") for i in range(50)}
assert times(lambda: npyfast.batches(leaves)) == 1
assert times(lambda: npyfast.batches([a, b])) == 2
with contextlib.redirect_stdout(io.StringIO()):
    assert times(lambda: main(["info", a, compressed])) == 2
assert times(lambda: npyfast.pack(npyfast.source([a, b], key="x7"), a + ".npy")) == 2
assert times(lambda: npyfast.pack(npyfast.source([a, compressed], key="x7"), b + ".npy")) == 2
"""


def test_each_directory_is_read_once(tmp_path: Path, backend: str) -> None:
    arrays = {f"x{i}": np.arange(6) + i for i in range(50)}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **arrays)
    np.savez_compressed(tmp_path / "c.npz", **arrays)
    processes.run(COUNTED, tmp_path, backend=backend)
