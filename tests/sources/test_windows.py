"""Windows over the first axes of an array, and slices of its rows: against NumPy, for every dtype
and layout."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import expected
import h5py
import numpy as np
import pytest
from backends import BACKENDS, use_backend
from expected import assert_same, assert_same_batches
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from samples import STRUCTURED, Array, Save, dtypes, in_order, random_array
from strategies import given_options, options
from windows import full, rows_of

import npyfast

WINDOWS: list[tuple[tuple[int, ...], Any, Any]] = [
    ((50,), 7, None),
    ((50,), 7, 7),
    ((50,), (50,), 3),
    ((50,), 1, 20),
    ((50, 3), 4, 2),
    ((9, 12), (3, 4), None),
    ((9, 12), (3, 4), (2, 5)),
    ((9, 12), (1, 12), 1),
    ((9, 12), (9, 2), (1, 3)),
    ((9, 12, 3), (4, 4), 4),
    ((5, 6, 7), (2, 3, 4), (1, 2, 3)),
    ((4, 5, 3, 2), (2, 2, 1), 1),
]


def source_rows(path: Any, **view: Any) -> Any:
    return npyfast.open(npyfast.source(path, **view))


@pytest.mark.usefixtures("backend")
class TestRows:
    @pytest.mark.parametrize(("shape", "window", "stride"), WINDOWS)
    @pytest.mark.parametrize("order", "CF")
    def test_each_window_is_a_row(
        self, save: Save, order: str, shape: tuple[int, ...], window: Any, stride: Any
    ) -> None:
        array = in_order(random_array(np.dtype(">i4"), shape), order)
        sizes = full(window, 1)
        steps = full(1 if stride is None else stride, len(sizes))
        for part in (None, slice(1, None), slice(-3, None, 2), slice(2, 1), slice(None, 10**30, 3)):
            wanted = rows_of([array], sizes, steps, part)
            path = save(array)
            for what in (path, array, np.load(path, mmap_mode="r")):
                rows = source_rows(what, window=window, stride=stride, rows=part)
                assert rows.shape == wanted.shape
                assert_same(rows[:], expected.in_native_order(wanted, array.dtype))

    def test_they_are_those_of_sliding_window_view(self, save: Save) -> None:
        array = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
        windows = sliding_window_view(array, (8, 9), axis=(0, 1))[::2, ::5]
        wanted = np.moveaxis(windows, 2, -1).reshape(-1, 8, 9, 3)
        assert_same(source_rows(save(array), window=(8, 9), stride=(2, 5))[:], wanted)

    @pytest.mark.parametrize("dtype", dtypes(), ids=str)
    def test_every_dtype(self, save: Save, dtype: np.dtype[Any]) -> None:
        array = random_array(dtype, (6, 5))
        whats: list[Any] = [array]
        if dtype.itemsize:  # np.asfortranarray makes "S1" of "S0", which NumPy cannot load
            whats += [save(array), save(np.asfortranarray(array)), np.asfortranarray(array)]
        for what in whats:
            for window in ((3,), (2, 3)):
                wanted = rows_of([array], window, (2,) * len(window))
                rows = source_rows(what, window=window, stride=2)
                assert rows.shape == wanted.shape
                assert_same(rows[:], expected.in_native_order(wanted, dtype))

    def test_no_window_reaches_over_the_end_of_a_file(self, save: Save) -> None:
        arrays = [random_array(np.dtype("f4"), (n, 3), n) for n in (9, 4, 12)]
        paths = [save(in_order(a, "CFC"[i])) for i, a in enumerate(arrays)]
        for part in (None, slice(5, 12), slice(4, None, 4), slice(8, 9)):
            wanted = rows_of(arrays, (4,), (1,), part)
            assert_same(source_rows(paths, window=4, rows=part)[:], wanted)
        plain = np.concatenate(arrays)
        for part in (slice(1, None), slice(9, 13), slice(2, -1, 5), slice(24, 25)):
            assert_same(source_rows(paths, rows=part)[:], plain[part])

    def test_tiles_of_scenes_of_different_sizes(self, save: Save) -> None:
        arrays = [random_array(np.dtype("u2"), (*s, 2), 1) for s in ((9, 7), (5, 12), (5, 5))]
        rows = source_rows([save(a) for a in arrays], window=(5, 5), stride=2)
        assert_same(rows[:], rows_of(arrays, (5, 5), (2, 2)))

    def test_other_formats(self, tmp_path: Path) -> None:
        array = random_array(np.dtype("f8"), (20, 5))
        array.tofile(tmp_path / "a.bin")
        np.savez(tmp_path / "a.npz", x=array)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = array
            file.create_dataset("chunked", data=array, chunks=(3, 5))
        sources: list[dict[str, Any]] = [
            {"path": tmp_path / "a.bin", "dtype": "f8", "shape": (-1, 5)},
            {"path": tmp_path / "a.npz", "key": "x"},
            {"path": tmp_path / "a.h5", "key": "x"},
            {"path": tmp_path / "a.h5", "key": "chunked"},
        ]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*h5py reads it", RuntimeWarning)
            for given in sources:
                wanted = rows_of([array], (4,), (3,), slice(1, -1))
                assert_same(source_rows(**given, window=4, stride=3, rows=slice(1, -1))[:], wanted)
                assert_same(source_rows(**given, rows=slice(3, None, 4))[:], array[3::4])
                if given.get("key") == "chunked":
                    with pytest.raises(ValueError, match="windows over 2 axes need data that can"):
                        source_rows(**given, window=(4, 4))
                else:
                    wanted = rows_of([array], (4, 2), (1, 1))
                    assert_same(source_rows(**given, window=(4, 2))[:], wanted)

    def test_reshaped_and_cast(self, save: Save) -> None:
        array = random_array(np.dtype(">u2"), (12, 10, 2))
        leaf = npyfast.source(
            save(array), window=(4, 3), stride=3, row_shape=(12, 2), cast="f4", scale=[0.5, 2]
        )
        wanted = rows_of([array], (4, 3), (3, 3)).reshape(-1, 12, 2)
        assert_same(npyfast.open(leaf)[:], expected.cast(wanted, "f4", [0.5, 2]))

    def test_files_of_one_row(self, save: Save) -> None:
        paths = [save(np.full(3, i)) for i in range(6)]
        rows = source_rows(paths, per_file="row", rows=slice(1, None, 2))
        assert rows[:].tolist() == [[i] * 3 for i in (1, 3, 5)]
        with pytest.raises(ValueError, match="window and per_file cannot be combined"):
            source_rows(paths, per_file="row", window=2)
        with pytest.raises(ValueError, match="rows leaves none of the 6 files"):
            source_rows(paths, per_file="row", rows=slice(6, None))

    def test_a_trillion_windows_cost_nothing(self, tmp_path: Path) -> None:
        size = 10**6
        path = tmp_path / "large.bin"
        with open(path, "wb") as file:
            file.truncate(size * size)
            file.seek((size - 7) * size + 13)
            file.write(b"\x05")
        leaf = npyfast.source(path, dtype="u1", shape=(size, size), window=(8, 16))
        count = (size - 7) * (size - 15)
        assert npyfast.open(leaf).shape == (count, 8, 16)
        assert np.argwhere(npyfast.open(leaf)[count - size + 15 + 13]).tolist() == [[1, 0]]
        batches = npyfast.batches(leaf, 4, shuffle=True, seed=1)
        assert next(iter(batches)).shape == (4, 8, 16)
        train, validation = npyfast.split(leaf, 0.9)
        assert len(train) + len(validation) == count


@pytest.mark.usefixtures("backend")
class TestBadInput:
    @pytest.mark.parametrize(
        "value", [0, -1, True, 1.5, "3", (), (2, 0), (2, True), 2**63, (1, "a")]
    )
    def test_window_and_stride(self, value: Any) -> None:
        for view in ({"window": value}, {"window": (2, 2), "stride": value}):
            name = list(view)[-1]
            with pytest.raises(
                ValueError, match=f"{name} must be an int of at least 1, or a tuple"
            ):
                npyfast.source("x.npy", **view)

    def test_numpy_integers_are_integers(self, save: Save) -> None:
        path = save(np.arange(9))
        assert source_rows(path, window=np.int8(3), stride=[np.uint64(2)]).shape == (4, 3)

    def test_stride(self) -> None:
        with pytest.raises(ValueError, match="stride is the step between windows: give window"):
            npyfast.source("x.npy", stride=2)
        with pytest.raises(ValueError, match=r"or as many as window has, 2; got \(1, 2, 3\)"):
            npyfast.source("x.npy", window=(4, 4), stride=(1, 2, 3))
        with pytest.raises(ValueError, match=r"or as many as window has, 2; got \(1,\)"):
            npyfast.source("x.npy", window=(4, 4), stride=(1,))

    @pytest.mark.parametrize(
        "rows",
        [5, [1, 2], np.arange(3), "1:2", slice(None, None, -1), slice(None, None, 0), slice("a"),
         slice(1.5), slice(None, True), range(4)],
        ids=repr,
    )  # fmt: skip
    def test_rows(self, rows: Any) -> None:
        with pytest.raises(
            ValueError, match=r"rows of a source must be a slice, such as slice\(29"
        ):
            npyfast.source("x.npy", rows=rows)

    def test_a_file_smaller_than_the_window_is_named(self, save: Save) -> None:
        large, small = save(np.zeros((9, 9))), save(np.zeros((3, 9)))
        for window, text in ((4, "(4,)"), ((1, 10), "(1, 10)"), ((1, 1, 1), "(1, 1, 1)")):
            message = f"{small}: window {text} does not fit into the array of shape (3, 9)"
            with pytest.raises(ValueError, match=re.escape(message)):
                source_rows(small, window=window)
        with pytest.raises(ValueError, match=re.escape(f"{small}: window (4,) does not fit")):
            source_rows([large, small], window=4)
        with pytest.raises(ValueError, match="window .* does not fit into the array of shape"):
            source_rows(np.zeros(3), window=4)
        with pytest.raises(ValueError, match=re.escape("window (1,) does not fit into the array")):
            source_rows(save(np.zeros((0, 3))), window=1)

    def test_files_whose_windows_differ(self, save: Save) -> None:
        paths = save(np.zeros((9, 4))), save(np.zeros((9, 5)))
        with pytest.raises(ValueError, match=r"one row shape: .* has \(3, 4\), .* has \(3, 5\)"):
            source_rows(list(paths), window=3)

    def test_more_windows_than_can_be_counted(self) -> None:
        memory = np.lib.stride_tricks.as_strided(np.zeros(1, "V0"), (2**40, 2**40, 0), (0, 0, 0))
        with pytest.raises(ValueError, match="has more windows than can be counted"):
            source_rows(memory, window=(1, 1))

    def test_leaves_of_unequal_length(self, save: Save) -> None:
        x, y = npyfast.source(save(np.arange(50)), window=30), save(np.arange(50))
        message = r"has 21, .* has 50; npyfast.source\(..., rows=slice\(start, stop\)\) takes"
        with pytest.raises(ValueError, match=message):
            npyfast.batches((x, y))


@settings(max_examples=max(20, settings().max_examples // 2))
@given(data=st.data())
def test_any_window_of_any_array(data: st.DataObject) -> None:
    kinds = [dtype for dtype in dtypes() if dtype.itemsize] + [
        np.dtype(spec)
        for spec in STRUCTURED[:3]  # type: ignore[call-overload]
    ]
    dtype = data.draw(st.sampled_from(kinds))
    axes = data.draw(st.integers(1, 3))
    window = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(data.draw(st.integers(1, 5)) for _ in range(axes))
    rest = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    part = data.draw(
        st.none()
        | st.builds(
            slice,
            st.none() | st.integers(-20, 20),
            st.none() | st.integers(-20, 20),
            st.none() | st.integers(1, 9),
        )
    )
    arrays = []
    for number in range(data.draw(st.integers(1, 3))):
        shape = tuple(size + data.draw(st.integers(0, 6)) for size in window)
        arrays.append(random_array(dtype, (*shape, *rest), number))
    wanted = rows_of(arrays, window, stride, part)
    made = data.draw(options(len(wanted)))
    given_rows = list(
        expected.epoch_batches(
            len(wanted),
            epoch=made["start_epoch"],
            **{
                name: value
                for name, value in made.items()
                if name not in ("start_epoch", "start_batch", "epochs")
            },
        )
    )
    made = {k: v for k, v in made.items() if k not in ("start_batch", "epochs")}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, array in enumerate(arrays):
            paths.append(f"{folder}/{number}.npy")
            np.save(paths[-1], in_order(array, data.draw(st.sampled_from("CF"))))
        what: Any = arrays[0] if len(arrays) == 1 and data.draw(st.booleans()) else paths
        leaf = npyfast.source(what, window=window, stride=stride, rows=part)
        for name in BACKENDS:
            with use_backend(name):
                rows = npyfast.open(leaf)
                assert rows.shape == wanted.shape
                assert_same(rows[:], expected.in_native_order(wanted, dtype))
                assert_same_batches(
                    npyfast.batches(leaf, **given_options(made)), wanted, given_rows
                )


@pytest.mark.usefixtures("backend")
class TestUse:
    def array(self) -> Array:
        return random_array(np.dtype("i4"), (60, 4))

    def test_pack_writes_them(self, save: Save, tmp_path: Path) -> None:
        array = self.array()
        out = str(tmp_path / "out.npy")
        for what in (save(array), array):
            leaf = npyfast.source(what, window=(5, 3), stride=2, rows=slice(1, None))
            npyfast.pack(leaf, out, overwrite=True, verify=True)
            assert_same(np.load(out), rows_of([array], (5, 3), (2, 2), slice(1, None)))
        np.savez_compressed(tmp_path / "a.npz", x=array)
        leaf = npyfast.source(tmp_path / "a.npz", key="x", window=7, stride=3)
        npyfast.pack(leaf, out, overwrite=True)
        assert_same(np.load(out), rows_of([array], (7,), (3,)))

    def test_a_state_belongs_to_its_windows(self, save: Save) -> None:
        path = save(np.arange(11))

        def batches(**view: Any) -> Any:
            return npyfast.batches(npyfast.source(path, **view), 1, True, seed=1)

        iterator = iter(batches(window=2, stride=7))
        next(iterator)
        state = iterator.get_state()
        rest = [batch.tolist() for batch in iterator]
        again = iter(batches(window=2, stride=7))
        again.set_state(state)
        assert [batch.tolist() for batch in again] == rest
        for view in (
            {"window": 2, "stride": 8},
            {"window": 2, "stride": 7, "rows": slice(0, 2)},
            {"window": 2, "rows": slice(8, None)},
        ):
            with pytest.raises(ValueError, match="the state belongs to other batches: leaves is"):
                iter(batches(**view)).set_state(state)

    def test_statistics_count_what_was_delivered(self, save: Save) -> None:
        batches = npyfast.batches(npyfast.source(save(np.zeros(99, "u2")), window=10), 8)
        assert sum(len(batch) for batch in batches) == 90
        counted = npyfast.statistics(batches)
        assert (counted.rows, counted.bytes) == (90, 90 * 20)

    def test_a_truncated_file(self, tmp_path: Path) -> None:
        array = np.arange(40000, dtype="u2").reshape(200, 200)
        for window in (50, (3, 120), (200, 1)):
            path = tmp_path / "a.npy"
            np.save(path, array)
            rows = source_rows(path, window=window)
            with open(path, "r+b") as file:
                file.truncate(79000)
            with pytest.raises(npyfast.NpyFormatError, match=re.escape(str(path))):
                rows[-1]
            with pytest.raises(npyfast.NpyFormatError, match=re.escape(str(path))):
                rows[math.prod(rows.shape[:1]) // 2 :]

    def test_compressed_archives(self, tmp_path: Path) -> None:
        array = self.array()
        paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
        for path in paths:
            np.savez_compressed(path, x=array)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = source_rows(paths[0], window=(4, 2), stride=3, rows=slice(1, None))
            assert_same(rows[:], rows_of([array], (4, 2), (3, 3), slice(1, None)))
            rows = source_rows(paths, rows=slice(50, 70))
            assert_same(rows[:], np.concatenate([array, array])[50:70])
            with pytest.raises(ValueError, match="windows over several such files are not"):
                source_rows(paths, window=4)
            leaf = npyfast.source(paths[0], window=4)
            assert sum(map(len, npyfast.split(leaf, 0.5))) == 57
