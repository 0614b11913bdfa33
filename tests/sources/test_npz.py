"""Arrays in `.npz` archives: stored members are mapped in place, compressed ones are refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import expected
import numpy as np
import processes
import pytest
from expected import assert_same, assert_same_batches
from samples import in_order, random_array

import npyfast
from npyfast._backends import backend
from npyfast._packing.unpacking import unpacked
from npyfast._sources import npz
from npyfast._sources.opening import Opening

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="f4").reshape(12, 2)
Y = np.arange(12) * 3


def read(source: Any) -> Any:
    return np.asarray(npyfast.open(source))


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    return str(tmp_path / "a.npz")


def test_a_path_is_a_dict_of_the_arrays(archive: str) -> None:
    whole = {"x": X, "y": Y}
    rows = expected.epoch_batches(12, batch_size=5, seed=1)
    assert_same_batches(npyfast.batches(archive, 5, True, seed=1), whole, rows)
    made = npyfast.batches((X, {"all": archive}), 5, True, seed=1)
    assert_same_batches(made, (X, {"all": whole}), rows)


def test_one_array(archive: str) -> None:
    leaf = npyfast.source(archive, key="y")
    assert leaf.files == (archive,)
    assert repr(leaf) == f"npyfast.Source({archive}['y'])"
    assert_same(read(leaf), Y)
    assert_same(read(npyfast.source(archive, key="y.npy")), Y)  # as np.load has it
    assert_same(next(iter(npyfast.batches((X, leaf)))), (X, Y))


def test_without_a_key(archive: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", X)
    assert_same(read(tmp_path / "one.npz"), X)
    assert_same(next(iter(npyfast.batches(npyfast.source(tmp_path / "one.npz")))), X)
    assert_same(next(iter(npyfast.batches(tmp_path / "one.npz"))), {"arr_0": X})
    for source in (archive, npyfast.source(archive)):
        with pytest.raises(ValueError, match=r"a\.npz: holds 2 arrays: choose .* of 'x', 'y'$"):
            npyfast.open(source)


def test_the_suffix_does_not_matter(archive: str, tmp_path: Path) -> None:
    os.rename(archive, tmp_path / "archive")
    assert_same(read(npyfast.source(tmp_path / "archive", key="x")), X)


def test_the_dtypes_and_layouts(tmp_path: Path) -> None:
    arrays = {}
    for number, dtype in enumerate(["?", ">f4", "f2", "V2", "c16", "S5", "U3", "M8[s]", "g"]):
        array = random_array(np.dtype(dtype), (7, 3, 2))
        arrays[f"{number}c"] = array
        arrays[f"{number}f"] = in_order(array, "F")
    arrays["records"] = random_array(np.dtype([("a", ">i2"), ("b", [("c", "f4", (2,))])]), (7,))
    np.savez(tmp_path / "a.npz", **arrays)
    made = npyfast.batches(tmp_path / "a.npz", 3, True, seed=2)
    assert_same_batches(made, arrays, expected.epoch_batches(7, batch_size=3, seed=2))


def test_files(tmp_path: Path) -> None:
    for number, (begin, end) in enumerate([(0, 5), (5, 5), (5, 12)]):
        np.savez(tmp_path / f"{number}.npz", x=X[begin:end], y=Y[begin:end])
    pattern = f"{tmp_path}/*.npz"
    assert_same(read(npyfast.source(pattern, key="x")), X)
    rows = expected.epoch_batches(12, batch_size=5, seed=1)
    assert_same_batches(npyfast.batches(pattern, 5, True, seed=1), {"x": X, "y": Y}, rows)
    listed = [tmp_path / "2.npz", tmp_path / "0.npz"]
    assert_same(read(npyfast.source(listed, key="y")), np.concatenate([Y[5:], Y[:5]]))


def test_members_as_np_load_has_them(tmp_path: Path) -> None:
    members = {
        "readme.txt": b"no array",
        "folder/": b"",
        "folder/in it.npy": npy(X),
        "no suffix": npy(Y),
        "__MACOSX/._x.npy": b"\x00\x05\x16\x07 what a Mac leaves",
        "größe.npy": npy(Y),
        "nothing.npy": npy(X[:0]),
    }
    path = write_zip(tmp_path / "a.npz", members)
    wanted = ["folder/in it", "no suffix", "größe", "nothing"]
    assert npz.Archive(path).keys() == wanted
    with np.load(path) as loaded:
        assert wanted == [key for key in loaded.files if isinstance(loaded[key], np.ndarray)]
        for key in wanted:
            assert_same(read(npyfast.source(path, key=key)), loaded[key])
    with pytest.raises(ValueError, match="has no array 'z'; it has 'folder/in it', 'no suffix'"):
        npyfast.open(npyfast.source(path, key="z"))


def test_large_archives(tmp_path: Path) -> None:
    # More members than the first kind of archive can have, sizes as the second kind has them, and
    # bytes in front of the archive.
    with open(tmp_path / "a.npz", "wb") as file:
        file.write(b"PK\x03\x04 some program that unpacks itself")
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(70_000):
                archive.writestr(f"{number}.txt", b"")
            with archive.open("x.npy", "w", force_zip64=True) as member:
                member.write(npy(X))
    assert_same(read(npyfast.source(tmp_path / "a.npz", key="x")), X)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_that_do_not_fit_in_memory(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend(), "usable_memory", lambda: 0)
    path = write_zip(tmp_path / "a.npz", {"x.npy": npy(X)}, method)
    for source in (path, npyfast.source(path, key="x")):
        with pytest.raises(ValueError) as caught:
            npyfast.batches(source)
        assert str(caught.value).startswith(f"{path}['x']: is compressed (")
        assert f"`npyfast pack {path} --key x -o x.npy`" in str(caught.value)
        assert "np.savez" in str(caught.value)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_extract(tmp_path: Path, order: str, method: int) -> None:
    array = in_order(np.arange(400_000).reshape(1000, 400), order)  # some MiB
    path = write_zip(tmp_path / "a.npz", {"x.npy": npy(array)}, method)
    with open(tmp_path / "x.npy", "wb") as file:
        header = npz.Archive(path).extract("x", file)
    assert (tmp_path / "x.npy").read_bytes() == npy(array)
    assert header == npyfast.read_header(tmp_path / "x.npy")


def test_a_source_that_is_unpacked(tmp_path: Path) -> None:
    def create(path: str, size: int) -> Any:
        return open(path, "wb")

    np.savez_compressed(tmp_path / "0.npz", x=X[:5])
    np.savez(tmp_path / "1.npz", x=X[5:])
    leaf = npyfast.source(f"{tmp_path}/*.npz", row_shape=(2, 1))
    (tmp_path / "out").mkdir()
    needed: list[int] = []
    with Opening() as opening:
        made = unpacked(leaf, opening, str(tmp_path / "out"), create, needed.append)
        for other in (npyfast.source(tmp_path / "1.npz"), npyfast.source(X)):
            assert unpacked(other, opening, str(tmp_path / "out"), create, needed.append) is other
    assert_same(read(made), X.reshape(12, 2, 1))
    assert needed == [sum(os.path.getsize(path) for path in made.files)]


def damaged(path: str, at: bytes, by: int = 0) -> None:
    """Changes one byte of a file."""
    with open(path, "r+b") as file:
        place = file.read().index(at) + by
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def test_extract_compares_the_checksum(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {"x.npy": npy(X)})
    damaged(path, X[5].tobytes())
    with pytest.raises(npyfast.NpyFormatError, match=r"\['x'\]: is damaged: Bad CRC-32"):
        npz.Archive(path).extract("x", io.BytesIO())


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_data(tmp_path: Path, method: int) -> None:
    random = np.random.default_rng(0).random(10_000)
    path = write_zip(tmp_path / "a.npz", {"x.npy": npy(random)}, method)
    damaged(path, b"x.npy", 40_000)
    with pytest.raises(npyfast.NpyFormatError, match=r"\['x'\]: is damaged: "):
        npz.Archive(path).extract("x", io.BytesIO())


BAD_ARCHIVES = {
    "no directory": b"PK\x03\x04" + bytes(100),
    "a few bytes": b"PK\x03\x04",
    "cut off": None,
}


@pytest.mark.parametrize("content", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_no_archive(archive: str, content: bytes | None) -> None:
    if content is None:
        os.truncate(archive, os.path.getsize(archive) - 30)
    else:
        Path(archive).write_bytes(content)
    for source in (archive, npyfast.source(archive, key="x")):
        with pytest.raises(npyfast.NpyFormatError) as caught:
            npyfast.batches(source)
        assert str(caught.value).startswith(f"{archive}: not a readable .npz archive: ")


def test_an_archive_of_nothing(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", {})
    for read in (npyfast.open, npyfast.batches):
        with pytest.raises(ValueError, match="holds no arrays"):
            read(path)
    with pytest.raises(ValueError, match="holds no arrays"):
        npyfast.batches((path, np.arange(6)))
    with pytest.raises(ValueError, match="has no array 'x'; it has none"):
        npyfast.open(npyfast.source(path, key="x"))


def test_many_arrays_take_few_descriptors(tmp_path: Path, backend: str) -> None:
    np.savez(tmp_path / "a.npz", **{f"x{i}": np.arange(6) + i for i in range(200)})
    processes.run("many_members.py", tmp_path / "a.npz", backend=backend)


class TestBadMembers:
    def refused(self, tmp_path: Path, content: bytes, error: type[Exception], text: str) -> None:
        path = write_zip(tmp_path / "a.npz", {"good.npy": npy(X), "x.npy": content})
        for source in (path, npyfast.source(path, key="x")):
            with pytest.raises(error) as caught:
                npyfast.batches(source)
            assert str(caught.value).startswith(f"{path}['x']: {text}")

    def test_truncated(self, tmp_path: Path) -> None:
        text = "holds 95 bytes of data, its header promises 96 (12, 2) float32: the file is trunc"
        self.refused(tmp_path, npy(X)[:-1], npyfast.NpyFormatError, text)

    def test_a_header_cut_off(self, tmp_path: Path) -> None:
        text = "not a readable .npy file: "
        self.refused(tmp_path, npy(X)[:30], npyfast.NpyFormatError, text)

    def test_objects(self, tmp_path: Path) -> None:
        text = "holds Python objects (dtype object), which npyfast never unpickles"
        self.refused(tmp_path, npy(np.array([None, 1])), TypeError, text)

    def test_a_scalar(self, tmp_path: Path) -> None:
        text = "holds a 0-dimensional array, which has no rows"
        self.refused(tmp_path, npy(np.float32(3)), ValueError, text)

    def test_encrypted(self, archive: str) -> None:
        data = bytearray(Path(archive).read_bytes())
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(signature) + flags] |= 1
        Path(archive).write_bytes(data)
        for source in (archive, npyfast.source(archive, key="x")):
            with pytest.raises(ValueError, match=r"\['x'\]: is encrypted; unpack the archive"):
                npyfast.batches(source)
        assert_same(read(npyfast.source(archive, key="y")), Y)

    def test_text(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "a.npz", {"x.npy": b"no array"})
        with pytest.raises(npyfast.NpyFormatError, match=r"\['x'\]: not a readable .npy file: "):
            npyfast.open(npyfast.source(path, key="x"))

    def test_a_directory_that_points_elsewhere(self, archive: str) -> None:
        damaged(archive, b"PK\x01\x02", 42)  # where the first member begins
        with pytest.raises(npyfast.NpyFormatError, match=r"not where the archive's directory says"):
            npyfast.open(npyfast.source(archive, key="x"))


def test_archives_that_hold_different_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "0.npz", x=X, y=Y)
    np.savez(tmp_path / "1.npz", x=X)
    pattern = f"{tmp_path}/*.npz"
    with pytest.raises(ValueError) as caught:
        npyfast.batches(pattern)
    assert str(caught.value) == (
        f"the files of one source must hold the same arrays: {tmp_path}/0.npz has 'x', 'y', "
        f"{tmp_path}/1.npz has 'x'; npyfast.source(..., key=...) chooses one"
    )
    assert_same(read(npyfast.source(pattern, key="x")), np.concatenate([X, X]))
    with pytest.raises(ValueError, match=r"1\.npz: has no array 'y'; it has 'x'$"):
        npyfast.open(npyfast.source(pattern, key="y"))


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "0.npz", x=X)
    np.savez(tmp_path / "1.npz", x=X.astype("f8"))
    with pytest.raises(ValueError, match="must have one dtype: .*0.npz has float32, .*1.npz has "):
        npyfast.batches(f"{tmp_path}/*.npz")


def test_arrays_of_two_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y[:11])
    with pytest.raises(ValueError, match=r"a.npz\['x'\] has 12, .*a.npz\['y'\] has 11"):
        npyfast.batches(tmp_path / "a.npz")
