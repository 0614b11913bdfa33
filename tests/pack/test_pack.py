"""npyfast.pack: the right bytes in the right files, or nothing."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from pathlib import Path
from typing import Any

import expected
import h5py
import ml_dtypes
import numpy as np
import pytest
from expected import same_bits
from samples import OUT_OF_ORDER, Array, Save, dtypes, in_order, random_array
from system_calls import CHANGING

import npyfast
from npyfast._backends.fields import native, to_native
from npyfast._packing import descriptor as _descriptor
from npyfast._packing.output import Output
from npyfast._packing.packed_rows import Progress
from npyfast._sources import hdf5_leaf

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(24, dtype="i4").reshape(12, 2)


def left_in(folder: Path) -> list[str]:
    """All files, hidden and temporary ones too."""
    return sorted(os.listdir(folder))


def pack(source: Any, folder: Path, **options: Any) -> Array:
    """What is packed into one file."""
    out = folder / "out.npy"
    assert npyfast.pack(source, out, **options) == [str(out)]
    packed: Array = np.load(out)
    return packed


# The bytes


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", dtypes(), ids=str)
def test_every_dtype(save: Save, tmp_path: Path, dtype: np.dtype[Any], order: str) -> None:
    array = in_order(random_array(dtype, (7, 3, 2)), order)
    dtype = array.dtype  # which may have changed from "S0" to "S1"
    packed = pack(save(array), tmp_path, verify=True)
    assert packed.dtype == native(dtype)
    assert packed.shape == array.shape
    assert same_bits(packed, to_native(array))
    # Byte for byte what NumPy would have written.
    plain = save(np.ndarray(array.shape, native(dtype), buffer=bytearray(array.nbytes + 1)))
    written = (tmp_path / "out.npy").read_bytes()
    assert written[:128] == Path(plain).read_bytes()[:128]
    assert len(written) == os.path.getsize(plain)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
def test_dtypes_that_numpy_has_not(tmp_path: Path, name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    array = np.arange(6).astype(dtype).reshape(3, 2)
    packed = pack(array, tmp_path, verify=True)
    assert packed.dtype == np.dtype(f"V{dtype.itemsize}")
    assert packed.tobytes() == array.tobytes()


def test_the_bytes_of_no_field_are_zero(tmp_path: Path) -> None:
    dtype = np.dtype(
        {
            "names": ["a", "pair"],
            "formats": ["u1", (np.dtype({"names": ["x"], "formats": ["i2"], "itemsize": 4}), 2)],
            "offsets": [1, 4],
            "itemsize": 14,
        }
    )
    array = np.frombuffer(bytes(range(1, 43)), dtype)
    packed = pack(array, tmp_path, verify=True)
    assert packed.dtype == dtype
    assert (packed == array).all()
    used = [1, 4, 5, 8, 9]
    assert (packed.view("u1").reshape(3, 14) == 0).all(axis=0).tolist() == [
        i not in used for i in range(14)
    ]


def test_titles_and_alignment(save: Save, tmp_path: Path) -> None:
    dtype = np.dtype([(("a title", "a"), "i1"), ("b", ">f8")], align=True)
    array = random_array(dtype, (5,))
    packed = pack(save(array), tmp_path)
    assert packed.dtype == native(dtype)
    assert packed.dtype.itemsize == 16
    assert (packed["a title"] == array["a"]).all()
    assert (packed["b"] == array["b"]).all()


def test_field_names_beyond_latin_1(tmp_path: Path) -> None:
    array = np.zeros(3, [("\U0001f600", "i4")])
    assert pack(array, tmp_path).dtype == array.dtype
    assert npyfast.read_header(tmp_path / "out.npy").version == (3, 0)


def test_files_become_one_file(save: Save, tmp_path: Path) -> None:
    for i in range(12):
        save(X[i : i + 1].copy(order="AF"[i % 2]), f"in/part-{i}.npy")
    save(X[:0], "in/part-12.npy")
    assert (pack(tmp_path / "in", tmp_path, verify=True) == X).all()


@pytest.mark.parametrize(
    "array", [X[::-2], X.T, np.broadcast_to(X[:1], (9, 2)), X.astype(">i4")], ids=str
)
def test_arrays_in_memory(tmp_path: Path, array: Array) -> None:
    packed = pack(array, tmp_path, verify=True)
    assert (packed == array).all()
    assert packed.dtype.isnative


def test_options_of_a_source(save: Save, tmp_path: Path) -> None:
    source = npyfast.source([save(X[:5]), save(X[5:])])
    assert (pack(source, tmp_path) == X).all()


# Sources of all kinds


def test_one_file_a_row(save: Save, tmp_path: Path) -> None:
    for i, row in enumerate(X):
        save(row, f"in/row-{i}.npy")
    rows = npyfast.source(tmp_path / "in", per_file="row")
    assert (pack(rows, tmp_path, verify=True) == X).all()


def test_raw_numbers(tmp_path: Path) -> None:
    X.astype(">i2").tofile(tmp_path / "in.bin")
    source = npyfast.source(tmp_path / "in.bin", dtype=">i2", shape=(-1, 3), offset=6)
    assert (pack(source, tmp_path, rows=slice(1, None)) == X.reshape(8, 3)[2:]).all()


def test_a_cast_and_a_reshape(save: Save, tmp_path: Path) -> None:
    source = npyfast.source(save(X), cast="float32", scale=1 / 255, shift=1, row_shape=(2, 1))
    packed = pack(source, tmp_path, verify=True, shuffle=True, seed=0)
    wanted = X.astype("f4") * np.float32(1 / 255) + np.float32(1)
    assert packed.dtype == np.float32
    assert (packed == wanted.reshape(12, 2, 1)[expected.epoch_rows(12, seed=0)]).all()


def test_a_cast_to_bfloat16(save: Save, tmp_path: Path) -> None:
    bfloat16 = ml_dtypes.bfloat16
    packed = pack(npyfast.source(save(X), cast="bfloat16"), tmp_path, verify=True)
    assert packed.dtype == np.dtype("V2")
    assert (packed.view(bfloat16) == X.astype(bfloat16)).all()


def test_a_split(save: Save, tmp_path: Path) -> None:
    path = save(X)
    train, valid = npyfast.split(path, 0.75, seed=3)
    parts = []
    for name, rows in (("train", train), ("valid", valid)):
        (tmp_path / name).mkdir()
        parts.append(pack(path, tmp_path / name, rows=rows, verify=True))
        batches = npyfast.batches(path, 12, rows=rows)
        assert (parts[-1] == np.concatenate(list(batches))).all()
    assert len(parts[0]) == 9
    assert sorted(np.concatenate(parts).tolist()) == X.tolist()


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_archive(tmp_path: Path, write: Any, shuffle: bool) -> None:
    write(tmp_path / "in.npz", x=np.asfortranarray(X), y=np.arange(12))
    source = npyfast.source(tmp_path / "in.npz", key="x", cast="i8")
    seen: list[Progress] = []
    packed = pack(source, tmp_path, verify=True, shuffle=shuffle, seed=1, progress=seen.append)
    assert packed.dtype == np.int64
    assert (packed == X[expected.epoch_rows(12, seed=1 if shuffle else None)]).all()
    assert left_in(tmp_path) == ["in.npz", "out.npy"]
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    first = "checking" if write is np.savez else "unpacking"
    assert stages == [first, "writing", "verifying"]


def test_several_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "in-0.npz", X[:5])
    np.savez_compressed(tmp_path / "in-1.npz", X[5:])
    assert (pack(tmp_path / "in-*.npz", tmp_path) == X).all()


def test_an_archive_of_several_arrays_needs_a_key(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "in.npz", x=X, y=X)
    with pytest.raises(ValueError, match="'x', 'y'"):
        npyfast.pack(tmp_path / "in.npz", tmp_path / "out.npy")
    assert left_in(tmp_path) == ["in.npz"]


def test_an_interruption_while_an_archive_is_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "in.npz", X)

    def interrupt(progress: Progress) -> None:
        assert progress.stage == "unpacking"
        assert (tmp_path / "out.npy.unpacked.partial").is_dir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        npyfast.pack(tmp_path / "in.npz", tmp_path / "out.npy", progress=interrupt)
    assert left_in(tmp_path) == ["in.npz"]


@pytest.mark.parametrize("options", [{}, {"chunks": (5, 1), "compression": "gzip"}])
@pytest.mark.parametrize("rows", [None, slice(11, 0, -2)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_hdf5(tmp_path: Path, options: dict[str, Any], rows: Any, shuffle: bool) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file.create_dataset("a/x", data=X.astype(">i4"), **options)
    source = npyfast.source(tmp_path / "in.h5", key="a/x", cast="i4")
    seen: list[Progress] = []
    packed = pack(
        source, tmp_path, rows=rows, shuffle=shuffle, seed=2, verify=True, progress=seen.append
    )
    assert ("unpacking" in {told.stage for told in seen}) == (shuffle and bool(options))
    seed = 2 if shuffle else None
    assert (packed == X[expected.epoch_rows(12, rows=rows, seed=seed)]).all()
    assert packed.dtype == np.int32
    assert left_in(tmp_path) == ["in.h5", "out.npy"]


# Rows larger than what is copied at once, of one row and of several.
@pytest.mark.parametrize("shape", [(3, 5 << 20), (9, 1 << 20), (3, 1 << 22)])
def test_large_rows(save: Save, tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert (
        pack(save(array), tmp_path, rows=slice(None, None, -1), verify=True) == array[::-1]
    ).all()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (0, 0), (4, 2, 0)])
@pytest.mark.parametrize("max_file_size", [None, 1])
def test_nothing_to_write(
    tmp_path: Path, shape: tuple[int, ...], max_file_size: int | None
) -> None:
    options = {"verify": True, "shuffle": True, "max_file_size": max_file_size}
    (path,) = npyfast.pack(np.zeros(shape, "f4"), tmp_path / "out.npy", **options)
    packed = np.load(path)
    assert packed.shape == shape
    assert packed.dtype == np.float32


def test_a_path_that_is_no_utf8(tmp_path: Path) -> None:
    out = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.npy")
    assert npyfast.pack(X, out, max_file_size=150) == [
        out.replace(".npy", f"-{i:05}-of-00006.npy") for i in range(6)
    ]


# Which rows, and in which order


@pytest.mark.parametrize(
    "rows", [slice(2, -1, 3), [5, 5, -1], np.arange(12) % 2 == 0, range(4, 2, -1), slice(3, 3)]
)
def test_rows(save: Save, tmp_path: Path, rows: Any) -> None:
    assert (pack(save(X), tmp_path, rows=rows, verify=True) == X[rows]).all()


@pytest.mark.parametrize("rows", [None, slice(1, 11, 2)])
def test_the_order_of_the_first_epoch(save: Save, tmp_path: Path, rows: Any) -> None:
    path = save(X)
    packed = pack(path, tmp_path, shuffle=True, seed=5, rows=rows, verify=True)
    batches = npyfast.batches(path, 5, True, seed=5, epochs=1, rows=rows)
    assert (packed == np.concatenate(list(batches))).all()
    assert (packed == X[expected.epoch_rows(12, rows=rows, seed=5)]).all()


def test_a_seed_that_is_drawn_is_told(save: Save, tmp_path: Path) -> None:
    seen: list[Progress] = []
    packed = pack(save(X), tmp_path, shuffle=True, progress=seen.append)
    assert seen[-1].seed is not None
    assert (packed == X[expected.epoch_rows(12, seed=seen[-1].seed)]).all()


def test_progress(save: Save, tmp_path: Path) -> None:
    array = np.zeros((9, 1 << 20), np.uint8)
    seen: list[Progress] = []
    pack(save(array), tmp_path, verify=True, progress=seen.append)
    for stage in ("writing", "verifying"):
        told = [progress for progress in seen if progress.stage == stage]
        assert [progress.rows for progress in told] == [0, 4, 8, 9]
        assert [progress.bytes for progress in told] == [0, 4 << 20, 8 << 20, 9 << 20]
        assert {(p.total_rows, p.total_bytes, p.seed) for p in told} == {(9, 9 << 20, None)}


# Several files


@pytest.mark.parametrize(
    ("size", "rows_of_files"),
    [
        (128 + 96, [12]),
        ("1MiB", [12]),
        (128 + 95, [6, 6]),
        (128 + 8 * 5, [4, 4, 4]),
        (128 + 8 * 3 + 7, [3, 3, 3, 3]),
        (1, [1] * 12),
    ],
)
def test_files(tmp_path: Path, size: Any, rows_of_files: list[int]) -> None:
    written = npyfast.pack(X, tmp_path / "out.npy", max_file_size=size, verify=True)
    count = len(rows_of_files)
    assert written == [str(tmp_path / f"out-{i:05}-of-{count:05}.npy") for i in range(count)]
    assert left_in(tmp_path) == [os.path.basename(path) for path in written]
    assert [len(np.load(path)) for path in written] == rows_of_files
    assert (np.concatenate([np.load(path) for path in written]) == X).all()
    if size != 1:
        assert all(os.path.getsize(path) <= 1 << 20 for path in written)
        assert isinstance(size, str) or all(os.path.getsize(path) <= size for path in written)


def test_files_that_end_within_a_chunk_and_beyond(save: Save, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (25_000, 1000), np.uint8)
    written = npyfast.pack(
        save(array, "in.npy"), tmp_path / "out.npy", max_file_size="7MB", shuffle=True, seed=1
    )
    assert len(written) == 4
    packed = npyfast.open(written)[:]
    assert (packed == array[expected.epoch_rows(25_000, seed=1)]).all()


# What is refused


def test_a_nest(save: Save, tmp_path: Path) -> None:
    for nest in ((save(X), save(X)), {"x": save(X)}):
        with pytest.raises(TypeError, match="pack each array separately"):
            npyfast.pack(nest, tmp_path / "out.npy")


def test_a_dtype_that_no_file_can_have(tmp_path: Path) -> None:
    array = random_array(np.dtype(OUT_OF_ORDER), (3,))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="repack_fields"):
        npyfast.pack(array, tmp_path / "out.npy")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "block"}, "shuffle must be True or False"),
        ({"seed": -1, "shuffle": True}, "seed must be"),
        ({"verify": 1}, "verify must be True or False"),
        ({"overwrite": None}, "overwrite must be True or False"),
        ({"max_file_size": 0}, "max_file_size must be"),
        ({"max_file_size": True}, "max_file_size must be"),
        ({"max_file_size": "1 furlong"}, "max_file_size must be bytes, such as"),
        ({"max_file_size": "0.1B"}, "max_file_size must be bytes, such as"),
        ({"rows": "all"}, "rows must be"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        npyfast.pack(X, tmp_path / "out.npy", **options)
    assert left_in(tmp_path) == []


def test_rows_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(IndexError, match="row 12 is out of range"):
        npyfast.pack(X, tmp_path / "out.npy", rows=[0, 12])
    assert left_in(tmp_path) == []


def test_the_name_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in .npy, got '.*out'"):
        npyfast.pack(X, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no such folder") as missing:
        npyfast.pack(X, tmp_path / "none" / "out.npy")
    assert missing.value.filename == str(tmp_path / "none")
    (tmp_path / "folder.npy").mkdir()
    for overwrite in (False, True):
        with pytest.raises(IsADirectoryError):
            npyfast.pack(X, tmp_path / "folder.npy", overwrite=overwrite)
    assert left_in(tmp_path) == ["folder.npy"]


@pytest.mark.parametrize("max_file_size", [None, "1MiB"])
def test_existing_files_stay(save: Save, tmp_path: Path, max_file_size: Any) -> None:
    out = tmp_path / "out.npy"
    written = npyfast.pack(X, out, max_file_size=max_file_size)
    with pytest.raises(FileExistsError, match="--overwrite") as caught:
        npyfast.pack(X + 1, out, max_file_size=max_file_size)
    assert caught.value.filename == written[0]
    assert (np.load(written[0]) == X).all()
    assert npyfast.pack(X + 1, out, max_file_size=max_file_size, overwrite=True) == written
    assert (np.load(written[0]) == X + 1).all()
    assert left_in(tmp_path) == [os.path.basename(written[0])]


def test_whoever_has_the_old_file_open_keeps_it(save: Save, tmp_path: Path) -> None:
    out = save(X, "out.npy")
    with npyfast.open(out) as rows:
        npyfast.pack(X + 1, out, overwrite=True)
        assert (rows[:] == X).all()


def test_files_of_another_number_would_be_mixed_up(tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    npyfast.pack(X, out, max_file_size=150)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="another number of files") as caught:
            npyfast.pack(X, out, max_file_size=180, overwrite=overwrite)
        assert caught.value.filename == str(tmp_path / "out-00000-of-00006.npy")
    assert len(left_in(tmp_path)) == 6


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_output_among_the_inputs(save: Save, tmp_path: Path, overwrite: bool) -> None:
    path = save(X, "out.npy")
    os.link(path, tmp_path / "same.npy")
    for out in (path, tmp_path / "same.npy"):
        with pytest.raises(ValueError, match="is one of the inputs"):
            npyfast.pack(tmp_path, out, overwrite=overwrite)
    assert left_in(tmp_path) == ["out.npy", "same.npy"]
    assert (np.load(path) == X).all()


# What fails on the way


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    endless = np.broadcast_to(np.uint8(0), (1 << 44, 1 << 10))
    for max_file_size in (None, "1TiB"):
        with pytest.raises(OSError, match="needs 18,014,.* the disk has") as caught:
            npyfast.pack(endless, tmp_path / "out.npy", max_file_size=max_file_size)
        assert caught.value.errno == errno.ENOSPC
        assert left_in(tmp_path) == []


@pytest.mark.parametrize("max_file_size", [None, "1MiB", "16MiB"])
def test_a_write_that_fails(tmp_path: Path, max_file_size: str | None) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 700_000 if max_file_size == "1MiB" else 6 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            npyfast.pack(
                np.zeros((40, 1 << 18), "u1"), tmp_path / "out.npy", max_file_size=max_file_size
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).startswith(str(tmp_path / "out"))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("stage", ["writing", "verifying"])
@pytest.mark.parametrize("max_file_size", [None, 150])
def test_an_interruption(tmp_path: Path, stage: str, max_file_size: int | None) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == stage and progress.rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        npyfast.pack(
            X, tmp_path / "out.npy", verify=True, max_file_size=max_file_size, progress=interrupt
        )
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "max_file_size"),
    [
        ("out.npy.partial", None),
        ("out-00000-of-00002.npy.partial", 150),
        ("out.npy.unpacked.partial/x.npy", None),
    ],
)
def test_an_input_with_a_temporary_name(
    save: Save, tmp_path: Path, name: str, max_file_size: int | None
) -> None:
    save(X, "in.npy")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.rename(tmp_path / "in.npy", path)
    (tmp_path / "link.npy").symlink_to(path)
    for source in (path, tmp_path / "link.npy"):
        with pytest.raises(ValueError, match="has the name of a temporary file of the output"):
            npyfast.pack(source, tmp_path / "out.npy", max_file_size=max_file_size)
        assert (np.load(path) == X).all()


def test_a_file_that_another_pack_writes(tmp_path: Path) -> None:
    with Output(str(tmp_path / "out-00000-of-00002.npy"), overwrite=False):
        npyfast.pack(X, tmp_path / "out.npy")
        assert left_in(tmp_path) == ["out-00000-of-00002.npy.partial", "out.npy"]


def test_no_room_for_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        np.savez_compressed(tmp_path / f"{number}.npz", x=np.zeros(100_000))
    told: list[Progress] = []
    room = os.statvfs_result((4096, 4096, 300, 300, 300, 9, 9, 9, 0, 255))  # for one of them
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    with pytest.raises(OSError, match=r"needs 1,600,\d+ bytes, and the disk has 1,228,800 left"):
        npyfast.pack(f"{tmp_path}/?.npz", tmp_path / "out.npy", progress=told.append)
    assert told == []
    assert left_in(tmp_path) == ["0.npz", "1.npz"]


def test_hdf5_chunked_by_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is decompressed once, not for every piece that is written."""
    array = np.arange(3 << 20, dtype="f4").reshape(-1, 3)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(len(array), 1), compression="lzf")
    read: list[int] = []
    plain = hdf5_leaf.HDF5Leaf._read

    def counted(self: Any, number: int, begin: int, end: int) -> Any:
        read.append(end - begin)
        return plain(self, number, begin, end)

    monkeypatch.setattr(hdf5_leaf.HDF5Leaf, "_read", counted)
    assert (pack(npyfast.source(tmp_path / "in.h5", key="x"), tmp_path) == array).all()
    assert read == [len(array)]


