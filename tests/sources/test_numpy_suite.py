"""All that NumPy's own test suite writes, reads or ships as .npy: the verdict of `np.load`."""

from __future__ import annotations

import importlib.util
import os
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from expected import assert_same_batches, epoch_batches, in_native_order, same_bits

import npyfast
from npyfast._backends.header import Header, parse_header_numpy

if importlib.util.find_spec("numpy.lib.tests") is None:
    pytest.skip("this NumPy comes without its tests", allow_module_level=True)

pytestmark = pytest.mark.slow

MODULES = ("numpy.lib.tests.test_format", "numpy.lib.tests.test_io")


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all the files."""
    folder = tmp_path_factory.mktemp("captured")
    elsewhere = tmp_path_factory.mktemp("numpy")
    process = processes.start_python(
        *("-m", "pytest", "-p", "numpy_captures", "--pyargs", *MODULES, "-m", "not slow"),
        *("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", elsewhere),
        NPYFAST_TEST_CAPTURES=str(folder),
    )
    out, err = process.communicate(timeout=2 * processes.TIMEOUT)
    assert process.returncode in (0, 1), f"{out}\n{err}"  # 1: some fail on this machine
    tests = Path(next(iter(importlib.import_module("numpy.lib.tests").__path__)))
    for path in (tests / "data").iterdir():
        if path.suffix in (".npy", ".npz"):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def load(path: Path) -> Any:
    """What `np.load` gives; None where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.load(path, allow_pickle=False)
    except Exception:
        return None


def header_of(content: bytes) -> Any:
    """What NumPy's reader of headers gives; None where it refuses."""
    try:
        return parse_header_numpy(content)
    except npyfast.NpyFormatError:
        return None


def test_enough_was_captured(captured: Path) -> None:
    kinds = Counter(path.suffix for path in captured.iterdir())
    assert kinds[".npy"] >= 250
    assert kinds[".npz"] >= 30
    assert kinds[".header"] >= 5
    files = {path: load(path) for path in captured.glob("*.npy")}
    loaded = {path: array for path, array in files.items() if array is not None}
    assert len(loaded) >= 150
    assert len(files) - len(loaded) >= 50
    assert len({array.dtype for array in loaded.values()}) >= 30
    assert {array.ndim for array in loaded.values()} >= {0, 1, 2}
    assert {path.read_bytes()[6] for path in loaded} == {1, 2, 3}
    # What the suite ships, and one of its tests reads.
    assert (captured / "win64python2.npy").exists()


def test_every_file(captured: Path, backend: str) -> None:
    seen = Counter[str]()
    for path in sorted(captured.glob("*.npy")):
        array = load(path)
        if array is None:
            # TypeError: Python objects, which have a header of their own all the same.
            with pytest.raises((npyfast.NpyFormatError, TypeError)) as caught:
                npyfast.open(path)
            assert str(path) in str(caught.value)
            seen[caught.typename] += 1
            continue
        assert_header(path, array)
        if array.ndim == 0:
            with pytest.raises(ValueError, match="0-dimensional array, which has no rows"):
                npyfast.open(path)
            seen["no rows"] += 1
            continue
        assert_rows(path, array)
        seen["rows"] += 1
    assert seen["rows"] >= 120
    assert min(seen[kind] for kind in ("NpyFormatError", "TypeError", "no rows")) >= 5


def assert_header(path: Path, array: Any) -> None:
    header = npyfast.read_header(path)
    assert header == Header(*header_of(path.read_bytes()))
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    assert header.nbytes == array.nbytes


def assert_rows(source: Any, array: Any) -> None:
    """All rows of a source, and batches of them, are those of the array."""
    rows = npyfast.open(source)
    assert rows.shape == array.shape
    assert rows.dtype == array.dtype.newbyteorder("=")
    assert same_bits(rows[:], in_native_order(array, array.dtype))
    assert_same_batches(
        npyfast.batches(source, 7, True, seed=1),
        array,
        epoch_batches(len(array), batch_size=7, seed=1),
    )


def test_every_header(captured: Path, backend: str, tmp_path: Path) -> None:
    """Headers without data, of small arrays once it is there."""
    path = tmp_path / "a.npy"
    read = 0
    for captured_path in sorted([*captured.glob("*.header"), *captured.glob("*.npy")]):
        content = captured_path.read_bytes()
        wanted = header_of(content)
        if wanted is not None:
            header = Header(*wanted)
            content = content[: header.data_offset] + bytes(min(header.nbytes, 1 << 24))
        path.write_bytes(content)
        if wanted is None:
            with pytest.raises(npyfast.NpyFormatError, match="not a readable .npy file"):
                npyfast.read_header(path)
        elif header.nbytes <= 1 << 24 or header.dtype.hasobject:
            assert npyfast.read_header(path) == header
            read += 1
    assert read >= 200


@pytest.mark.filterwarnings("ignore:.*was inflated into memory:RuntimeWarning")
def test_every_archive(captured: Path, backend: str) -> None:
    seen = Counter[str]()
    for path in sorted(captured.glob("*.npz")):
        archive = load(path)
        if archive is None:
            with pytest.raises((npyfast.NpyFormatError, ValueError)):
                npyfast.source(path)
            seen["refused"] += 1
            continue
        with archive, zipfile.ZipFile(path) as members:
            for key in archive.files:
                kind = check_member(path, key, archive, members)
                seen[kind] += 1
    assert seen["rows"] >= 30
    assert min(seen[kind] for kind in ("compressed", "no rows", "refused")) >= 1


def check_member(path: Path, key: str, archive: Any, members: zipfile.ZipFile) -> str:
    """Looks at an array of an archive; returns what it is."""
    try:
        array = archive[key]
    except ValueError:  # Python objects
        with pytest.raises((npyfast.NpyFormatError, TypeError, ValueError)):
            npyfast.open(npyfast.source(path, key=key))
        return "refused"
    names = members.namelist()
    member = members.getinfo(key if key in names else f"{key}.npy")
    if not isinstance(array, np.ndarray):  # given as it is, because it is no .npy
        with pytest.raises(npyfast.NpyFormatError, match="not a readable .npy file"):
            npyfast.open(npyfast.source(path, key=key))
        return "no array"
    if array.ndim == 0:
        with pytest.raises(ValueError, match="0-dimensional array, which has no rows"):
            npyfast.open(npyfast.source(path, key=key))
        return "no rows"
    assert_rows(npyfast.source(path, key=key), array)
    return "rows" if member.compress_type == zipfile.ZIP_STORED else "compressed"
