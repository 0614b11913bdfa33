"""HDF5: contiguous datasets are mapped in place, all others are read by h5py."""

from __future__ import annotations

import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import expected
import h5py
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from processes import run
from samples import OUT_OF_ORDER, random_array

import npyfast
from npyfast._sources import hdf5
from npyfast._sources.opening import Opening

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(96, dtype="f4").reshape(12, 4, 2)
Y = np.arange(12) * 3

CHUNKED = {
    "by rows": {"chunks": (5, 4, 2)},
    "by columns": {"chunks": (1, 2, 2)},
    "compressed": {"chunks": (3, 4, 1), "compression": "gzip"},
    "filtered": {"chunks": (4, 2, 2), "shuffle": True, "fletcher32": True, "scaleoffset": None},
    "growing": {"maxshape": (None, 4, 2)},
}


def read(source: Any) -> Any:
    return np.asarray(npyfast.open(source))


@pytest.fixture
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*h5py reads it", RuntimeWarning)
        yield


def mapped(source: Any) -> bool:
    return npyfast.source(**source).open().storage.kind == "mapped"


@pytest.fixture
def path(tmp_path: Path) -> str:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/x"] = X
        file["train/y"] = Y
    return str(tmp_path / "a.h5")


def test_a_path_is_a_dict_of_the_datasets(path: str) -> None:
    made = npyfast.batches(path, 5, True, seed=1)
    rows = expected.epoch_batches(12, batch_size=5, seed=1)
    assert_same_batches(made, {"train/x": X, "train/y": Y}, rows)


def test_one_dataset(path: str) -> None:
    for key in ("train/x", "/train/x"):
        leaf = npyfast.source(path, key=key)
        assert mapped({"path": path, "key": key})
        assert_same(read(leaf), X)
        assert repr(leaf) == f"npyfast.Source({path}[{key!r}])"


def test_a_file_of_one_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
    assert_same(read(tmp_path / "a.h5"), X)


@pytest.mark.parametrize("bytes_in_front", [512, 1024, 8192])
def test_a_user_block(tmp_path: Path, bytes_in_front: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=bytes_in_front) as file:
        file["x"] = X
    with open(tmp_path / "a.h5", "r+b") as raw:
        raw.write(b"anything")
    assert mapped({"path": tmp_path / "a.h5", "key": "x"})
    assert_same(read(npyfast.source(tmp_path / "a.h5", key="x")), X)


