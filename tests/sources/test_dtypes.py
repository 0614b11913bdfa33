"""Every dtype and layout comes out as `np.load(path)[row]`, in native byte order."""

from __future__ import annotations

from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches, in_native_order, same_bits
from samples import OUT_OF_ORDER, Save, dtypes, in_order, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

ROW_SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (2, 3), (3, 1, 2), (0,), (2, 0)]

every_dtype = pytest.mark.parametrize("dtype", dtypes(), ids=str)


@every_dtype
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_layout(save: Save, dtype: np.dtype[Any], order: str) -> None:
    for row_shape in ROW_SHAPES:
        array = in_order(random_array(dtype, (7, *row_shape)), order)
        path = save(array)
        if dtype.itemsize:  # np.load can't read what takes no bytes
            loaded = np.load(path)
            assert loaded.dtype == array.dtype
            array = loaded
        native = array.dtype.newbyteorder("=")
        rows = npyfast.open(path)
        assert rows.dtype == native
        assert rows.dtype.isnative
        assert rows.shape == array.shape
        picked = rows[[4, 0, -1, 4]]
        wanted = array[[4, 0, -1, 4]]
        assert picked.dtype == native
        assert picked.shape == wanted.shape
        assert same_bits(picked, in_native_order(wanted, array.dtype))
        assert_same_batches(
            npyfast.batches(path, 3, True, seed=1),
            array,
            expected.epoch_batches(7, batch_size=3, seed=1),
        )


@pytest.mark.parametrize("dtype", [*dtypes(), np.dtype(OUT_OF_ORDER)], ids=str)  # type: ignore[call-overload]
def test_arrays_in_memory(dtype: np.dtype[Any]) -> None:
    array = random_array(dtype, (6, 4, 2))
    for view in (array, array[::-1, ::2], array.transpose(1, 0, 2)):
        assert_same_batches(
            npyfast.batches(view, 4, True, seed=1),
            view,
            expected.epoch_batches(len(view), batch_size=4, seed=1),
        )


@every_dtype
def test_no_rows(save: Save, dtype: np.dtype[Any]) -> None:
    path = save(random_array(dtype, (0, 2)))
    assert npyfast.open(path)[:].dtype == dtype.newbyteorder("=")
    assert npyfast.open(path)[:].shape == (0, 2)
    assert list(npyfast.batches(path)) == []


@every_dtype
def test_a_large_row(dtype: np.dtype[Any]) -> None:
    array = random_array(dtype, (3, 50, 41))
    made = npyfast.batches(array, 2, rows=[2, 0])
    assert_same(next(iter(made)), expected.element(array, np.array([2, 0])))


def test_every_bit_of_a_nan_is_kept(save: Save) -> None:
    bits = np.array([0x7FC00000, 0x7F800001, 0xFFC0BEEF, 0x80000000], "u4")
    for dtype in ("<f4", ">f4"):
        path = save(bits.astype(dtype.replace("f", "u")).view(dtype))
        assert npyfast.open(path)[:].view("u4").tolist() == bits.tolist()
        assert next(iter(npyfast.batches(path))).view("u4").tolist() == bits.tolist()


def test_a_structure_becomes_a_dict_of_its_fields() -> None:
    dtype = np.dtype(
        [
            ("image", ">f4", (2, 2)),
            ("meta", [("id", ">u8"), ("names", "S2", (3,))]),
            ("pairs", [("left", "i1"), ("right", "i1", (2,))], (4,)),
        ]
    )
    batch = next(iter(npyfast.batches(random_array(dtype, (5, 3)), 2)))
    assert list(batch) == ["image", "meta", "pairs"]
    assert batch["image"].shape == (2, 3, 2, 2)
    assert batch["image"].dtype == np.dtype("f4")
    assert list(batch["meta"]) == ["id", "names"]
    assert batch["meta"]["id"].dtype == np.dtype("u8")
    assert batch["meta"]["names"].shape == (2, 3, 3)
    assert batch["pairs"]["left"].shape == (2, 3, 4)
    assert batch["pairs"]["right"].shape == (2, 3, 4, 2)


def test_field_names_of_all_sorts(save: Save) -> None:
    names = ["with space", "größe", "名前", "a.b", "keys"]
    array = random_array(np.dtype([(name, "i4") for name in names]), (4,))
    with pytest.warns(UserWarning, match="format 3.0"):
        path = save(array)
    batch = next(iter(npyfast.batches(path)))
    assert list(batch) == names
    assert_same(batch, expected.apart(array, array.dtype))


def test_titles_are_no_fields(save: Save) -> None:
    array = np.ones(3, np.dtype([(("The title", "name"), "i4")]))
    assert list(next(iter(npyfast.batches(array)))) == ["name"]


def test_structures_inside_a_nest(save: Save) -> None:
    records = random_array(np.dtype([("a", "i4"), ("b", ">f8", (2,))]), (9,))
    plain = np.arange(9)
    made = npyfast.batches(({"records": save(records)}, save(plain), records), 4, True, seed=1)
    assert_same_batches(
        made,
        ({"records": records}, plain, records),
        expected.epoch_batches(9, batch_size=4, seed=1),
    )


def test_files_of_both_layouts(save: Save) -> None:
    array = random_array(np.dtype(">f4"), (20, 3, 5))
    paths = [
        save(in_order(array[i : i + 5], order))
        for i, order in zip((0, 5, 10, 15), "CFFC", strict=True)
    ]
    assert_same_batches(
        npyfast.batches(paths, 6, True, seed=1),
        array,
        expected.epoch_batches(20, batch_size=6, seed=1),
    )


def test_many_dimensions(save: Save) -> None:
    array = np.arange(2**5 * 3).reshape(3, *[2] * 5, *[1] * 20)
    assert_same_batches(
        npyfast.batches(save(array), 2, True, seed=1),
        array,
        expected.epoch_batches(3, batch_size=2, seed=1),
    )
