"""`npyfast info`: what it says of files of all kinds, good and bad."""

from __future__ import annotations

import json
import os
import shlex
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import processes
import pytest
from backends import TENSORFLOW
from samples import Save, dtypes

import npyfast
from npyfast._backends import backend
from npyfast._commands import main
from npyfast._commands.describe import describe, is_unreadable, tensor_type

pytestmark = pytest.mark.usefixtures("backend")


X = np.arange(24, dtype="i4").reshape(12, 2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def the_array(path: str) -> dict[str, Any]:
    """What is said of a readable file of one array."""
    told = describe(path)
    assert not is_unreadable(told)
    (array,) = told["arrays"]
    assert isinstance(array, dict)
    return array


def codes(told: dict[str, Any]) -> list[str]:
    return [advice["code"] for advice in told["advice"]]


def test_a_plain_file(save: Save) -> None:
    save(X, "x.npy")
    told = describe("x.npy")
    assert {key: told[key] for key in ("path", "format", "files", "bytes", "error", "advice")} == {
        "path": "x.npy",
        "format": "npy",
        "files": 1,
        "bytes": 128 + 96,
        "error": None,
        "advice": [],
    }
    array = the_array("x.npy")
    native = npyfast.backend == "native"
    usable = array.pop("usable_memory")
    assert usable > 1 << 20
    reason = array.pop("engine_reason")
    if TENSORFLOW:
        assert array.pop("engine") == ("graph" if native else "generator")
        assert reason.startswith("an op of" if native else "the graph engine needs the native")
    else:
        array.pop("engine")
    assert array == {
        "key": None,
        "rows": 12,
        "row_shape": [2],
        "dtype": "<i4",
        "row_bytes": 8,
        "nbytes": 96,
        "version": [1, 0],
        "order": "C",
        "native_byte_order": True,
        "data_offset": 128,
        "chunks": None,
        "compression": None,
        "access": "mapped",
        "backend": npyfast.backend,
        "tensorflow": "int32",
        "fits_in_memory": True,
        "read_as": "whole" if native else "on demand",
        "advice": [],
        "error": None,
    }


@pytest.mark.skipif(not TENSORFLOW, reason="NPYFAST_TEST_TENSORFLOW leaves TensorFlow out")
def test_the_types_are_tensorflows() -> None:
    from npyfast._engines import tensors

    def of_tensorflow(dtype: np.dtype[Any]) -> Any:
        if dtype.subdtype is not None:
            return of_tensorflow(dtype.subdtype[0])
        if dtype.names is not None:
            return {name: of_tensorflow(dtype[name]) for name in dtype.names}
        try:
            return tensors.tensor_type(dtype.newbyteorder("=")).name
        except TypeError:
            return None

    for dtype in [*dtypes(), np.dtype("V2")]:
        assert tensor_type(dtype) == of_tensorflow(dtype), dtype


def test_tensorflow_is_not_imported(save: Save) -> None:
    program = "info_without_tensorflow.py"
    out, err = processes.finish(processes.start(program, save(X, "x.npy"), backend=npyfast.backend))
    assert "12 of shape (2,), int32" in out
    assert err == ""


def test_shards(save: Save) -> None:
    save(X, "in/x-0.npy")
    save(np.asfortranarray(X), "in/x-1.npy")
    for path in ("in", "in/*.npy"):
        array = the_array(path)
        assert (array["rows"], array["order"]) == (24, "mixed")
        assert codes(array) == ["fortran-order"]
    assert codes(describe("in")) == ["row-per-file"]
    assert describe("in")["advice"][0]["command"] == "npyfast pack in -o in.npy --per-file row"
    assert describe("in")["files"] == 2


def test_many_files(save: Save) -> None:
    data = Path(save(X, "in/0.npy")).read_bytes()
    for i in range(1, 1001):
        Path(f"in/{i}.npy").write_bytes(data)
    array = the_array("in/*.npy")
    assert array["rows"] == 12 * 1001
    assert array["advice"] == [
        {
            "code": "many-files",
            "level": "fix",
            "text": "1,001 files take long to open",
            "command": "npyfast pack 'in/*.npy' -o packed.npy --max-file-size 1GiB",
        }
    ]


def test_an_archive() -> None:
    np.savez("stored.npz", x=np.asfortranarray(X), y=X[:, 0].astype(">i8"))
    told = describe("stored.npz")
    assert told["format"] == "npz"
    x, y = told["arrays"]
    assert (x["key"], x["access"], x["order"], x["compression"]) == ("x", "mapped", "F", None)
    assert x["advice"][0]["command"] == "npyfast pack stored.npz --key x -o x.npy"
    assert (y["native_byte_order"], y["dtype"], codes(y)) == (False, ">i8", ["byte-order"])
    with open("stored.npz", "rb") as file:
        file.seek(y["data_offset"])
        assert (np.fromfile(file, ">i8", 12) == X[:, 0]).all()


def test_a_compressed_archive() -> None:
    np.savez_compressed("small.npz", x=X, o=np.array([None]))
    told = describe("small.npz")
    assert told["error"] is None
    x, o = told["arrays"]
    assert (x["access"], x["compression"], x["rows"], x["error"]) == ("memory", "deflate", 12, None)
    assert x["engine"] is None
    assert codes(x) == ["compressed"]
    assert "Python objects" in o["error"]
    assert is_unreadable(told)
    # The advice does what it says.
    assert main([*x["advice"][0]["command"].split()[1:], "--quiet"]) == 0
    assert (np.load("x.npy") == X).all()


def test_a_compressed_archive_that_does_not_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("large.npz", x=X)
    (x,) = describe("large.npz")["arrays"]
    assert (x["access"], x["fits_in_memory"]) == ("memory", True)
    assert x["advice"][0]["text"] == "it is compressed (deflate): each process inflates it"
    monkeypatch.setattr(backend(), "usable_memory", lambda: X.nbytes)
    (x,) = describe("large.npz")["arrays"]
    assert (x["access"], x["fits_in_memory"]) == ("none", False)
    assert x["advice"][0]["text"] == "it is compressed (deflate): no row can be read"


def test_a_number_in_a_compressed_archive() -> None:
    np.savez_compressed("a.npz", x=X, count=12)
    x, count = describe("a.npz")["arrays"]
    assert codes(x) == ["compressed"]
    assert count["error"] == "a.npz['count']: holds a 0-dimensional array, which has no rows"


def test_a_damaged_file_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"")
    assert "a.npz: not a readable .npz archive" in describe("a.npz")["error"]
    with h5py.File("a.h5", "w") as file:
        file["x"] = X

    def broken(*_: Any) -> None:
        raise KeyError("Unable to synchronously open object")

    monkeypatch.setattr(h5py.Group, "visititems", broken)
    assert describe("a.h5")["error"] == "a.h5: is damaged: Unable to synchronously open object"


