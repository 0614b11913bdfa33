"""Rows that are cast, scaled and shifted as they are read: bit for bit what plain NumPy makes."""

from __future__ import annotations

import builtins
import re
import tempfile
from pathlib import Path
from typing import Any

import expected
import ml_dtypes
import numpy as np
import pytest
from expected import assert_same, assert_same_batches, cast
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import Save, in_order

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
INTEGERS = [np.dtype(text) for text in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
FLOATS = [np.dtype("f2"), BFLOAT16, np.dtype("f4"), np.dtype("f8")]
SOURCES = [np.dtype("?"), *INTEGERS, *FLOATS, np.dtype("g")]

Array = Any


def targets(source: np.dtype[Any]) -> list[np.dtype[Any]]:
    return FLOATS if source in FLOATS or source.char == "g" else FLOATS + INTEGERS


def every_value(dtype: np.dtype[Any]) -> Array:
    """Every bit pattern of a type of one or two bytes."""
    bits = np.arange(256**dtype.itemsize).astype(f"u{dtype.itemsize}")
    return bits.view(dtype) if dtype.kind != "b" else bits % 2 == 1


def read(source: Any) -> Array:
    return npyfast.open(source)[:]


SMALL = [dtype for dtype in SOURCES if dtype.itemsize <= 2]


@pytest.mark.parametrize("source", SMALL, ids=str)
def test_every_value_of_small_types(save: Save, source: np.dtype[Any]) -> None:
    array = every_value(source).reshape(8, -1)
    path = save(array)
    for to in targets(source):
        assert_same(read(npyfast.source(path, cast=to)), cast(array, to))
        if to not in FLOATS:
            continue
        for scale, shift in ((1 / 255, None), (None, -0.5), (3.7, 0.1), (0, 0), (float("inf"), 1)):
            made = npyfast.source(path, cast=to, scale=scale, shift=shift)
            assert_same(read(made), cast(array, to, scale, shift))


def edges(dtype: np.dtype[Any]) -> list[Any]:
    """Values of a wide type where a cast to another could go wrong."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        near = [2**k + d for k in range(8 * dtype.itemsize) for d in (-1, 0, 1)]
        near += [-n for n in near]
        return [n for n in [*near, 65519, 65520, info.min] if info.min <= n <= info.max]
    with np.errstate(all="ignore"):
        halves = every_value(np.dtype("f2"))[::37].astype(dtype)
        middles = (halves + np.nextafter(halves, dtype.type(np.inf)) * 1.0009765625) / 2
        near = np.concatenate(
            [halves, middles, *(np.nextafter(a, dtype.type(0)) for a in (halves, middles))]
        )
        tiny = np.ldexp(dtype.type(1), np.arange(-1100, 1030, 13)).astype(dtype)
    return [*near, *tiny, dtype.type(np.nan), -dtype.type(np.nan), dtype.type(65520)]


WIDE = [dtype for dtype in SOURCES if dtype.itemsize > 2]


@pytest.mark.parametrize("source", WIDE, ids=str)
def test_the_edges_of_wide_types(save: Save, source: np.dtype[Any]) -> None:
    array = np.array(edges(source), source)
    path = save(array)
    for to in targets(source):
        assert_same(read(npyfast.source(path, cast=to)), cast(array, to))
        if to in FLOATS:
            made = npyfast.source(path, cast=to, scale=0.1, shift=-3)
            assert_same(read(made), cast(array, to, 0.1, -3))


@st.composite
def wide_arrays(draw: Any) -> Array:
    """Any bits, as numbers of a wide type."""
    dtype = draw(st.sampled_from([dtype for dtype in WIDE if dtype.char != "g"]))
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    size = int(np.prod(shape)) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype)
    return bits.reshape(shape)


@st.composite
def operands(draw: Any, row_shape: tuple[int, ...]) -> Any:
    """None, or what broadcasts over a row."""
    if draw(st.integers(0, 3)) == 0:
        return None
    shape = tuple(n if draw(st.booleans()) else 1 for n in row_shape)
    shape = shape[draw(st.integers(0, len(shape))) :]
    # No NaN: which of two that meet is kept is for NumPy's compiler to say.
    numbers = st.floats(allow_nan=False, width=32) | st.floats(-2, 2)
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(numbers, min_size=size, max_size=size)), "f8").reshape(shape)
    return values if shape else float(values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_all_of_it_together(backend: str, data: Any) -> None:
    array = data.draw(wide_arrays())
    to = data.draw(st.sampled_from(FLOATS))
    scale = data.draw(operands(array.shape[1:]))
    shift = data.draw(operands(array.shape[1:]))
    if data.draw(st.booleans()):
        array = array.astype(array.dtype.newbyteorder())
    cut = data.draw(st.integers(0, len(array)))
    with tempfile.TemporaryDirectory() as folder:
        for number, shard in enumerate((array[:cut], array[cut:])):
            order = data.draw(st.sampled_from("CF"))
            np.save(Path(folder, f"{number}.npy"), in_order(shard, order))
        source = npyfast.source(folder, cast=to, scale=scale, shift=shift)
        assert_same(read(source), cast(array, to, scale, shift))
        rows = data.draw(st.lists(st.integers(0, len(array) - 1), max_size=9)) if len(array) else []
        taken = npyfast.open(source)[np.array(rows, int)]
        assert_same(taken, cast(array, to, scale, shift)[np.array(rows, int)])


ROW = (5, 40, 70)
NUMBERS = np.random.default_rng(0)


@pytest.mark.parametrize("to", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(), (70,), (1,), (40, 1), (5, 1, 1), (1, 40, 1), (5, 1, 70), (5, 40, 70), (40, 70)],
    ids=str,
)
def test_arrays_broadcast_over_a_row(save: Save, shape: tuple[int, ...], to: str) -> None:
    array = NUMBERS.integers(0, 256, (6, *ROW), dtype=np.uint8)
    dtype = BFLOAT16 if to == "bfloat16" else np.dtype(to)
    scale, shift = NUMBERS.standard_normal(shape), NUMBERS.standard_normal(shape)
    for path in (save(array), save(in_order(array, "F"))):
        for given_scale, given_shift in ((scale, shift), (scale, None), (None, shift)):
            source = npyfast.source(path, cast=to, scale=given_scale, shift=given_shift)
            assert_same(read(source), cast(array, dtype, given_scale, given_shift))


def test_images_of_both_channel_orders(save: Save) -> None:
    last = NUMBERS.integers(0, 256, (9, 64, 48, 3), dtype=np.uint8)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scale, shift = 1 / 255 / std, -mean / std
    by_last = npyfast.source(save(last), cast="float32", scale=scale, shift=shift)
    by_first = npyfast.source(
        save(first),
        cast="float32",
        scale=scale.reshape(3, 1, 1),
        shift=shift.reshape(3, 1, 1),
    )
    wanted = cast(last, np.dtype("f4"), scale, shift)
    assert_same(read(by_last), wanted)
    assert_same(read(by_first), np.ascontiguousarray(wanted.transpose(0, 3, 1, 2)))


def test_a_batch_that_goes_past_the_cache(save: Save) -> None:
    array = NUMBERS.integers(0, 256, (70, 100, 1000), dtype=np.uint8)
    made = npyfast.source(save(array), cast="float32", scale=1 / 255)
    wanted = cast(array, np.dtype("f4"), 1 / 255)
    assert_same_batches(npyfast.batches(made, 70), wanted, [np.arange(70)])


SWAPPABLE = [dtype for dtype in SOURCES if dtype.itemsize > 1 and dtype != BFLOAT16]


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("source", SWAPPABLE, ids=str)
def test_the_other_byte_order(save: Save, source: np.dtype[Any], order: str) -> None:
    swapped = source.newbyteorder()
    array = NUMBERS.standard_normal((11, 3, 5)) * 100
    array = in_order(array.astype(source).astype(swapped), order)
    made = npyfast.source(save(array), cast="float32", scale=0.5)
    assert_same(read(made), cast(array, np.dtype("f4"), 0.5))


def test_a_float_source_needs_no_cast(save: Save) -> None:
    for dtype in FLOATS:
        array = NUMBERS.standard_normal((7, 3)).astype(dtype)
        assert_same(read(npyfast.source(save(array), scale=2.5)), cast(array, dtype, 2.5))
        assert_same(read(npyfast.source(save(array), cast=dtype)), array)


def test_ways_to_name_a_type(save: Save) -> None:
    path = save(np.arange(6, dtype="u1"))
    names: list[Any] = ["float16", np.float16, np.dtype("f2"), ">f2", "e"]
    for name in names:
        assert npyfast.open(npyfast.source(path, cast=name)).dtype == np.dtype("f2")
    assert npyfast.open(npyfast.source(path, cast=float)).dtype == np.dtype("f8")
    for name in ("bfloat16", BFLOAT16, ml_dtypes.bfloat16, "V2"):
        assert npyfast.open(npyfast.source(path, cast=name)).dtype == BFLOAT16


def test_bytes_of_a_bool_that_are_no_bool(save: Save) -> None:
    path = save(np.array([0, 1, 2, 255], "u1").view(bool))
    for to in FLOATS + INTEGERS:
        wanted = np.array([0, 1, 1, 1]).astype(to)
        assert_same(read(npyfast.source(path, cast=to)), wanted)


def test_batches_of_a_nest_with_files_and_a_subset(tmp_path: Path, save: Save) -> None:
    array = NUMBERS.integers(0, 256, (103, 4, 6), dtype=np.uint8)
    for number, shard in enumerate(np.split(array, [20, 21, 90])):
        np.save(tmp_path / f"part-{number}.npy", in_order(shard, "CF"[number % 2]))
    labels = NUMBERS.integers(-5, 5, 103)
    images = npyfast.source(
        str(tmp_path / "part-*.npy"), cast="float32", scale=1 / 255, shift=-0.5, row_shape=(24, 1)
    )
    wanted = {
        "image": cast(array, np.dtype("f4"), 1 / 255, -0.5).reshape(103, 24, 1),
        "label": cast(labels, np.dtype("i2")),
    }
    options: dict[str, Any] = {"rows": np.arange(103) % 3 != 0, "seed": 5}
    assert_same_batches(
        npyfast.batches(
            {"image": images, "label": npyfast.source(save(labels), cast="int16")},
            batch_size=10,
            shuffle=True,
            **options,
        ),
        wanted,
        expected.epoch_batches(103, batch_size=10, **options),
    )


def test_an_operand_broadcasts_over_the_new_row_shape(save: Save) -> None:
    array = NUMBERS.integers(0, 256, (5, 12), dtype=np.uint8)
    scale = np.arange(3)
    made = npyfast.source(save(array), cast="float32", scale=scale, row_shape=(2, 2, 3))
    assert_same(read(made), cast(array.reshape(5, 2, 2, 3), np.dtype("f4"), scale))


def test_no_rows_and_rows_without_items(save: Save) -> None:
    for shape in ((0, 3), (4, 0), (4, 0, 3), (0,)):
        made = npyfast.source(save(np.zeros(shape, "u1")), cast="float32", scale=2)
        assert_same(read(made), np.zeros(shape, "f4"))


def test_rows_into_an_array(save: Save) -> None:
    array = NUMBERS.integers(0, 256, (5, 12), dtype=np.uint8)
    out = np.full((2, 12), np.nan, "f4")
    npyfast.open(npyfast.source(save(array), cast="float32")).gather([3, 1], out=out)
    assert_same(out, array[[3, 1]].astype("f4"))


REFUSED = [
    ("f4", {"cast": "int32"}, TypeError, "no cast from float32 to int32"),
    ("V2", {"cast": "int32"}, TypeError, "no cast from bfloat16 to int32"),
    ("f4", {"cast": "bool"}, TypeError, "cast must be one of"),
    ("u1", {"cast": "complex64"}, TypeError, "cast must be one of"),
    ("u1", {"cast": "longdouble"}, TypeError, "cast must be one of"),
    ("u1", {"cast": "S3"}, TypeError, "transform"),
    ("u1", {"cast": "flaot32"}, ValueError, "cast must be one of"),
    ("g", {"scale": 2}, TypeError, "cast='float64'"),
    ("c8", {"cast": "float32"}, TypeError, "not complex64"),
    ("S3", {"cast": "float32"}, TypeError, "transform"),
    ("M8[s]", {"cast": "int64"}, TypeError, "transform"),
    ([("a", "f4")], {"scale": 2}, TypeError, "transform"),
    ("u1", {"scale": 1 / 255}, ValueError, "cast='float32'"),
    ("u1", {"cast": "int32", "shift": 1}, ValueError, "cast='float32'"),
    ("f4", {"scale": "2"}, TypeError, "scale must be a number"),
    ("f4", {"shift": [1j]}, TypeError, "shift must be a number"),
    ("f4", {"scale": np.ones(4)}, ValueError, "(4,), a row has (2, 3)"),
    ("f4", {"shift": np.ones((1, 2, 3))}, ValueError, "(1, 2, 3), a row has (2, 3)"),
]


@pytest.mark.parametrize(("dtype", "options", "error", "part"), REFUSED, ids=str)
def test_what_is_refused(
    save: Save, dtype: Any, options: dict[str, Any], error: type[Exception], part: str
) -> None:
    path = save(np.zeros((4, 2, 3), dtype))
    with pytest.raises(error, match=re.escape(part)):
        npyfast.open(npyfast.source(path, **options))


@pytest.mark.parametrize(
    "options",
    [
        {"scale": "1/255"},
        {"shift": [[1, 2], [3]]},
        {"scale": np.array(["1"])},
        {"cast": "flaot32"},
        {"cast": "bool"},
        {"cast": "int8", "scale": 2},
    ],
    ids=str,
)
def test_what_needs_no_file_to_be_refused(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        npyfast.source("a file that does not exist.npy", **options)
    if options.get("scale") == "1/255":
        assert str(caught.value) == (
            "scale must be a number or an array of numbers; got '1/255': write it without quotes"
        )


def test_bfloat16_without_ml_dtypes(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(np.zeros(3, "u1"))
    usual = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "ml_dtypes":
            raise ImportError("no module")
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install ml-dtypes"):
        npyfast.open(npyfast.source(path, cast="bfloat16"))
    assert npyfast.open(npyfast.source(path, cast="float16"))[0] == 0