def raising(error: BaseException, number: int, after: bool, patch: pytest.MonkeyPatch) -> None:
    """Has the number-th call that changes files raise an error, before it does so or after it."""
    left = itertools.count(1)

    def wrapped(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            now = next(left) == number
            if now and not after:
                raise error
            result = None
            try:
                result = function(*arguments, **keywords)
            finally:
                if now:
                    if function is os_open and result is not None:
                        os.close(result)
                    raise error
            return result

        return call

    os_open = os.open
    for name in CHANGING:
        patch.setattr(os, name, wrapped(getattr(os, name)))
    rename = _descriptor._rename_no_replace
    patch.setattr(_descriptor, "_rename_no_replace", wrapped(rename))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), OSError(errno.EIO, "bad")])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("max_file_size", [None, 160])
def test_an_end_at_any_point(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_file_size: int | None,
    overwrite: bool,
    after: bool,
    error: BaseException,
) -> None:
    """All files are there, or none; and each of them is whole."""
    options: dict[str, Any] = {"max_file_size": max_file_size, "overwrite": overwrite}
    out = tmp_path / "out.npy"
    ended = 0
    for number in itertools.count(1):
        for name in left_in(tmp_path):
            os.unlink(tmp_path / name)
        before = [Path(name).name for name in npyfast.pack(X + 1, out, **options)]
        if not overwrite:
            for name in before:
                os.unlink(tmp_path / name)
        (tmp_path / "out.npy.partial").write_bytes(bytes(5000))  # of one that was killed
        with monkeypatch.context() as patch:
            raising(error, number, after, patch)
            try:
                npyfast.pack(X, out, **options)
                break
            except type(error):
                ended += 1
        found = [np.load(tmp_path / name) for name in left_in(tmp_path) if name.endswith(".npy")]
        rows = np.concatenate([X[:0], *found])
        if not (np.array_equal(rows, X) or np.array_equal(rows, X + 1 if overwrite else X[:0])):
            # Renaming failed: new files were removed, and what they had replaced is gone.
            assert isinstance(error, OSError)
            assert overwrite
            assert len(found) < len(before)
        npyfast.pack(X, out, **{**options, "overwrite": True})
        assert left_in(tmp_path) == before
    assert ended > (20 if max_file_size else 5)


