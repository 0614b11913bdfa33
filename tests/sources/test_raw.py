"""Raw binary files: what `np.memmap(path, dtype, shape=..., offset=...)` gives."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import expected
import ml_dtypes
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save, dtypes, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="f4").reshape(12, 2)


def read(path: Any, **options: Any) -> Any:
    return np.asarray(npyfast.open(npyfast.source(path, **options)))


@pytest.fixture
def data(tmp_path: Path) -> str:
    X.tofile(tmp_path / "data.bin")
    return str(tmp_path / "data.bin")


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("<f4"), "f4"])
def test_rows_of_a_shape(data: str, dtype: Any) -> None:
    assert_same(read(data, dtype=dtype, shape=(-1, 2)), X)
    assert_same(read(data, dtype=dtype, shape=[12, 2]), X)
    assert_same(read(data, dtype=dtype, shape=(-1, 3, 2)), X.reshape(4, 3, 2))


def test_by_default_rows_are_numbers(data: str) -> None:
    assert_same(read(data, dtype="float32"), X.reshape(-1))
    assert_same(read(data, dtype="float32", shape=-1), X.reshape(-1))
    assert_same(read(data, dtype="float32", shape=5), X.reshape(-1)[:5])


def test_an_offset(data: str) -> None:
    assert_same(read(data, dtype="float32", shape=(-1, 2), offset=16), X[2:])
    assert_same(read(data, dtype="float32", shape=(3, 2), offset=16), X[2:5])
    assert_same(read(data, dtype="float32", shape=(-1, 2), offset=96), X[:0])
    odd = np.frombuffer(Path(data).read_bytes()[3:91], "<i2").reshape(-1, 4)
    assert_same(read(data, dtype="<i2", shape=(11, 4), offset=3), odd)  # nowhere aligned


def test_a_file_longer_than_its_rows(data: str) -> None:
    assert_same(read(data, dtype="float32", shape=(7, 2)), X[:7])


def test_without_a_dtype_the_error_says_how(data: str) -> None:
    text = (
        r"data.bin: not a readable .npy file: .*; if it holds raw numbers, npyfast.source\(path, d"
    )
    for reader in (npyfast.open, npyfast.batches):
        with pytest.raises(npyfast.NpyFormatError, match=text):
            reader(data)


def test_files(tmp_path: Path) -> None:
    for number, part in enumerate(np.split(X, [5, 5])):
        part.tofile(tmp_path / f"{number}.bin")
    leaf = npyfast.source(f"{tmp_path}/*.bin", dtype="f4", shape=(-1, 2))
    rows = expected.epoch_batches(12, batch_size=5, seed=1)
    assert_same_batches(npyfast.batches((leaf, X), 5, True, seed=1), (X, X), rows)
    files = [tmp_path / "2.bin", tmp_path / "0.bin"]
    assert_same(read(files, dtype="f4", shape=(2, 2)), np.concatenate([X[5:7], X[:2]]))


@pytest.mark.parametrize("dtype", [d for d in dtypes() if d.itemsize and d.char != "O"], ids=str)
def test_every_dtype(tmp_path: Path, dtype: np.dtype[Any]) -> None:
    array = random_array(dtype, (9, 3))
    (tmp_path / "x").write_bytes(array.tobytes())
    leaf = npyfast.source(tmp_path / "x", dtype=dtype, shape=(-1, 3))
    rows = expected.epoch_batches(9, batch_size=4, seed=1)
    assert_same_batches(npyfast.batches(leaf, 4, True, seed=1), array, rows)


@pytest.mark.parametrize("dtype", ["bfloat16", ml_dtypes.bfloat16, "V2"])
def test_bfloat16(tmp_path: Path, dtype: Any) -> None:
    array = np.arange(6).astype(ml_dtypes.bfloat16)
    array.tofile(tmp_path / "x")
    found = read(tmp_path / "x", dtype=dtype)
    assert found.dtype == np.dtype("V2")
    assert found.view(ml_dtypes.bfloat16).tolist() == array.tolist()


@pytest.mark.parametrize("dtype", ["M8[s/0]", "f4,(", ",", [("a", "m8[s/0]")], "no such"], ids=str)
def test_what_is_no_dtype(data: str, dtype: Any) -> None:
    """NumPy ends the process for a unit that is divided by zero."""
    with pytest.raises(ValueError, match="dtype must be what np.dtype takes, got "):
        npyfast.source(data, dtype=dtype)
    with pytest.raises(ValueError, match="cast must be one of "):
        npyfast.open(npyfast.source(X, cast=dtype))


def test_a_dtype_with_a_shape(data: str) -> None:
    assert_same(read(data, dtype=np.dtype(("<f4", (2,)))), X)


def test_a_size_that_does_not_divide(data: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(data, dtype="float32", shape=(-1, 7), offset=8)
    assert str(caught.value) == (
        f"{data}: has 96 bytes, from offset 8 on 88, which is no whole number of rows of 28 bytes, "
        "(7,) float32: 4 are left over"
    )


def test_a_file_that_is_too_short(data: str, tmp_path: Path) -> None:
    with pytest.raises(npyfast.NpyFormatError) as caught:
        read(data, dtype="float32", shape=(12, 2), offset=8)
    assert str(caught.value) == (
        f"{data}: has 96 bytes, from offset 8 on 88, but 12 rows of 8 bytes, (2,) float32 take 96"
    )
    with pytest.raises(ValueError, match="has 96 bytes, fewer than offset=97"):
        read(data, dtype="float32", offset=97)
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty", dtype="f4", shape=(-1, 3)).shape == (0, 3)
    with pytest.raises(npyfast.NpyFormatError, match="but 1 rows of 4 bytes"):
        read(tmp_path / "empty", dtype="f4", shape=1)


def test_files_that_are_no_raw_data(save: Save, tmp_path: Path, data: str) -> None:
    npy = save(X)
    np.savez(tmp_path / "a.npz", X)
    (tmp_path / "a.h5").write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(500))
    for path, what in ((npy, ".npy"), (tmp_path / "a.npz", ".npz"), (tmp_path / "a.h5", "HDF5")):
        for paths in (path, [data, path]):
            with pytest.raises(ValueError, match=f"is an? {what} .*: omit dtype, shape and off"):
                read(paths, dtype="float32")


def test_a_directory_needs_a_pattern(data: str, tmp_path: Path) -> None:
    for path in (tmp_path, [data, tmp_path]):
        with pytest.raises(ValueError) as caught:
            npyfast.source(path, dtype="f4")
        assert f"pass a pattern, such as '{tmp_path}/*.bin'" in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read(tmp_path / "missing", dtype="f4")
    assert caught.value.filename == str(tmp_path / "missing")


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no dtype": (
        {"dtype": "float33"},
        ValueError,
        "dtype must be what np.dtype takes, got 'float33'",
    ),
    "objects": ({"dtype": object}, TypeError, "Python objects"),
    "objects in a field": ({"dtype": [("a", "O")]}, TypeError, "Python objects"),
    "overlapping fields": (
        {"dtype": {"names": ["a", "b"], "formats": ["u4", "u2"], "offsets": [0, 1]}},
        ValueError,
        "has fields that overlap",
    ),
    "rows of nothing": ({"dtype": "S0"}, ValueError, "takes no bytes: write the number of rows"),
    "rows of no items": ({"shape": (-1, 0)}, ValueError, "takes no bytes: write the number"),
    "-1 elsewhere": ({"shape": (2, -1)}, ValueError, "-1 as its first entry only"),
    "two -1": ({"shape": (-1, -1)}, ValueError, "-1 at most once, got (-1, -1)"),
    "-2": ({"shape": (-2, 2)}, ValueError, "shape must be an int or a tuple of ints"),
    "half": ({"shape": (1.5,)}, ValueError, "shape must be an int or a tuple of ints"),
    "text": ({"shape": "12"}, ValueError, "shape must be an int or a tuple of ints"),
    "no dimension": ({"shape": ()}, ValueError, "-1 as its first entry only, for the rows, got ()"),
    "too large": ({"shape": (2**40, 2**40)}, ValueError, "is larger than any file"),
    "negative offset": ({"offset": -1}, ValueError, "offset must be an int of at least 0"),
    "offset of text": ({"offset": "1"}, ValueError, "offset must be an int of at least 0"),
    "offset True": ({"offset": True}, ValueError, "offset must be an int of at least 0"),
}


@pytest.mark.parametrize(("options", "error", "text"), WRONG.values(), ids=WRONG)
def test_wrong_options(data: str, options: dict[str, Any], error: Any, text: str) -> None:
    with pytest.raises(error) as caught:
        npyfast.source(data, **{"dtype": "f4", **options})
    assert text in str(caught.value)


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/meminfo", "/sys/kernel/mm/ksm/run"])
@pytest.mark.parametrize("shape", [(-1,), (0,), (1,)])
def test_files_that_are_made_when_they_are_read(path: str, shape: Any, tmp_path: Path) -> None:
    if not os.path.exists(path):
        pytest.skip(f"{path} is not there")
    source = npyfast.source(path, dtype="u1", shape=shape)
    for read in FRONT_ENDS:
        with pytest.raises((OSError, npyfast.NpyFormatError)) as caught:
            read(source, tmp_path)
        assert path in str(caught.value)


@contextlib.contextmanager
def irregular(kind: str, path: Path) -> Iterator[str]:
    """Something that is no file, at this path or another."""
    if kind == "pipe":
        os.mkfifo(path)
        yield str(path)
    elif kind == "pipe that is written":
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY)
        os.write(writer, b"PK\x03\x04" + bytes(60))
        yield str(path)
        os.close(reader)
        os.close(writer)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
            yield str(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
        yield str(path)
    else:
        reader, writer = os.pipe()
        yield f"/proc/self/fd/{reader}"
        os.close(reader)
        os.close(writer)


KINDS = ["pipe", "pipe that is written", "socket", "link to a device", "pipe of a shell"]
FRONT_ENDS: list[Any] = [
    lambda source, folder: npyfast.open(source),
    lambda source, folder: npyfast.batches(source),
    lambda source, folder: npyfast.pack(source, folder / "out.npy"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file(kind: str, tmp_path: Path) -> None:
    with irregular(kind, tmp_path / "x") as path:
        sources = [npyfast.source(path, dtype="u1", shape=shape) for shape in [(-1,), (0,), (4,)]]
        for source in sources:
            for read in FRONT_ENDS:
                with pytest.raises(OSError, match="whose size is unknown") as caught:
                    read(source, tmp_path)
                assert caught.value.filename == path
        # Of files that say what they are: nobody waits for a writer.
        for source in [path, npyfast.source(path, key="x"), npyfast.source(path, per_file="row")]:
            for read in FRONT_ENDS:
                with pytest.raises(OSError):
                    read(source, tmp_path)


def test_a_directory_among_the_files(data: str, tmp_path: Path) -> None:
    (tmp_path / "z.bin").mkdir()
    for read in FRONT_ENDS:
        with pytest.raises(IsADirectoryError):
            read(npyfast.source(f"{tmp_path}/*.bin", dtype="u1"), tmp_path)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert len(npyfast.open(npyfast.source(tmp_path / "x", dtype="f4", shape=(-1, 3)))) == 0