def test_commands_for_names_that_look_like_options(save: Save) -> None:
    save(np.asfortranarray(X), "-f.npy")
    np.savez_compressed("-z.npz", **{"-x": X, "y": X})
    arrays = [array for path in ("-f.npy", "-z.npz") for array in describe(path)["arrays"]]
    for array in arrays:
        (advice,) = array["advice"]
        assert main(shlex.split(advice["command"])[1:]) == 0
    for name in ("-f-packed.npy", "-x.npy", "y.npy"):
        assert (np.load(name) == X).all()


def test_hdf5() -> None:
    with h5py.File("in.h5", "w") as file:
        file["plain"] = X
        file.create_dataset("a/chunked", data=X, chunks=(4, 1), compression="gzip")
    told = describe("in.h5")
    assert told["format"] == "hdf5"
    arrays = {array["key"]: array for array in told["arrays"]}
    plain, chunked = arrays["plain"], arrays["a/chunked"]
    assert (plain["access"], plain["rows"], plain["advice"]) == ("mapped", 12, [])
    assert plain["data_offset"] > 0
    assert (chunked["access"], chunked["chunks"], chunked["compression"]) == (
        "h5py",
        [4, 1],
        "gzip",
    )
    assert (chunked["backend"], chunked["read_as"]) == ("numpy", "on demand")
    assert chunked["engine"] == ("generator" if TENSORFLOW else chunked["engine"])
    assert chunked["advice"][0]["command"] == (
        "npyfast pack in.h5 --key a/chunked -o a-chunked.npy"
    )


def test_fields_out_of_order_have_no_command() -> None:
    dtype = np.dtype(
        {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [4, 0], "itemsize": 8}
    )
    with h5py.File("a.h5", "w") as file:
        file["x"] = np.zeros(5, dtype)
    (advice,) = the_array("a.h5")["advice"]
    assert advice["command"] is None
    assert "the order of their offsets" in advice["text"]