def test_a_source_that_fails_to_be_read(save: Save, tmp_path: Path) -> None:
    path = save(np.zeros((4, 3 << 20), np.uint8), "in.npy")

    def truncate(progress: Progress) -> None:
        os.truncate(path, 1 << 20)

    with pytest.raises(npyfast.NpyFormatError, match=r"in\.npy"):
        npyfast.pack(path, tmp_path / "out.npy", progress=truncate)
    assert left_in(tmp_path) == ["in.npy"]


@pytest.mark.parametrize("max_file_size", [None, 150])
def test_two_at_once(tmp_path: Path, max_file_size: int | None) -> None:
    errors = []

    def again(progress: Progress) -> None:
        with pytest.raises(BlockingIOError, match="another pack is writing") as caught:
            npyfast.pack(X, tmp_path / "out.npy", max_file_size=99)
        errors.append(caught.value)

    written = npyfast.pack(X, tmp_path / "out.npy", max_file_size=max_file_size, progress=again)
    assert errors
    assert (npyfast.open(written)[:] == X).all()
    assert len(left_in(tmp_path)) == len(written)


def test_somebody_else_writes_the_file_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    with pytest.raises(FileExistsError):
        npyfast.pack(X, out, progress=lambda _: out.write_text("mine"))
    assert out.read_text() == "mine"
    assert left_in(tmp_path) == ["out.npy"]


