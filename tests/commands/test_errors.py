"""Errors of the command line name its own options, and not those of Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npyfast._commands import main
from npyfast._commands.errors import with_options

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.zeros((10, 784), "u1"))
    np.savez("a.npz", x=np.zeros(3), y=np.zeros(3))
    np.savez("b.npz", z=np.zeros(3))
    np.zeros(100, "u1").tofile("raw.bin")
    os.mkdir("seed=1")
    np.save("seed=1/key='x'.npy", np.zeros((3, 4)))
    for number in range(3):
        np.save(f"s{number}.npy", np.array(number))


ERRORS = {
    "a.npz": "a.npz: holds 2 arrays: choose one by --key NAME, of 'x', 'y'",
    "a.npz b.npz": "--key NAME chooses one",
    "raw.bin": "if it holds raw numbers, --dtype TYPE reads them",
    "raw.bin --dtype f4 --shape 3,-1": "--shape may have -1 as its first entry only",
    "raw.bin --dtype nonsense": "--dtype must be what np.dtype takes, got 'nonsense'",
    "raw.bin --shape 3": "--shape is for raw binary data: give --dtype TYPE as well",
    "X.npy --key x": "is a .npy file, which holds one array: omit --key x",
    "X.npy --per-file row --key x": (
        "--per-file and --key cannot be combined: --per-file is for .npy files of one row each, "
        "--key is for"
    ),
    "X.npy --row-shape -1,28,28": (
        "X.npy: --row-shape -1,28,28 counts the rows in, and is the shape of one row: use "
        "--row-shape 28,28"
    ),
    "X.npy --row-shape 3": "cannot be reshaped to --row-shape 3",
    "X.npy --row-shape -2": "--row-shape must be an int or a tuple of ints",
    "X.npy --scale 1/255": (
        "--scale and --shift need a float result, and the rows are uint8: give --cast float32"
    ),
    "X.npy --cast bool": "uint64; got bool",
    "X.npy --cast int8 --scale 2": "use --cast float32",
    "s*.npy": "has no rows; if each file is one row, pass --per-file row",
    "seed=1/key='x'.npy --row-shape 3": "seed=1/key='x'.npy: rows of shape (4,), 4 items",
    "seed=1 --row-shape 3": "seed=1/key='x'.npy: rows of shape (4,), 4 items",
}


@pytest.mark.parametrize("arguments", ERRORS)
def test_names_of_options(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    assert main(["pack", *arguments.split(), "-o", "out.npy"]) == 1
    text = capsys.readouterr().err
    assert ERRORS[arguments] in text
    for python in ("npyfast.source", "per_file", "row_shape", "transform"):
        assert python not in text


@pytest.mark.parametrize(
    ("text", "paths", "wanted"),
    [
        ("nothing to say", [], "nothing to say"),
        ("shuffle=True, seed=3 differ", [], "--shuffle --seed 3 differ"),
        ("/a/key=3/x.npy: key=3", [], "/a/key=3/x.npy: --key 3"),
        ("key=3: is gone; omit key=3", ["key=3"], "key=3: is gone; omit key=3"),
        ("the rows are scale and shape", [], "the rows are scale and shape"),
    ],
)
def test_what_is_translated(text: str, paths: Any, wanted: str) -> None:
    assert with_options(text, paths) == wanted