def test_larger_than_memory(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    save(X, "x.npy")
    save(np.zeros((4, 4096), np.uint8), "wide.npy")
    monkeypatch.setattr(backend(), "usable_memory", lambda: 112)
    array = the_array("x.npy")
    assert array["fits_in_memory"] is False
    assert array["read_as"] == ("rows" if npyfast.backend == "native" else "on demand")
    assert codes(array) == ["small-rows"]
    assert codes(the_array("wide.npy")) == []
    monkeypatch.setattr(backend(), "usable_memory", lambda: 113)
    assert the_array("x.npy")["fits_in_memory"] is True


def test_dtypes(save: Save) -> None:
    save(np.zeros((3, 2), "g"), "long.npy")
    array = the_array("long.npy")
    assert (array["tensorflow"], array["engine"], codes(array)) == (
        None,
        None,
        ["no-tensorflow-type"],
    )
    assert array["advice"][0]["command"].endswith("--cast float64")
    save(np.zeros(3, [("a", "g"), ("b", ">f4", (2,)), ("c", [("d", "S3")])]), "fields.npy")
    array = the_array("fields.npy")
    assert array["tensorflow"] == {"a": None, "b": "float32", "c": {"d": "string"}}
    assert codes(array) == ["no-tensorflow-type", "byte-order"]
    assert array["advice"][0]["command"] is None
    save(np.zeros((0, 3)), "empty.npy")
    assert codes(the_array("empty.npy")) == ["no-rows"]


# What can't be read


def test_bad_files(save: Save, tmp_path: Path) -> None:
    save(X, "x.npy")
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:-1])
    Path("raw.bin").write_bytes(b"12345678")
    Path("bad.npz").write_bytes(b"PK\x03\x04 and so on")
    Path("empty.npy").write_bytes(b"")
    os.mkdir("folder")
    for path, message in {
        "none.npy": "none.npy: No such file",
        "*.none": "no file matches",
        "folder": "has no .npy files",
        "short.npy": "is truncated",
        "raw.bin": "not a readable .npy file",
        "empty.npy": "not a readable .npy file",
        "bad.npz": "not a readable .npz archive",
        "a\0b": "null characters",
    }.items():
        told = describe(path)
        assert message in told["error"], path
        assert told["arrays"] == []
        assert is_unreadable(told)
        assert codes(told) == (["not-npy"] if path == "raw.bin" else [])


def test_arrays_that_have_no_rows_or_only_objects(save: Save) -> None:
    save(np.float32(3), "scalar.npy")
    save(np.array([None, 1]), "objects.npy")
    save(X, "in/a.npy")
    save(X.T.copy(), "in/b.npy")
    for path, message, dtype in (
        ("scalar.npy", "0-dimensional", "<f4"),
        ("objects.npy", "Python objects", "|O"),
        ("in", "must have one row shape", "<i4"),
    ):
        told = describe(path)
        assert told["error"] is None
        (array,) = told["arrays"]
        assert message in array["error"]
        assert (array["dtype"], array["access"]) == (dtype, "none")


# The command


