"""Bad input is refused at once, by an error that names the file, what is wrong and the way out."""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="f4").reshape(12, 2)

READERS = {
    "open": npyfast.open,
    "batches": npyfast.batches,
    "batches of a nest": lambda path: npyfast.batches((X, {"bad": path})),
}

every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def npy(header: str | bytes, *, magic: bytes = b"\x93NUMPY\x01\x00", data: bytes = b"") -> bytes:
    text = header.encode("latin1") if isinstance(header, str) else header
    size = 2 if magic[6:7] == b"\x01" else 4
    return magic + len(text).to_bytes(size, "little") + text + data


def describe(descr: str = "'<f4'", shape: str = "(3,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


NOT_NPY = {
    "empty": b"",
    "one byte": b"\x93",
    "other text": b"col_a,col_b\n1,2\n" * 20,
    "pickle": pickle.dumps(X),
    "magic only": b"\x93NUMPY",
    "no length": b"\x93NUMPY\x01\x00",
    "version 0": npy(describe(), magic=b"\x93NUMPY\x00\x00", data=bytes(12)),
    "version 4": npy(describe(), magic=b"\x93NUMPY\x04\x00", data=bytes(12)),
    "version 1.1": npy(describe(), magic=b"\x93NUMPY\x01\x01", data=bytes(12)),
    "header cut off": npy(describe())[:-20],
    "header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100),
    "header of 60 kB": npy(describe() + " " * 60_000, data=bytes(12)),
    "no dict": npy("[1, 2, 3]\n"),
    "code": npy("__import__('os').abort()\n"),
    "keys missing": npy("{'descr': '<f4', 'shape': (3,)}\n", data=bytes(12)),
    "keys too many": npy(describe()[:-3] + "'more': 1}\n", data=bytes(12)),
    "bad descr": npy(describe("'<q9'"), data=bytes(100)),
    "negative shape": npy(describe(shape="(-3,)"), data=bytes(100)),
    "shape of floats": npy(describe(shape="(3.0,)"), data=bytes(100)),
    "shape that overflows": npy(describe(shape=f"({2**62}, {2**62})"), data=bytes(100)),
    "shape that overflows by zero": npy(describe(shape=f"(0, {2**62}, {2**62})")),
    "order is no bool": npy(
        "{'descr': '<f4', 'fortran_order': 'no', 'shape': (3,), }\n", data=bytes(12)
    ),
}


@every_reader
@pytest.mark.parametrize("content", NOT_NPY.values(), ids=NOT_NPY)
def test_no_npy_file(tmp_path: Path, content: bytes, reader: Any) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    with pytest.raises(npyfast.NpyFormatError) as caught:
        reader(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: not a readable .npy file: ")
    assert len(message) > len(f"{path}: not a readable .npy file: ") + 10  # and why
    assert isinstance(caught.value, ValueError)


@every_reader
def test_a_truncated_file(save: Save, reader: Any) -> None:
    path = save(np.zeros((8000, 224, 224, 3), "u1")[:10])
    os.truncate(path, os.path.getsize(path) - 128)
    with pytest.raises(npyfast.NpyFormatError) as caught:
        reader(path)
    assert str(caught.value) == (
        f"{path}: holds 1,505,152 bytes of data, its header promises 1,505,280 "
        "(10, 224, 224, 3) uint8: the file is truncated; copy it again"
    )


@every_reader
def test_a_bad_file_is_named(save: Save, reader: Any) -> None:
    good, bad = save(X), save(X)
    os.truncate(bad, 200)
    with pytest.raises(npyfast.NpyFormatError, match=re.escape(bad) + ": holds 72 bytes"):
        reader([good, bad, good])


def test_read_header_refuses_it_too(tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    path.write_bytes(b"nonsense" * 10)
    with pytest.raises(npyfast.NpyFormatError, match=f"{path}: not a readable .npy file"):
        npyfast.read_header(path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


@every_reader
def test_objects_are_never_unpickled(save: Save, reader: Any) -> None:
    path = save(np.array([Bomb(), Bomb()], dtype=object))
    with pytest.raises(TypeError) as caught:
        reader(path)
    assert str(caught.value) == (
        f"{path}: holds Python objects (dtype object), which npyfast never unpickles; save the "
        "array with a numeric or fixed-length string dtype"
    )


@every_reader
def test_objects_in_a_field(save: Save, reader: Any) -> None:
    for array in (
        np.zeros(3, [("a", "i4"), ("b", "O")]),
        np.zeros(3, [("a", [("b", "O", (2,))])]),
    ):
        path = save(array)
        with pytest.raises(TypeError, match=re.escape(f"{path}: holds Python objects")):
            reader(path)


@every_reader
def test_objects_in_memory(reader: Any) -> None:
    with pytest.raises(TypeError, match="an array in memory: holds Python objects"):
        reader(np.array([None, 1]))


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="a dtype of NumPy 2")
@every_reader
def test_variable_length_strings_in_memory(reader: Any) -> None:
    with pytest.raises(TypeError, match="Python objects"):
        reader(np.array(["a", "bc"], np.dtypes.StringDType()))


@every_reader
def test_a_scalar_has_no_rows(save: Save, reader: Any) -> None:
    path = save(np.float32(3))
    with pytest.raises(ValueError, match=re.escape(path) + ": holds a 0-dimensional array"):
        reader(path)
    with pytest.raises(ValueError, match="a 0-dimensional array has no rows"):
        reader(np.array(3))


def way_out(reader: Any) -> str:
    """What `batches` and `dataset` add, which take several arrays; `open` takes one."""
    return "" if reader is npyfast.open else "; for several arrays pass a tuple, not a list"


@every_reader
def test_files_of_two_dtypes(save: Save, reader: Any) -> None:
    for other, name in ((X.astype("f8"), "float64"), (X.astype(">f4"), ">f4")):
        a, b = save(X), save(other)
        with pytest.raises(ValueError) as caught:
            reader([a, a, b])
        assert str(caught.value) == (
            f"the files of one array must have one dtype: {a} has float32, {b} has {name}"
            + way_out(reader)
        )


@every_reader
def test_files_of_two_row_shapes(save: Save, reader: Any) -> None:
    a, b, c = save(X), save(X.reshape(8, 3)), save(X.reshape(-1))
    for other, shape in ((b, "(3,)"), (c, "()")):
        with pytest.raises(ValueError) as caught:
            reader([a, other])
        assert str(caught.value) == (
            f"the files of one array must have one row shape: {a} has (2,), {other} has {shape}"
            + way_out(reader)
        )


def test_an_empty_file_must_fit_as_well(save: Save) -> None:
    with pytest.raises(ValueError, match="one dtype"):
        npyfast.open([save(X), save(np.zeros((0, 2), "f8"))])
    with pytest.raises(ValueError, match="one row shape"):
        npyfast.open([save(np.zeros((0, 3), "f4")), save(X)])


def test_leaves_of_two_lengths(save: Save) -> None:
    a, b = save(X), save(X[:11])
    with pytest.raises(ValueError) as caught:
        npyfast.batches({"a": a, "b": (a, b)})
    assert str(caught.value) == (
        f"all leaves must have the same number of rows: {a} has 12, {b} has 11; "
        "npyfast.source(..., rows=slice(start, stop)) takes some of the rows of one leaf; "
        "a list of paths is one array, a tuple or dict is several"
    )
    with pytest.raises(ValueError, match=r"has 12, the array of shape \(3,\) in memory has 3"):
        npyfast.batches((a, np.zeros(3)))
    with pytest.raises(ValueError, match=r" and 1 more files has 24"):
        npyfast.batches((a, [a, a]))


@every_reader
def test_no_file(tmp_path: Path, reader: Any) -> None:
    path = str(tmp_path / "missing.npy")
    with pytest.raises(FileNotFoundError) as caught:
        reader(path)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == path
    assert path in str(caught.value)


@every_reader
def test_a_dangling_link(tmp_path: Path, reader: Any) -> None:
    (tmp_path / "link.npy").symlink_to(tmp_path / "missing.npy")
    with pytest.raises(FileNotFoundError) as caught:
        reader(tmp_path / "link.npy")
    assert caught.value.filename == str(tmp_path / "link.npy")


@every_reader
def test_a_directory_without_npy(tmp_path: Path, reader: Any) -> None:
    (tmp_path / "notes.txt").write_text("no array")
    with pytest.raises(FileNotFoundError, match="the directory has no .npy files") as caught:
        reader(tmp_path)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(tmp_path)


@every_reader
def test_a_pattern_that_matches_nothing(tmp_path: Path, reader: Any) -> None:
    pattern = f"{tmp_path}/part-*.npy"
    with pytest.raises(FileNotFoundError, match="no file matches the pattern") as caught:
        reader(pattern)
    assert caught.value.filename == pattern


@pytest.fixture
def readable_by_nobody() -> Iterator[str]:
    """A file without permissions, while this process is no superuser."""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is in a folder of root's own
        os.chmod(folder, 0o755)
        path = f"{folder}/x.npy"
        np.save(path, X)
        os.chmod(path, 0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield path
        finally:
            os.seteuid(user)


@every_reader
def test_no_permission(readable_by_nobody: str, reader: Any) -> None:
    with pytest.raises(PermissionError) as caught:
        reader(readable_by_nobody)
    assert caught.value.errno == errno.EACCES
    assert caught.value.filename == readable_by_nobody


def test_no_permission_for_a_key(readable_by_nobody: str) -> None:
    with pytest.raises(PermissionError) as caught:
        npyfast.open(npyfast.source(readable_by_nobody, key="x"))
    assert caught.value.filename == readable_by_nobody


@every_reader
def test_part_of_the_path_is_a_file(save: Save, reader: Any) -> None:
    path = save(X) + "/x.npy"
    with pytest.raises(NotADirectoryError) as caught:
        reader(path)
    assert caught.value.filename == path


@every_reader
def test_a_directory_named_like_a_file(tmp_path: Path, reader: Any) -> None:
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(OSError) as caught:
        reader([tmp_path])
    assert str(tmp_path / "folder.npy") in str(caught.value)


@every_reader
def test_a_pipe_does_not_hang(tmp_path: Path, reader: Any) -> None:
    path = str(tmp_path / "pipe.npy")
    os.mkfifo(path)
    with pytest.raises(OSError) as caught:
        reader(path)
    assert caught.value.filename == path


@every_reader
def test_a_null_byte_in_a_path(reader: Any) -> None:
    with pytest.raises(ValueError, match="null"):
        reader("a\0b.npy")


NO_SOURCES = [
    None,
    3,
    2.5,
    b"bytes.npy",
    [],
    [1, 2, 3],
    [[1.0, 2.0]],
    ["a.npy", 3],
    {"a.npy"},
    pytest.param(io.BytesIO(b""), id="BytesIO"),
    np.float32(3),
    pytest.param(object(), id="object"),
]


@every_reader
@pytest.mark.parametrize("source", NO_SOURCES, ids=repr)
def test_no_source(source: Any, reader: Any) -> None:
    with pytest.raises(TypeError, match=r"a source is a path, a glob|a list of paths holds"):
        reader(source)


def test_a_list_of_numbers_has_a_way_out() -> None:
    with pytest.raises(TypeError, match=r"np.asarray\(...\) makes an array of it"):
        npyfast.batches([1, 2, 3])


@pytest.mark.parametrize("nest", [(), {}, ((), {})], ids=repr)
def test_an_empty_nest(nest: Any) -> None:
    with pytest.raises(ValueError, match="has no rows; a source is a path"):
        npyfast.batches(nest)


def test_source_takes_paths_only() -> None:
    for wrong in (None, 3, [], ["a", 3], [X], ("a", "b")):
        with pytest.raises(TypeError, match="path"):
            npyfast.source(wrong)  # type: ignore[arg-type]


WRONG_OPTIONS: dict[str, tuple[list[Any], str]] = {
    "batch_size": ([0, -1, 2**31, 1.0, "3", None, True], r"batch_size must be an int in \[1, 2"),
    "shuffle": (
        [1, "yes", None, "Block", npyfast.BlockShuffle, (10, 100)],
        r"shuffle must be False, True, 'block' or npyfast.BlockShuffle\(...\), got",
    ),
    "seed": ([-1, 2**64, 1.0, "3", True], r"seed must be an int in \[0, 1844674"),
    "epochs": ([0, -2, 1.0, "3", True], r"epochs must be None, -1 \(endless\) or an int"),
    "drop_remainder": ([1, "yes", None], "drop_remainder must be True or False"),
    "start_epoch": ([-1, 1.0, None, 2**62], r"start_epoch must be an int"),
    "start_batch": ([-1, 1.0, None], r"start_batch must be an int of at least 0"),
    "threads": ([0, -1, 1.5, True, "2"], r"threads must be an int in \[1, 32768"),
    "readahead": (["on", None, 1, True], "readahead must be one of 'auto', 'off', 'whole', 'rows'"),
    "transform": ([3, "f"], "transform must be None or a function"),
    "transform_threads": (
        [0, -1, 1.5, True, "2", None, 2**15],
        r"transform_threads must be an int in \[1, 32768",
    ),
    "shard": (
        [0, (0,), (0, 1, 2), [0, 1], "01", (1, 1), (-1, 2), (0, 0), (0, 1.5), ("0", 1)],
        "shard must be|index of shard must be|count of shard must be",
    ),
    "rows": (
        [
            *(3, "a", 1.5, [1.5], ["a"], [[1, 2]], np.zeros((12, 1), bool), {1: 2}),
            *(slice("a", None), slice(None, None, 0)),
        ],
        "rows must be None, a slice, an integer array of row numbers, a boolean mask or a part "
        "that npyfast.split makes",
    ),
}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [(name, value, text) for name, (values, text) in WRONG_OPTIONS.items() for value in values],
    ids=lambda value: None if isinstance(value, str) and len(value) > 20 else repr(value),
)
def test_wrong_options(option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        npyfast.batches(X, **{option: value})
    if option != "rows":
        assert repr(value) in str(caught.value) or isinstance(value, tuple)


def test_both_parts_of_a_split() -> None:
    with pytest.raises(
        ValueError, match=r"got several parts, \(<npyfast\.RowSelection: .*pass one"
    ):
        npyfast.batches(X, rows=npyfast.split(X))


def test_a_mask_of_the_wrong_length() -> None:
    with pytest.raises(ValueError, match="the mask rows has 11 entries for 12 rows"):
        npyfast.batches(X, rows=np.ones(11, bool))


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([0, 12, 13], "12"),
        ([-13], "-13"),
        (np.array([2**63], "u8"), str(2**63)),
        ([5, 2**40], str(2**40)),
    ],
)
def test_row_numbers_out_of_range(rows: Any, first: str) -> None:
    with pytest.raises(IndexError, match=f"row {first} is out of range for 12 rows"):
        npyfast.batches(X, rows=rows)


@pytest.mark.parametrize("rows", [range(13), range(-1, 3), range(20, 30), range(12, 0, -1)])
def test_a_range_out_of_range(rows: range) -> None:
    with pytest.raises(IndexError, match=re.escape(f"rows={rows!r} is out of range for 12 rows")):
        npyfast.batches(X, rows=rows)


def test_start_batch_needs_epochs() -> None:
    with pytest.raises(ValueError, match="start_batch=2 needs an explicit epochs"):
        npyfast.batches(X, 4, start_batch=2)


def test_start_batch_beyond_the_epoch() -> None:
    with pytest.raises(ValueError, match="start_batch=4 is beyond the 3 batches of an epoch"):
        npyfast.batches(X, 4, start_batch=4, epochs=2)


def test_unknown_options() -> None:
    with pytest.raises(TypeError, match="bathc_size"):
        npyfast.batches(X, bathc_size=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("epochs", [None, 1, 5, -1])
def test_zero_rows_are_an_empty_dataset(save: Save, epochs: int | None) -> None:
    for source in (save(np.zeros((0, 3))), X[:0], (X[:0], save(np.zeros(0)))):
        made = npyfast.batches(source, shuffle=True, epochs=epochs)
        assert len(made) == 0
        iterator = iter(made)
        assert list(iterator) == []
        assert iterator.position == (0, 0)
