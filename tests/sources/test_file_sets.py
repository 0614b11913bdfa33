"""Sets of packed files, of which one may be missing: never a shorter array without a word."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfast
from npyfast._commands import main
from npyfast._sources.file_sets import check_sets

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="i4").reshape(12, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a packed set of three files, and nothing else."""
    made = tmp_path / "set"
    made.mkdir()
    npyfast.pack(X, made / "o.npy", max_file_size=160)
    assert sorted(os.listdir(made)) == [f"o-0000{i}-of-00003.npy" for i in range(3)]
    return made


def ways(folder: Path) -> list[Any]:
    return [folder, str(folder), f"{folder}/*.npy", f"{folder}/o-*", [f"{folder}/o-*"], [folder]]


FRONT_ENDS: dict[str, Callable[[Any, Path], object]] = {
    "open": lambda source, out: npyfast.open(source),
    "batches": lambda source, out: npyfast.batches(source),
    "batches of a nest": lambda source, out: npyfast.batches({"x": (np.arange(12), source)}),
    "split": lambda source, out: npyfast.split(source, 0.5, seed=1),
    "pack": lambda source, out: npyfast.pack(source, out),
    "source": lambda source, out: npyfast.source(source, cast="f4"),
}


def refused(folder: Path, text: str) -> None:
    out = folder.parent / "out.npy"
    for front_end in FRONT_ENDS.values():
        for source in ways(folder):
            with pytest.raises(ValueError, match=text):
                front_end(source, out)
    assert not out.exists()


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_file_is_missing(folder: Path, missing: int) -> None:
    for source in ways(folder):
        assert (npyfast.open(source)[:] == X).all()
    name = folder / f"o-0000{missing}-of-00003.npy"
    name.unlink()
    refused(folder, f"^{re.escape(str(name))}: is missing, and .*: 2 of 3 files of its set")


def test_files_of_two_sets(folder: Path) -> None:
    np.save(folder / "o-00003-of-00005.npy", X)
    refused(folder, r"o-0000\d-of-0000[35]\.npy and .*o-0000\d-of-0000[35]\.npy are of two sets")
    with pytest.raises(ValueError, match="are of two sets"):
        npyfast.open([str(path) for path in folder.iterdir()])


def test_a_number_beyond(folder: Path) -> None:
    np.save(folder / "o-00007-of-00003.npy", X)
    refused(folder, r"o-00007-of-00003\.npy: has a number beyond those of its set of 3")


def test_a_number_twice(folder: Path) -> None:
    np.save(folder / "o-000001-of-00003.npy", X)
    refused(folder, r"o-00000?1-of-00003\.npy: is found twice, or is .*o-00000?1-of-00003\.npy by")


def test_the_output_in_one_file_and_in_several(folder: Path) -> None:
    np.save(folder / "o.npy", X)
    out = folder.parent / "out.npy"
    for source in (folder, f"{folder}/*.npy", f"{folder}/o*"):
        with pytest.raises(ValueError, match=r"o\.npy and .*o-00000-of-00003\.npy are the same"):
            npyfast.pack(source, out)
    assert (npyfast.open(f"{folder}/o-*.npy")[:] == X).all()
    assert (npyfast.open(folder / "o.npy")[:] == X).all()


def test_what_is_found_twice(folder: Path) -> None:
    with pytest.raises(ValueError, match="is found twice"):
        npyfast.open([f"{folder}/o-*", f"{folder}/o-00000*"])


def test_patterns_that_find_a_set_together(folder: Path) -> None:
    assert (npyfast.open([f"{folder}/o-0000[01]*", f"{folder}/o-00002*"])[:] == X).all()
    last = folder / "o-00002-of-00003.npy"
    assert (npyfast.open([f"{folder}/o-0000[01]*", last])[:] == X).all()
    with pytest.raises(ValueError, match=r"o-00002-of-00003\.npy: is missing"):
        npyfast.open([f"{folder}/o-0000[01]*"])


def test_files_that_are_named_are_what_is_wanted(folder: Path) -> None:
    names = sorted(str(path) for path in folder.iterdir())
    assert (npyfast.open(names[1])[:] == X[4:8]).all()
    assert (npyfast.open(names[::2])[:] == np.concatenate([X[:4], X[8:]])).all()
    assert (npyfast.open([names[1], names[1]])[:] == np.concatenate([X[4:8]] * 2)).all()
    os.unlink(names[0])
    assert (npyfast.open(names[1:])[:] == X[4:]).all()


def test_other_names(folder: Path) -> None:
    """Sets of other stems, and files of no set, are files like any other."""
    npyfast.pack(X + 100, folder / "p.npy", max_file_size=150)
    np.save(folder / "q.npy", X + 200)
    np.save(folder / "r-1-of-3.npy", X + 300)
    whole = np.concatenate([X, X + 100, X + 200, X + 300])
    assert (npyfast.open(folder)[:] == whole).all()
    next(folder.glob("p-00003-of-*")).unlink()
    refused_by = r"p-00003-of-00006\.npy: is missing"
    with pytest.raises(ValueError, match=refused_by):
        npyfast.open(folder)
    assert (npyfast.open(f"{folder}/o-*")[:] == X).all()


def test_numbers_that_begin_at_1(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        np.save(tmp_path / f"o-0000{number}-of-00003.npy", X[4 * number - 4 : 4 * number])
    assert (npyfast.open(tmp_path)[:] == X).all()
    (tmp_path / "o-00002-of-00003.npy").unlink()
    with pytest.raises(ValueError, match=r"o-00002-of-00003\.npy: is missing"):
        npyfast.open(tmp_path)


def test_samples_are_no_set(tmp_path: Path) -> None:
    np.save(tmp_path / "o-00001-of-00003.npy", X)
    assert len(npyfast.open(npyfast.source(tmp_path, per_file="row"))) == 1


def test_names_that_promise_too_much() -> None:
    path = f"o-00000-of-{10**100}.npy"
    with pytest.raises(ValueError, match=r"o-00001-of-1000.*: is missing"):
        check_sets([path], ())


def test_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(str(path) for path in folder.iterdir())
    out = str(folder.parent / "out.npy")
    assert main(["pack", *names, "-o", out, "--quiet"]) == 0
    os.unlink(names[1])
    for sources in ([folder], [f"{folder}/*.npy"], names[::2]):  # the shell's pattern
        assert main(["pack", *map(str, sources), "-o", out, "--overwrite"]) == 1
        assert f"{names[1]}: is missing" in capsys.readouterr().err
    assert main(["pack", names[0], "-o", out, "--overwrite", "--quiet"]) == 0
    assert main(["info", str(folder)]) == 1
    assert f"{names[1]}: is missing" in " ".join(capsys.readouterr().out.split())
    assert main(["info", names[0]]) == 0
