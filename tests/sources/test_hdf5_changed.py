"""HDF5 files that change, that are written by this process, or whose data is missing elsewhere."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from file_changes import assert_tells, wait_for_the_clock

import npyfast

X = np.arange(1, 21, dtype="f8")
LAYOUTS: dict[str, dict[str, Any]] = {"contiguous": {}, "chunked": {"chunks": (4,)}}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture(autouse=True)
def folder(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that h5py reads it
        yield tmp_path


def write(path: str, layout: str = "contiguous", data: Any = X) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, **LAYOUTS[layout])
    return path


@every_layout
def test_written_over(layout: str) -> None:
    path = write("a.h5", layout)
    rows, made = npyfast.open(path), npyfast.batches(path, 5)
    iterator = iter(made)
    next(iterator)
    wait_for_the_clock(path)
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for read in (lambda: rows[0], lambda: next(iter(made)), lambda: [*iterator, next(iter(made))]):
        with pytest.raises((OSError, npyfast.NpyFormatError)) as caught:
            read()
        assert_tells(caught.value, path)


@every_layout
def test_another_file_is_no_change(layout: str) -> None:
    path = write("a.h5", layout)
    rows, made = npyfast.open(path), npyfast.batches(path, 5)
    wait_for_the_clock(path)
    os.replace(write("b.h5", layout, X + 1), path)
    assert np.array_equal(rows[:], X)
    assert np.array_equal(np.concatenate([batch["x"] for batch in made]), X)


@every_layout
def test_open_for_writing_in_this_process(layout: str) -> None:
    path = write("a.h5", layout)
    with h5py.File(path, "r+") as file:
        file["x"][0] = 99
        with pytest.raises(OSError, match="this process has it open for writing") as caught:
            npyfast.open(npyfast.source(path, key="x"))
        assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, path)
        assert file["x"][0] == 99
    assert npyfast.open(path)[0] == 99


def virtual(path: str, sources: list[tuple[str, str]], rows: int = 20) -> str:
    layout = h5py.VirtualLayout(shape=(rows * len(sources),), dtype="f8")
    for number, (file, key) in enumerate(sources):
        layout[number * rows : (number + 1) * rows] = h5py.VirtualSource(file, key, shape=(rows,))
    with h5py.File(path, "w") as made:
        made.create_virtual_dataset("x", layout, fillvalue=-1)
    return path


def test_virtual() -> None:
    write("a.h5")
    write("b.h5", data=X + 100)
    path = virtual("v.h5", [("a.h5", "x"), ("b.h5", "x")])
    assert np.array_equal(npyfast.open(path)[:], [*X, *(X + 100)])


@pytest.mark.parametrize("missing", [("gone.h5", "x"), ("a.h5", "gone"), (".", "gone")])
def test_virtual_with_a_source_missing(missing: tuple[str, str]) -> None:
    write("a.h5")
    path = virtual("v.h5", [("a.h5", "x"), missing])
    with pytest.raises(npyfast.NpyFormatError, match="gone") as caught:
        npyfast.open(path)
    assert "v.h5" in str(caught.value)
    # And of another that is made of it.
    with pytest.raises(npyfast.NpyFormatError, match="gone"):
        npyfast.open(virtual("w.h5", [("v.h5", "x")], 40))


@pytest.mark.parametrize("how", ["removed", "replaced", "written"])
def test_virtual_with_a_source_that_changes(how: str) -> None:
    write("a.h5")
    path = virtual("v.h5", [("a.h5", "x")])
    rows, made = npyfast.open(path), npyfast.batches(path, 5)
    wait_for_the_clock("a.h5")
    if how == "removed":
        os.remove("a.h5")
    elif how == "replaced":
        os.replace(write("b.h5"), "a.h5")
    else:
        os.utime("a.h5")
    for read in (lambda: rows[0], lambda: next(iter(made))):
        with pytest.raises(OSError, match="a.h5"):
            read()


def test_virtual_by_a_pattern() -> None:
    for number in range(3):
        write(f"p-{number}.h5", data=X[:4] + number)
    path = "p.h5"
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    endless = h5py.h5s.UNLIMITED
    with h5py.File(path, "w", libver="latest") as file:
        space = h5py.h5s.create_simple((12,), (endless,))
        space.select_hyperslab((0,), (endless,), (4,), (4,))
        properties.set_virtual(space, b"p-%b.h5", b"x", h5py.h5s.create_simple((4,)))
        whole = h5py.h5s.create_simple((12,), (endless,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, whole, properties)
    assert np.array_equal(npyfast.open(path)[:], np.concatenate([X[:4] + n for n in range(3)]))
    os.remove("p-1.h5")
    with pytest.raises(npyfast.NpyFormatError, match=r"p-1\.h5"):
        npyfast.open(path)


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
def test_external_storage(how: str) -> None:
    with h5py.File("e.h5", "w") as file:
        external = [("one.bin", 0, 80), ("two.bin", 8, 80)]
        file.create_dataset("x", shape=(20,), dtype="f8", external=external)[:] = X
    rows = npyfast.open("e.h5")
    assert np.array_equal(rows[:], X)
    wait_for_the_clock("two.bin")
    if how == "missing":
        os.remove("two.bin")
    elif how == "short":
        os.truncate("two.bin", 87)
    else:
        os.utime("two.bin")
    with pytest.raises((OSError, npyfast.NpyFormatError), match=r"two\.bin"):
        rows[:]
    if how != "changed":
        with pytest.raises(npyfast.NpyFormatError, match=r"two\.bin"):
            npyfast.open("e.h5")