def test_one_that_is_unreadable_does_not_stop_the_others(
    save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    save(X, "x.npy")
    assert main(["info", "x.npy"]) == 0
    assert main(["info", "none.npy", "x.npy", "none-*"]) == 1
    out, err = capsys.readouterr()
    assert out.count("12 of shape (2,), int32") == 2
    assert "  error    none.npy: No such file or directory\n" in out
    assert err == ""


def test_json(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    save(X, "x.npy")
    np.savez("y.npz", x=np.zeros(3, [("a", ">f4", (2,)), ("b", [("c", "U3")])]))
    assert main(["info", "x.npy", "none.npy", "y.npz", "--json"]) == 1
    described = json.loads(capsys.readouterr().out)
    assert described == [describe(path) for path in ("x.npy", "none.npy", "y.npz")] or (
        # Memory is measured each time, and tuples are lists.
        [told["path"] for told in described] == ["x.npy", "none.npy", "y.npz"]
    )
    assert len({tuple(told) for told in described}) == 1  # the same keys
    assert described[2]["arrays"][0]["dtype"] == [["a", ">f4", [2]], ["b", [["c", "<U3"]]]]


def test_text(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    save(np.asfortranarray(X.astype(">i4")), "two words.npy")
    np.savez_compressed("y.npz", x=np.zeros(3, [("a", ">f4", (2,)), ("b", [("c", "U3")])]))
    assert main(["info", "two words.npy", "y.npz"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert all(len(line) <= 100 for line in lines)
    for expected_line in (
        "two words.npy",
        "  format   .npy 1.0, one file, 224 B",
        "  rows     12 of shape (2,), >i4",
        "  layout   8 B a row, 96 B in all, Fortran order, data from byte 128 on",
        f"  npyfast  mapped in place, backend {npyfast.backend}",
        "  tensor   tf.int32",
        "           npyfast pack 'two words.npy' -o 'two words-packed.npy'",
        "y.npz",
        "  ['x']",
        "    rows     3 of shape (), [('a', '>f4', (2,)), ('b', [('c', '<U3')])]",
        "    tensor   a dict of a: tf.float32, b: a dict of c: tf.string",
        "             npyfast pack y.npz --key x -o x.npy",
    ):
        assert expected_line in lines


def test_a_name_that_is_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"\xff.npy")
    with open(name, "wb") as file:
        np.save(file, X)
    assert main(["info", name]) == 0
    assert "12 of shape" in capsys.readouterr().out
    assert main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == name


def test_a_reader_that_has_seen_enough(save: Save) -> None:
    paths = [save(X, "x.npy"), save(X.T, "y.npy")] * 1500
    command = ("-m", "npyfast", "info", *paths)
    process = processes.start_python(*command, NPYFAST_BACKEND=npyfast.backend)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(processes.TIMEOUT) == 1
    assert err == ""


def sample_files(save: Save, count: int = 12) -> list[str]:
    return [save(np.full((3, 2), number, ">f4"), f"s/{number}.npy") for number in range(count)]


def test_files_of_one_row(save: Save) -> None:
    sample_files(save)
    for path in ("s", "s/*.npy"):
        told = describe(path, "row")
        assert not is_unreadable(told)
        assert (told["files"], told["advice"]) == (12, [])
        (array,) = told["arrays"]
        assert (array["rows"], array["row_shape"], array["row_bytes"]) == (12, [3, 2], 24)
        assert (array["access"], array["dtype"], array["nbytes"]) == ("row files", ">f4", 288)
        assert (array["tensorflow"], array["read_as"]) == ("float32", "on demand")
        assert codes(array) == ["byte-order"]
    assert describe("s")["arrays"][0]["rows"] == 36
    save(np.zeros((3, 3), ">f4"), "s/12.npy")
    (array,) = describe("s", "row")["arrays"]
    assert "must have one shape" in array["error"]
    assert "(3, 2)" in array["error"]


def test_files_of_one_row_that_cannot_be(save: Save) -> None:
    np.savez("a.npz", x=X)
    assert is_unreadable(describe("a.npz", "row"))
    assert is_unreadable(describe("none", "row"))
    for number in range(2):
        save(np.array(number), f"n/{number}.npy")
    assert describe("n", "row")["arrays"][0]["row_shape"] == []


def test_a_command_for_many_files_of_one_row(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npyfast._commands.advice._MANY_FILES", 12)
    sample_files(save)
    (array,) = describe("s", "row")["arrays"]
    (advice, _) = array["advice"]
    assert advice["code"] == "many-files"
    assert main([*shlex.split(advice["command"])[1:], "--quiet"]) == 0
    assert np.load("s-00000-of-00001.npy").shape == (12, 3, 2)


@pytest.mark.parametrize("per_file", [[], ["--per-file", "row"]])
def test_many_like_files_are_one_block(
    save: Save, capsys: pytest.CaptureFixture[str], per_file: list[str]
) -> None:
    paths = [os.path.relpath(path) for path in sample_files(save)]
    save(X, "other.npy")
    command = ["info", *per_file, "other.npy", *paths[:3], "none.npy", *paths[3:], "none.npy"]
    assert main(command) == 1
    blocks = capsys.readouterr().out.split("\n\n")
    names = [block.splitlines()[0] for block in blocks]
    many = f"{paths[3]} and 8 more paths that are alike"
    assert names == ["other.npy", *paths[:3], "none.npy", many, "none.npy"]
    block = blocks[-2]
    assert ", 9 files, 1.34 KiB" in block
    row = "9 of shape (3, 2)" if per_file else "27 of shape (2,)"
    assert f"  rows     {row}, >f4" in block
    assert "216 B in all" in block
    assert "a pattern in quotes describes all as one" in block
    assert ("--per-file row" in block) == (not per_file)
    assert main(["info", "--json", *per_file, *paths]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 12