def test_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / "out.npy.unpacked.partial").mkdir()
    for name in ("out.npy", "out-00000-of-00099.npy", "out.npy.unpacked.partial/0.npy"):
        (tmp_path / f"{name}.partial").write_bytes(b"stale" * 1000)
    (tmp_path / "other-00000-of-00001.npy.partial").write_bytes(b"stale")
    written = npyfast.pack(X, tmp_path / "out.npy")
    assert (np.load(written[0]) == X).all()
    assert left_in(tmp_path) == ["other-00000-of-00001.npy.partial", "out.npy"]


def test_something_else_in_the_way(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.npy.partial")
    with pytest.raises(OSError, match="in the way"):
        npyfast.pack(X, tmp_path / "out.npy")
    assert left_in(tmp_path) == ["out.npy.partial"]


# Verifying


def flip(path: Path, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    ("place", "message"), [(128, "row 0 "), (128 + 95, "row 11 "), (60, "header"), (6, "header")]
)
def test_a_disk_that_changes_a_bit(save: Save, tmp_path: Path, place: int, message: str) -> None:
    out = Path(save(X + 1, "out.npy"))

    def corrupt(progress: Progress) -> None:
        if progress.stage == "verifying" and not progress.rows:
            flip(tmp_path / "out.npy.partial", place)

    with pytest.raises(OSError, match=message) as caught:
        npyfast.pack(X, out, verify=True, overwrite=True, progress=corrupt)
    assert caught.value.errno == errno.EIO
    assert caught.value.filename == str(out)
    assert left_in(tmp_path) == ["out.npy"]
    assert (np.load(out) == X + 1).all()  # the old one


@pytest.mark.parametrize(
    ("size", "message"), [(0, "header"), (128 + 60, "row 7 "), (999, "longer")]
)
def test_a_disk_that_loses_bytes(tmp_path: Path, size: int, message: str) -> None:
    def corrupt(progress: Progress) -> None:
        if progress.stage == "verifying" and not progress.rows:
            os.truncate(tmp_path / "out.npy.partial", size)

    with pytest.raises(OSError, match=message):
        npyfast.pack(X, tmp_path / "out.npy", verify=True, progress=corrupt)
    assert left_in(tmp_path) == []


def test_the_file_and_its_row_are_named(tmp_path: Path) -> None:
    def corrupt(progress: Progress) -> None:
        if progress.stage == "verifying" and not progress.rows:
            flip(tmp_path / "out-00001-of-00003.npy.partial", 128 + 17)

    with pytest.raises(OSError, match="row 2 is not") as caught:
        npyfast.pack(X, tmp_path / "out.npy", max_file_size=160, verify=True, progress=corrupt)
    assert caught.value.filename == str(tmp_path / "out-00001-of-00003.npy")
    assert left_in(tmp_path) == []


def test_the_mode_of_a_file_is_as_usual(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        written = npyfast.pack(X, tmp_path / "out.npy", max_file_size=150)
    finally:
        os.umask(before)
    assert {os.stat(path).st_mode & 0o777 for path in written} == {0o640}


# Headers


def test_a_header_that_numpy_finds_too_long(tmp_path: Path) -> None:
    fields = [(f"a field of some name {i}", "f4") for i in range(2000)]
    array = np.zeros(3, fields)
    np.savez_compressed(tmp_path / "in.npz", X)
    for options in ({}, {"verify": True}, {"max_file_size": "8kB"}, {"shuffle": True}):
        with pytest.raises(TypeError, match="cannot hold the dtype .*is large and may not be safe"):
            npyfast.pack(array, tmp_path / "out.npy", **options)
        assert left_in(tmp_path) == ["in.npz"]


def test_a_header_that_is_too_long_for_some_shapes(tmp_path: Path) -> None:
    """Up to the limit everything can be read; beyond it nothing is written."""
    refused = 0
    for count in range(400, 420):
        array = np.zeros((2, *(1,) * 30), [(f"field {i:05}", "f4") for i in range(count)])
        try:
            npyfast.pack(array, tmp_path / "out.npy", overwrite=True)
        except TypeError:
            refused += 1
            continue
        assert refused == 0
        assert np.load(tmp_path / "out.npy").dtype == array.dtype
        assert npyfast.open(tmp_path / "out.npy").shape == array.shape
    assert 0 < refused < 20


@pytest.mark.parametrize(
    "dtype",
    [
        [("\ud800", "f4")],
        [("a", [("\udfff", "f4")])],
        *([np.dtypes.StringDType()] if hasattr(np.dtypes, "StringDType") else []),
    ],
    ids=ascii,
)
def test_dtypes_that_nobody_could_read(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises((TypeError, RuntimeError)):  # by whoever finds it first
        npyfast.pack(np.zeros(3, dtype), tmp_path / "out.npy")
    assert left_in(tmp_path) == []


def test_more_dimensions_than_numpy_has(tmp_path: Path) -> None:
    source = npyfast.source(np.zeros((3, 1), "f4"), row_shape=(1,) * 64)
    with pytest.raises((TypeError, ValueError)):
        npyfast.pack(source, tmp_path / "out.npy")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype("f4", metadata={"unit": "m"}),
        [("pixel", ml_dtypes.bfloat16), ("scales", ml_dtypes.float8_e4m3fn, (2,))],
        [("'\"\n\\\0", "f4")],
        [("a", "f4", (1,)), ("b", "V0"), ("c", "M8[25s]")],
        [("", "i4"), ("f1", "V4")],
    ],
    ids=ascii,
)
def test_unusual_dtypes_that_can_be_read(tmp_path: Path, dtype: Any) -> None:
    array = np.zeros(3, dtype)
    packed = pack(array, tmp_path, verify=True)
    assert packed.tobytes() == array.tobytes()
    assert packed.dtype.names == array.dtype.names
    assert npyfast.open(tmp_path / "out.npy").dtype == packed.dtype