DTYPES = [
    *("?", "i1", ">i2", "<u4", "u8", "f2", ">f4", "f8", "g", "c8", ">c16", "S1", "S5", "V6"),
    [("a", "i1"), ("b", ">f4", (2,)), ("c", "S3"), ("d", "?"), ("e", [("f", "<u2")])],
    {"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [3, 8], "itemsize": 24},
]


@pytest.mark.parametrize("options", [{}, {"chunks": (4, 3)}], ids=["mapped", "by h5py"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.usefixtures("quiet")
def test_dtypes(tmp_path: Path, dtype: Any, options: dict[str, Any]) -> None:
    array = random_array(np.dtype(dtype), (7, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=array, **options)
    assert mapped({"path": tmp_path / "a.h5", "key": "x"}) == (not options)
    made = npyfast.batches(npyfast.source(tmp_path / "a.h5", key="x"), 3, True, seed=1)
    assert_same_batches(made, array, expected.epoch_batches(7, batch_size=3, seed=1))


@pytest.mark.usefixtures("quiet")
def test_dtypes_of_hdf5_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        enum = h5py.enum_dtype({"no": 0, "yes": 1}, basetype="i2")
        file.create_dataset("enum", data=np.array([0, 1, 1], "i2"), dtype=enum)
        times = np.array(["2020-01-01", "NaT"], "M8[s]")
        file["times"] = times.astype(h5py.opaque_dtype(times.dtype))
        file.create_dataset("text", data=[b"\xc3\xa9", b"b"], dtype=h5py.string_dtype("utf-8", 5))
        # Ends at the first zero byte, whatever comes behind: h5py has to read it.
        ended = h5py.h5t.C_S1.copy()
        ended.set_size(5)
        ended.set_strpad(h5py.h5t.STR_NULLTERM)
        h5py.h5d.create(file.id, b"ended", ended, h5py.h5s.create_simple((2,)))
        file["ended"][:] = [b"ab", b"c"]
    path = str(tmp_path / "a.h5")
    with Opening() as opening:
        keys = hdf5.keys(path, opening)
    found = {key: read(npyfast.source(path, key=key)) for key in keys}
    assert_same(found["enum"], np.array([0, 1, 1], "i2"))
    assert_same(found["times"], times)
    assert_same(found["text"], np.array([b"\xc3\xa9", b"b"], "S5"))
    assert_same(found["ended"], np.array([b"ab", b"c"], "S5"))
    assert not mapped({"path": tmp_path / "a.h5", "key": "ended"})


@pytest.mark.parametrize("options", CHUNKED.values(), ids=CHUNKED)
def test_chunked_datasets(tmp_path: Path, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("g/x", data=X, **options)
    leaf = npyfast.source(tmp_path / "a.h5", key="g/x")
    with pytest.warns(RuntimeWarning) as caught:
        rows = npyfast.open(leaf)
    (warning,) = caught
    assert warning.filename == __file__
    assert str(warning.message).startswith(f"{tmp_path}/a.h5['g/x']: is chunked")
    assert f"`npyfast pack {tmp_path}/a.h5 --key g/x -o g-x.npy`" in str(warning.message)
    assert ("compressed (gzip)" in str(warning.message)) == ("compression" in options)
    assert rows.shape == X.shape
    assert_same(rows[:], X)
    assert_same(rows[[7, -1, 0, 7, 7, 3]], X[[7, -1, 0, 7, 7, 3]])
    assert_same(rows[::-3], X[::-3])
    assert_same(rows[[]], X[:0])
    out = np.empty((2, 4, 2), "f4")
    assert rows.gather([3, 1], out=out) is out
    assert_same(out, X[[3, 1]])
    with pytest.raises(IndexError, match="row 12 is out of range for 12 rows"):
        rows[[0, 12]]
    # and no second warning
    made = npyfast.batches((leaf, Y), 5, True, seed=1)
    assert_same_batches(made, (X, Y), expected.epoch_batches(12, batch_size=5, seed=1))


def unusual(file: h5py.File, kind: str) -> None:
    if kind == "compact":
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(X.shape), layout)
        file["x"][...] = X
    elif kind == "external":
        file.create_dataset("x", X.shape, "<f4", external=[("x.bin", 0, X.nbytes)])[...] = X
    elif kind == "virtual":
        file["parts/0"], file["parts/1"] = X[:5], X[5:]
        layout = h5py.VirtualLayout(X.shape, "<f4")
        layout[:5] = h5py.VirtualSource(file["parts/0"])
        layout[5:] = h5py.VirtualSource(file["parts/1"])
        file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize("kind", ["compact", "external", "virtual"])
def test_other_layouts(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where external data is looked for
    with h5py.File("a.h5", "w") as file:
        unusual(file, kind)
    with pytest.warns(RuntimeWarning, match=f"is {kind}: its data is stored in"):
        rows = npyfast.open(npyfast.source("a.h5", key="x"))
    assert_same(rows[[7, -1, 0, 6, 5]], X[[7, -1, 0, 6, 5]])


def test_a_dataset_never_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (3, 2), "f4", fillvalue=7)
    with pytest.warns(RuntimeWarning, match="was never written"):
        found = read(npyfast.source(tmp_path / "a.h5", key="x"))
    assert_same(found, np.full((3, 2), 7, "f4"))


def test_no_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X[:0]
        file["y"] = X[:, :, :0]
    assert_same(read(npyfast.source(tmp_path / "a.h5", key="x")), X[:0])
    assert_same(read(npyfast.source(tmp_path / "a.h5", key="y")), X[:, :, :0])


@pytest.mark.usefixtures("quiet")
def test_fields_out_of_order(tmp_path: Path) -> None:
    records = random_array(np.dtype(OUT_OF_ORDER), (7,))  # type: ignore[call-overload]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = records
    made = npyfast.batches(npyfast.source(tmp_path / "a.h5", key="x"), 3, True, seed=1)
    assert_same_batches(made, records, expected.epoch_batches(7, batch_size=3, seed=1))


def write_files(folder: Path, options: list[dict[str, Any]]) -> str:
    for number, (part, chosen) in enumerate(zip(np.split(X, [5, 5]), options, strict=True)):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=part, **chosen)
            file["y"] = Y[: len(part)]
    return f"{folder}/*.h5"


def test_files(tmp_path: Path) -> None:
    leaf = npyfast.source(write_files(tmp_path, [{}] * 3), key="x")
    assert leaf.open().storage.kind == "mapped"
    rows = expected.epoch_batches(12, batch_size=5, seed=1)
    assert_same_batches(npyfast.batches((leaf, Y), 5, True, seed=1), (X, Y), rows)


def test_files_of_all_sorts(tmp_path: Path) -> None:
    chunked = {"chunks": (2, 4, 2), "maxshape": (None, 4, 2)}
    leaf = npyfast.source(write_files(tmp_path, [{}, chunked, chunked]), key="x")
    with pytest.warns(RuntimeWarning) as caught:
        rows = npyfast.open(leaf)
    assert len(caught) == 2  # each file is one to be packed
    assert_same(rows[:], X)
    assert_same(rows[[11, 4, 5, 4, 0]], X[[11, 4, 5, 4, 0]])


@pytest.mark.usefixtures("quiet")
def test_more_files_than_are_open(tmp_path: Path) -> None:
    large = np.arange(80).reshape(80, 1)
    paths = [str(tmp_path / f"{number}.h5") for number in range(40)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=large[2 * number : 2 * number + 2], chunks=(1, 1))
    other = npyfast.open(npyfast.source(paths[0], key="x"))  # the same file, opened twice
    leaf = npyfast.source([*paths, paths[0]], key="x")
    whole = np.concatenate([large, large[:2]])
    rows = npyfast.open(leaf)
    assert_same(rows[:], whole)
    assert_same(rows[::-1], whole[::-1])
    assert_same(other[:], large[:2])
    wanted = expected.epoch_batches(82, batch_size=16, seed=1)
    assert_same_batches(npyfast.batches(leaf, 16, True, seed=1), whole, wanted)


@pytest.mark.usefixtures("quiet")
class TestReadByH5py:
    @pytest.fixture
    def chunked(self, tmp_path: Path) -> Any:
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file.create_dataset("x", data=X, chunks=(3, 4, 2), compression="gzip")
        return npyfast.source(tmp_path / "c.h5", key="x")

    def test_by_several_threads(self, chunked: Any) -> None:
        rows = npyfast.open(chunked)
        failed = []

        def work(seed: int) -> None:
            random = np.random.default_rng(seed)
            for _ in range(50):
                wanted = random.integers(0, 12, 6)
                if not np.array_equal(rows[wanted], X[wanted]):
                    failed.append(wanted)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed

    def test_by_a_forked_process(self, chunked: Any, backend: str) -> None:
        run("hdf5_after_a_fork.py", chunked.files[0], backend=backend)

    def test_a_file_that_is_removed(self, chunked: Any) -> None:
        rows = npyfast.open(chunked)
        os.unlink(chunked.files[0])
        assert_same(rows[:], X)

    def test_data_that_is_damaged(self, chunked: Any) -> None:
        with h5py.File(chunked.files[0]) as file:
            chunk = file["x"].id.get_chunk_info(2)
        with open(chunked.files[0], "r+b") as raw:
            raw.seek(chunk.byte_offset)
            raw.write(bytes(chunk.size))
        rows = npyfast.open(chunked)
        assert_same(rows[:6], X[:6])
        with pytest.raises(OSError, match=re.escape(chunked.name)):
            rows[:]

    def test_a_cast_and_a_shape(self, chunked: Any) -> None:
        leaf = npyfast.source(
            chunked.files[0], key="x", row_shape=-1, cast="float64", scale=0.5, shift=1
        )
        wanted = X.reshape(12, 8).astype("f8") * 0.5 + 1
        made = npyfast.batches(leaf, 5, True, seed=1)
        assert_same_batches(made, wanted, expected.epoch_batches(12, batch_size=5, seed=1))


def test_keys_that_are_none(path: str) -> None:
    for key, text in (
        ("z", "has no array 'z'; it has 'train/x', 'train/y'"),
        ("train/z", "has no array 'train/z'; it has 'train/x', 'train/y'"),
        ("train", "'train' is a group, not an array; the arrays in it are 'train/x', 'train/y'"),
        ("", "'' is a group, not an array; the arrays in it are 'train/x', 'train/y'"),
        (None, "holds 2 arrays: choose one by npyfast.source(path, key=...), of 'train/x', 'tr"),
    ):
        with pytest.raises(ValueError) as caught:
            npyfast.open(npyfast.source(path, key=key))
        assert str(caught.value).startswith(f"{path}: {text}")


def test_many_keys_are_not_all_listed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(60):
            file[f"{number:02}"] = X
    with pytest.raises(ValueError, match="'38', '39' and 20 more$"):
        npyfast.open(npyfast.source(tmp_path / "a.h5", key="z"))


def test_what_is_no_array_of_fixed_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["text"] = ["a", "bc"]
        file.create_dataset("lists", (2,), h5py.vlen_dtype("i4"))
        file.create_dataset("references", (2,), h5py.ref_dtype)
        file.create_dataset("fields", (2,), [("a", "i4"), ("b", h5py.string_dtype())])
        file["scalar"] = 3.0
        file["nothing"] = h5py.Empty("f4")
    for key, error, text in (
        ("text", TypeError, "string of variable length"),
        ("lists", TypeError, "sequence of variable length"),
        ("references", TypeError, "reference"),
        ("fields", TypeError, "compound of these"),
        ("scalar", ValueError, "holds a 0-dimensional array, which has no rows"),
        ("nothing", ValueError, "without a dataspace"),
    ):
        with pytest.raises(error, match=text) as caught:
            npyfast.open(npyfast.source(tmp_path / "a.h5", key=key))
        assert str(caught.value).startswith(f"{tmp_path}/a.h5[{key!r}]: ")
    with pytest.raises((TypeError, ValueError)):
        npyfast.batches(tmp_path / "a.h5")


def test_no_hdf5_file(path: str, tmp_path: Path) -> None:
    os.truncate(path, 2000)
    for source in (path, npyfast.source(path, key="train/x")):
        with pytest.raises(npyfast.NpyFormatError) as caught:
            npyfast.batches(source)
        assert str(caught.value).startswith(f"{path}: not a readable HDF5 file: ")
    good = tmp_path / "good.h5"
    with h5py.File(good, "w") as file:
        file["x"] = X
    with pytest.raises(FileNotFoundError) as missing:
        npyfast.batches(npyfast.source([good, tmp_path / "missing.h5"], key="x"))
    assert missing.value.filename == str(tmp_path / "missing.h5")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    for number, array in enumerate([X, X.astype(">f4"), X[:, :3]]):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = array
            if number:
                file["y"] = Y
    first = f"{tmp_path}/0.h5"
    for other, text in (
        (f"{tmp_path}/1.h5", f"one dtype: {first}['x'] has float32, {tmp_path}/1.h5['x'] has >f4"),
        (
            f"{tmp_path}/2.h5",
            f"row shape: {first}['x'] has (4, 2), {tmp_path}/2.h5['x'] has (3, 2)",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            npyfast.open(npyfast.source([first, other], key="x"))
        assert str(caught.value).endswith(text)
    with pytest.raises(ValueError, match="0.h5 has 'x', .*1.h5 has 'x', 'y'"):
        npyfast.batches([first, f"{tmp_path}/1.h5"])


def test_without_h5py(path: str, backend: str) -> None:
    wanted = "HDF5 files need h5py: pip install 'npyfast[hdf5]'"
    assert run("without_h5py.py", path, backend=backend) == wanted


def test_h5py_is_imported_late(backend: str) -> None:
    run("imports_no_h5py.py", backend=backend)


def test_what_lies_behind_an_external_link(tmp_path: Path, quiet: None) -> None:
    """Its place is one in the other file."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["g/x"] = X
    with h5py.File(tmp_path / "index.h5", "w") as file:
        file["padding"] = np.full(5000, -7.0)
        file["x"] = h5py.ExternalLink("data.h5", "g/x")
        file["g"] = h5py.ExternalLink("data.h5", "g")
        file["soft"] = h5py.SoftLink("/padding")
    for key in ("x", "g/x"):
        options = {"path": tmp_path / "index.h5", "key": key}
        assert not mapped(options)
        assert_same(read(npyfast.source(tmp_path / "index.h5", key=key)), X)
    assert mapped({"path": tmp_path / "index.h5", "key": "soft"})
    with Opening() as opening:
        found = hdf5.look(str(tmp_path / "index.h5"), "x", opening)
    assert found.obstacle == "is stored in another file, through an external link"


@pytest.mark.parametrize("options", [{}, {"chunks": (5,)}], ids=["contiguous", "chunked"])
def test_items_that_are_arrays(tmp_path: Path, quiet: None, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (12,), np.dtype(("f4", (4, 2))), **options)[:] = X
    source = npyfast.source(tmp_path / "a.h5", key="x")
    assert_same(read(source), X)
    assert_same(next(iter(npyfast.batches(source, 12))), X)
    assert_same(read(npyfast.source(tmp_path / "a.h5", key="x", cast="f8")), X.astype("f8"))


def test_a_type_that_numpy_has_not(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        three_bytes = h5py.h5t.STD_I32LE.copy()
        three_bytes.set_size(3)
        space = h5py.h5s.create_simple((14,))
        h5py.h5d.create(file.id, b"x", three_bytes, space)
    text = r"a\.h5\['x'\]: has an HDF5 type that NumPy lacks \(data type '<i3' not understood\)"
    for reader in (npyfast.open, npyfast.batches):
        with pytest.raises(TypeError, match=text):
            reader(npyfast.source(tmp_path / "a.h5", key="x"))
