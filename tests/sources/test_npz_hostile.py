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
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from hostile_archives import (
    ALL_ONES,
    HOSTILE,
    LENGTH,
    X,
    member,
    npy,
    refuse,
    zip64,
)

import npyfast
from npyfast._commands import main
from npyfast._sources import npz

pytestmark = pytest.mark.usefixtures("backend")


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


def test_each_directory_is_read_once(tmp_path: Path, backend: str) -> None:
    arrays = {f"x{i}": np.arange(6) + i for i in range(50)}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez(tmp_path / "b.npz", **arrays)
    np.savez_compressed(tmp_path / "c.npz", **arrays)
    processes.run("archive_reads.py", tmp_path, backend=backend)
