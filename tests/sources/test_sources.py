"""What a source may be: a path, pattern, directory, list, array in memory, or a nest of these."""

from __future__ import annotations

import itertools
import os
import pickle
import re
from pathlib import Path
from typing import Any

import expected
import h5py
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save, in_order

import npyfast
from npyfast._sources.paths import natural_key

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="i4").reshape(12, 2)


def read(source: Any) -> Any:
    return np.asarray(npyfast.open(source))


def test_a_path_as_text_and_as_an_object(save: Save) -> None:
    path = save(X)
    assert_same(read(path), X)
    assert_same(read(Path(path)), X)


def test_a_relative_path(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(X, "here.npy")
    monkeypatch.chdir(os.path.dirname(path))
    assert_same(read("here.npy"), X)


def test_a_source_from_another_directory(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(X, "x.npy")
    save(X + 1, "other/x.npy")
    np.savez(tmp_path / "x.npz", x=X)
    monkeypatch.chdir(tmp_path)
    made = [npyfast.source("x.npy"), npyfast.source(["x.npz"], key="x")]
    assert made[0].files == ("x.npy",)
    made += [pickle.loads(pickle.dumps(source)) for source in made]
    monkeypatch.chdir("other")
    for source in made:
        assert_same(read(source), X)
    assert made[0].files == (str(tmp_path / "x.npy"),)


@pytest.mark.filterwarnings("ignore:.*h5py reads it:RuntimeWarning")
def test_another_directory_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are opened when they are read, or opened again, are found all the same."""
    monkeypatch.chdir(tmp_path)
    rows = np.arange(300)
    for folder in ("rows", "shards"):
        os.mkdir(folder)
        for row in rows:
            np.save(f"{folder}/{row}.npy", row if folder == "rows" else rows[row : row + 1])
    with h5py.File("chunked.h5", "w") as file:
        file.create_dataset("x", data=rows, chunks=(7,))
    for source in (
        npyfast.source("rows", per_file="row"),
        "shards",
        npyfast.source("chunked.h5", key="x"),
    ):
        made, opened = npyfast.batches(source, 50), npyfast.open(source)
        monkeypatch.chdir("/")
        assert_same(np.concatenate(list(made)), rows)
        assert_same(opened[:], rows)
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["ünïcode-\U0001f600.npy", "two words.npy", "-dash.npy", "no-suffix"]
)
def test_unusual_names(tmp_path: Path, name: str) -> None:
    with open(tmp_path / name, "wb") as file:
        np.save(file, X)
    assert_same(read(tmp_path / name), X)
    assert_same(next(iter(npyfast.batches(str(tmp_path / name)))), X)


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.npy")
    with open(name, "wb") as file:
        np.save(file, X)
    assert_same(read(name), X)
    assert_same(read(tmp_path), X)
    with open(name, "wb") as file:
        file.write(b"nonsense")
    with pytest.raises(npyfast.NpyFormatError) as caught:
        read(name)
    assert "\\xff\\xfe.npy: not a readable" in str(caught.value)  # which can be printed


def test_a_symbolic_link(save: Save, tmp_path: Path) -> None:
    (tmp_path / "link.npy").symlink_to(save(X))
    assert_same(read(tmp_path / "link.npy"), X)


def numbered(save: Save, names: list[str]) -> None:
    for value, name in enumerate(names):
        save(np.full(1, value), name)


NATURAL = ["part-0.npy", "part-1.npy", "part-2.npy", "part-10.npy", "part-11.npy", "part-100.npy"]


def test_a_directory_in_natural_order(save: Save, tmp_path: Path) -> None:
    numbered(save, [f"data/{name}" for name in NATURAL])
    (tmp_path / "data" / "notes.txt").write_text("no array")
    (tmp_path / "data" / "deeper").mkdir()
    for directory in (tmp_path / "data", f"{tmp_path}/data/"):
        assert read(directory).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_pattern_in_natural_order(save: Save, tmp_path: Path) -> None:
    numbered(save, NATURAL)
    assert read(f"{tmp_path}/part-*.npy").tolist() == [0, 1, 2, 3, 4, 5]
    assert read(tmp_path / "part-1?.npy").tolist() == [3, 4]
    assert read(f"{tmp_path}/part-[02].npy").tolist() == [0, 2]


def test_a_pattern_over_directories(save: Save, tmp_path: Path) -> None:
    numbered(save, ["run-9/a-1.npy", "run-9/a-10.npy", "run-10/a-2.npy"])
    assert read(f"{tmp_path}/run-*/*.npy").tolist() == [0, 1, 2]
    assert read(f"{tmp_path}/**/a-*.npy").tolist() == [0, 1, 2]


def test_a_directory_without_hidden_files(save: Save, tmp_path: Path) -> None:
    for name in ("1.npy", ".2.npy", "._1.npy"):
        save(X, f"d/{name}")
    for source in (tmp_path / "d", f"{tmp_path}/d/*.npy"):
        assert npyfast.source(source).files == (str(tmp_path / "d" / "1.npy"),)


def test_files_of_several_kinds(save: Save, tmp_path: Path) -> None:
    npy, npz, hdf = save(X), str(tmp_path / "x.npz"), str(tmp_path / "x.h5")
    np.savez(npz, x=X)
    with h5py.File(hdf, "w") as file:
        file["x"] = X
    kinds = {npy: "a .npy file", npz: "an .npz archive", hdf: "an HDF5 file"}
    for first, second in itertools.permutations(kinds, 2):
        text = (
            "the files of one array must be of one kind: "
            f"{first} is {kinds[first]}, {second} is {kinds[second]}"
        )
        for key in {} if npy == first else {None, "x"}:
            with pytest.raises(ValueError, match=re.escape(text)):
                npyfast.batches(npyfast.source([first, second], key=key))
        with pytest.raises(ValueError, match=re.escape(text)):
            npyfast.batches([first, second])


def test_lists_that_are_no_source(save: Save) -> None:
    path = save(X)
    for numbers in ([1, 2], [[1.0], [2.0]], [X[0], X[1]]):
        with pytest.raises(TypeError, match=r"np\.asarray\(\.\.\.\) makes an array of it"):
            npyfast.open(numbers)
    for others in ([], [[path], [path]], [npyfast.source(path)], [path.encode()], [[1], [1, 2]]):
        with pytest.raises(TypeError, match="several arrays are a tuple or a dict, not a list"):
            npyfast.open(others)


def test_more_natural_order(save: Save, tmp_path: Path) -> None:
    names = [
        "1.npy",
        "2.npy",
        "2-1.npy",
        "2-03.npy",
        "10.npy",
        "a.npy",
        "a1b2.npy",
        "a1b10.npy",
        "b.npy",
    ]
    for shift, name in enumerate(reversed(names)):
        save(np.full(1, len(names) - 1 - shift), name)
    found = npyfast.source(tmp_path).files
    # Text before "." and "-" is compared as text; what counts here are the numbers.
    order = [os.path.basename(path) for path in found]
    assert order.index("2.npy") < order.index("10.npy")
    assert order.index("2-1.npy") < order.index("2-03.npy") < order.index("10.npy")
    assert order.index("a1b2.npy") < order.index("a1b10.npy") < order.index("b.npy")


def test_an_existing_file_is_no_pattern(save: Save, tmp_path: Path) -> None:
    path = save(X, "fold[0].npy")
    save(X + 1, "fold0.npy")
    assert_same(read(path), X)


def test_a_list_of_paths_keeps_its_order(save: Save, tmp_path: Path) -> None:
    a, b = save(X[:5], "a.npy"), Path(save(X[5:], "b.npy"))
    assert_same(read([a, b]), X)
    assert_same(read([b, a]), np.concatenate([X[5:], X[:5]]))
    assert_same(read([a, a]), np.concatenate([X[:5], X[:5]]))


def test_a_list_of_patterns_and_directories(save: Save, tmp_path: Path) -> None:
    numbered(save, ["one/1.npy", "one/2.npy", "two/1.npy"])
    assert read([tmp_path / "two", f"{tmp_path}/one/*.npy"]).tolist() == [2, 0, 1]


def test_files_are_one_array(save: Save) -> None:
    parts = np.split(X, [1, 1, 4, 11])  # one of them is empty
    orders = "CFCFC"
    paths = [save(in_order(part, order)) for part, order in zip(parts, orders, strict=True)]
    rows = npyfast.open(paths)
    assert rows.shape == X.shape
    assert_same(rows[:], X)
    assert_same(rows[::-3], X[::-3])
    assert repr(rows).startswith(f"npyfast.Rows({paths[0]} and 4 more files, shape=(12, 2)")
    assert_same_batches(
        npyfast.batches(paths, 5, True, seed=1), X, expected.epoch_batches(12, batch_size=5, seed=1)
    )


def test_many_files(save: Save) -> None:
    large = np.arange(2000).reshape(500, 4)
    paths = [save(large[i : i + 1]) for i in range(500)]
    assert_same_batches(
        npyfast.batches(paths, 64, True, seed=1),
        large,
        expected.epoch_batches(500, batch_size=64, seed=1),
    )


def test_a_source(save: Save, tmp_path: Path) -> None:
    path = save(X)
    leaf = npyfast.source(path)
    assert leaf.files == (path,)
    assert repr(leaf) == f"npyfast.Source({path})"
    assert_same(read(leaf), X)
    assert_same(next(iter(npyfast.batches((leaf, path)))), (X, X))
    assert npyfast.source([path, path]).files == (path, path)
    assert npyfast.source(tmp_path).files == (path,)


VIEWS = {
    "C": X,
    "F": np.asfortranarray(X),
    "rows backwards": X[::-1],
    "every second row": X[::2],
    "columns backwards": X[:, ::-1],
    "all backwards": X[::-1, ::-1],
    "transposed": X.T,
    "a column": X[:, 1],
    "one row again and again": np.broadcast_to(X[0], (9, 2)),
    "one item again and again": np.broadcast_to(np.int32(3), (4, 2, 2)),
    "overlapping windows": np.lib.stride_tricks.sliding_window_view(np.arange(10), 4),
    "axes moved": np.moveaxis(np.arange(24).reshape(2, 3, 4), 0, -1),
    "unaligned": np.frombuffer(bytes(range(1, 50)), "u1")[1:49].view("f4").reshape(6, 2),
    "read-only": np.frombuffer(bytes(range(24)), "i4").reshape(3, 2),
    "a field": np.zeros(5, [("a", "i1"), ("b", "f4", (2,))])["b"],
    "fields of a structure": np.ones(5, [("a", "i1"), ("b", "f4"), ("c", ">i4")])[["a", "c"]],
    "byte-swapped, backwards": X.astype(">i4")[::-1],
    "one dimension of size one": np.arange(6).reshape(6, 1)[::-1],
    "no rows": X[:0],
    "rows of nothing": X[:, :0],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_arrays_in_memory(view: Any) -> None:
    wanted = np.ascontiguousarray(view, view.dtype.newbyteorder("="))
    rows = npyfast.open(view)
    assert rows.shape == view.shape
    assert_same(rows[:], wanted)
    assert_same(rows[[-1, 0][: len(view)]], wanted[[-1, 0][: len(view)]])
    assert_same_batches(
        npyfast.batches(view, 4, True, seed=2),
        wanted,
        expected.epoch_batches(len(view), batch_size=4, seed=2),
    )


def test_a_memmap_is_an_array(save: Save) -> None:
    mapped = np.load(save(X), mmap_mode="r")
    assert type(npyfast.open(mapped)[:]) is np.ndarray
    assert_same(next(iter(npyfast.batches(mapped))), X)


@pytest.mark.parametrize("kind", [np.matrix, np.recarray, np.ma.MaskedArray])
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_subclasses_of_arrays_are_arrays(kind: Any) -> None:
    subclass = X.view(kind)
    assert type(npyfast.open(subclass)[:]) is np.ndarray
    assert_same(next(iter(npyfast.batches(subclass))), X)


def test_masked_items_have_no_value() -> None:
    masked = np.ma.MaskedArray(X, X > 20)
    for reader in (npyfast.open, npyfast.batches):
        with pytest.raises(TypeError, match=r"has masked items.* array\.filled\(\.\.\.\)"):
            reader(masked)
    assert_same(read(masked.filled(0)), np.where(X > 20, 0, X))


def test_an_array_in_memory_is_kept_alive() -> None:
    batches = iter(npyfast.batches(np.arange(100_000) * 3, 1000))
    total = 0
    for i, batch in enumerate(batches):
        np.full(100_000, -1)  # would fall on memory that is let go
        assert batch[0] == 3000 * i
        total += len(batch)
    assert total == 100_000


def test_leaves_of_all_sorts(save: Save, tmp_path: Path) -> None:
    shards = [save(X[:5], "s/0.npy"), save(X[5:], "s/1.npy")]
    nest = {
        "path": save(X, "x.npy"),
        "pattern": f"{tmp_path}/s/*.npy",
        "lists": (shards, {"directory": tmp_path / "s"}),
        "memory": X[::-1],
        "source": npyfast.source(shards),
    }
    whole = {
        "path": X,
        "pattern": X,
        "lists": (X, {"directory": X}),
        "memory": X[::-1],
        "source": X,
    }
    made = npyfast.batches(nest, 5, True, seed=3)
    assert_same_batches(made, whole, expected.epoch_batches(12, batch_size=5, seed=3))


def test_a_file_may_be_removed_once_it_is_open(save: Save) -> None:
    path = save(X)
    made = npyfast.batches(path, 5)
    os.unlink(path)
    assert_same_batches(made, X, expected.epoch_batches(12, batch_size=5))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_file_format_versions(tmp_path: Path, version: tuple[int, int]) -> None:
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, X, version)
        file.write(b"what follows the data is not looked at")
    assert npyfast.read_header(tmp_path / "x.npy").version == version
    assert_same(read(tmp_path / "x.npy"), X)


def test_read_header(save: Save) -> None:
    path = save(np.asfortranarray(X.astype(">i4")))
    for given in (path, Path(path)):
        header = npyfast.read_header(given)
        assert header.shape == (12, 2)
        assert header.dtype == np.dtype(">i4")
        assert header.fortran_order
        assert header.data_offset + header.nbytes == os.path.getsize(path)


def test_an_array_in_memory_with_options() -> None:
    leaf = npyfast.source(X, row_shape=(2, 1), cast="float32", scale=2)
    assert repr(leaf) == (
        "npyfast.Source(the array of shape (12, 2) in memory, cast='float32', scale=2, "
        "row_shape=(2, 1))"
    )
    assert leaf.files == ()
    assert_same(read(leaf), (X.astype("f4") * 2).reshape(12, 2, 1))
    assert_same(read(npyfast.source(X)), X)


def sharded(save: Save, array: Any, cuts: list[int], folder: str) -> str:
    for number, part in enumerate(np.split(array, cuts)):
        save(in_order(part, "CF"[number % 2]), f"{folder}/part-{number}.npy")
    return os.path.dirname(save(array[:0], f"{folder}/part-none.npy"))


@pytest.mark.parametrize("shuffle", [False, True])
def test_nests_of_files_of_different_lengths(save: Save, shuffle: bool) -> None:
    count = 200
    images = np.arange(count * 6, dtype="u1").reshape(count, 3, 2)
    labels = np.arange(count)
    weights = np.linspace(0, 1, count)
    nest = {
        "x": (
            sharded(save, images, [1, 7, 150, 151], "images"),
            [save(weights[:90]), save(weights[90:])],
        ),
        "y": f"{sharded(save, labels, list(range(0, count, 13)), 'labels')}/*.npy",
        "z": (labels[::-1], npyfast.source(save(images), row_shape=-1)),
    }
    whole = {"x": (images, weights), "y": labels, "z": (labels[::-1], images.reshape(count, 6))}
    seed = 3 if shuffle else None
    made = npyfast.batches(nest, 32, shuffle, seed=seed, epochs=2)
    wanted = expected.iteration(count, batch_size=32, seed=seed, epochs=2)
    assert_same_batches(made, whole, wanted)


def test_natural_order_is_what_it_is_of_the_numbers() -> None:
    def key(name: str) -> Any:
        parts = [part for part in re.split(r"(\d+)", name) if part]
        return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]

    random = np.random.default_rng(0)
    letters = list("0012379ab-._ \u0663é")
    names = ["".join(random.choice(letters, random.integers(0, 9))) for _ in range(3000)]
    assert sorted(names, key=natural_key) == sorted(names, key=key)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "per_file of files": ({"per_file": "file"}, "per_file must be None or 'row', got 'file'"),
    "per_file True": ({"per_file": True}, "per_file must be None or 'row', got True"),
    "key of bytes": ({"key": b"x"}, "key must be None or a str, got b'x'"),
    "key 0": ({"key": 0}, "key must be None or a str, got 0"),
    "per_file and key": ({"per_file": "row", "key": "x"}, "per_file and key cannot be combined"),
    "per_file and dtype": (
        {"per_file": "row", "dtype": "f4"},
        "per_file and dtype cannot be combined",
    ),
    "key and dtype": ({"key": "x", "dtype": "f4"}, "key and dtype cannot be combined: per_file is"),
    "shape alone": ({"shape": (-1, 2)}, "shape is for raw binary data: give dtype=... as well"),
    "offset alone": ({"offset": 8}, "offset is for raw binary data: give dtype=... as well"),
    "key and shape": ({"key": "x", "shape": 3}, "shape is for raw binary data: give dtype=..."),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG)
def test_wrong_options(save: Save, options: dict[str, Any], text: str) -> None:
    for what in (save(X), X):
        with pytest.raises(ValueError) as caught:
            npyfast.source(what, **options)
        assert text in str(caught.value)


def test_a_cast_that_there_is_not_names_the_file(save: Save) -> None:
    path = save(np.array(["a", "b"]))
    with pytest.raises(TypeError, match=re.escape(path)):
        npyfast.batches((X[:2], npyfast.source(path, cast="float32")))
    path = save(X)
    with pytest.raises(ValueError, match=re.escape(path)):
        npyfast.batches(npyfast.source(path, scale=2))


@pytest.mark.parametrize("options", [{"per_file": "row"}, {"key": "x"}, {"dtype": "i4"}], ids=str)
def test_options_of_files_alone(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is for files, not for an array in memory"):
        npyfast.source(X, **options)


def test_a_key_for_what_holds_one_array(save: Save, tmp_path: Path) -> None:
    path = save(X)
    with pytest.raises(ValueError) as caught:
        npyfast.batches(npyfast.source(path, key="x"))
    assert str(caught.value) == (f"{path}: is a .npy file, which holds one array: omit key='x'")
    (tmp_path / "notes").write_text("no array")
    with pytest.raises(npyfast.NpyFormatError, match="is neither a .npz archive nor an HDF5 file"):
        npyfast.batches(npyfast.source(tmp_path / "notes", key="x"))
    with pytest.raises(FileNotFoundError) as missing:
        npyfast.batches(npyfast.source(tmp_path / "missing", key="x"))
    assert missing.value.filename == str(tmp_path / "missing")


def test_a_repr_shows_the_options(tmp_path: Path) -> None:
    X.tofile(tmp_path / "x.bin")
    np.savez(tmp_path / "a.npz", x=X)
    raw = npyfast.source(tmp_path / "x.bin", dtype="i4", shape=(-1, 2), offset=8)
    assert repr(raw) == (
        f"npyfast.Source({tmp_path}/x.bin, dtype='int32', shape=(-1, 2), offset=8)"
    )
    options: dict[str, Any] = {"cast": np.float32, "scale": 0.5, "shift": np.ones(2)}
    assert repr(npyfast.source(tmp_path / "a.npz", key="x", row_shape=2, **options)) == (
        f"npyfast.Source({tmp_path}/a.npz['x'], cast='float32', scale=0.5, "
        "shift=ndarray of shape (2,) and dtype float64, row_shape=(2,))"
    )
    tiles = npyfast.source(X, window=(3, 1), stride=(2, 1), rows=slice(1, None, 2))
    assert repr(tiles) == (
        "npyfast.Source(the array of shape (12, 2) in memory, window=(3, 1), stride=(2, 1), "
        "rows=slice(1, None, 2))"
    )
    assert repr(npyfast.source(X, window=2)).endswith("in memory, window=(2,))")
    assert repr(npyfast.source(X, rows=slice(3))).endswith("rows=slice(None, 3, None))")
