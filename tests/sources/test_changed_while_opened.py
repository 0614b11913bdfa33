"""A file that changes between the look into it and its mapping, or while it is read, is an error,
or read again: never rows of one file found in another."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_changes import wait_for_the_clock

import npyfast
import npyfast._backends
from npyfast._backends import numpy as numpy_backend

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(100, dtype="i8")


def write_raw(path: str, data: Any) -> None:
    data.tofile(path)


def write_npz(path: str, data: Any) -> None:
    with open(path, "wb") as file:
        np.savez(file, x=data)


def write_hdf5(path: str, data: Any) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["x"] = data


FORMATS: dict[str, tuple[Callable[[str, Any], None], dict[str, Any]]] = {
    "raw": (write_raw, {"dtype": "i8"}),
    "npz": (write_npz, {"key": "x"}),
    "hdf5": (write_hdf5, {"key": "x"}),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_between_the_look_and_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, how: str
) -> None:
    path = str(tmp_path / "data")
    write, options = FORMATS[kind]
    write(path, X)
    backend = npyfast._backends.backend()
    original = backend.open

    def late(files: Any, *arguments: Any, **options: Any) -> Any:
        wait_for_the_clock(path)
        if how == "replaced":
            write(f"{path}.new", X + 1)
            os.replace(f"{path}.new", path)
        else:
            with open(path, "r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"\1")
        return original(files, *arguments, **options)

    monkeypatch.setattr(backend, "open", late)
    with pytest.raises(OSError, match="was changed or replaced") as caught:
        npyfast.open(npyfast.source(path, **options))
    assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, path)


# The native backend reads the header by the descriptor that it maps.
@pytest.mark.parametrize("backend", ["numpy"], indirect=True)
def test_between_a_header_and_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    path = str(tmp_path / "x.npy")
    np.save(path, X)
    original = numpy_backend.look_at_header_numpy

    def look(path: str) -> Any:
        found = original(path)
        wait_for_the_clock(path)
        np.save(path, X.astype("f8"))
        return found

    monkeypatch.setattr(numpy_backend, "look_at_header_numpy", look)
    with pytest.raises(OSError, match="was changed or replaced") as caught:
        npyfast.open(path)
    assert caught.value.filename == path


# For the native backend see AFileThatIsReplacedAllTheTimeIsReadAsAWhole in row_files_test.cc.
@pytest.mark.parametrize("backend", ["numpy"], indirect=True)
def test_a_file_of_one_row_that_is_replaced_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    path = str(tmp_path / "x.npy")
    np.save(path, X)
    rows = npyfast.open(npyfast.source(path, per_file="row"))
    original, times = np.load, 0

    def load(path: str, **options: Any) -> Any:
        nonlocal times
        found = original(path, **options)
        times += 1
        if times < most:
            wait_for_the_clock(path)
            np.save(f"{path}.new.npy", X + times)
            os.replace(f"{path}.new.npy", path)
        return found

    monkeypatch.setattr(np, "load", load)
    most = 3
    assert np.array_equal(rows[0], X + 2)
    most = 1000
    with pytest.raises(OSError, match="while it was read, again and again"):
        rows[0]
