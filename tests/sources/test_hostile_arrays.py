"""Arrays in memory that are made to break their reader: impossible sizes, dtypes that overlap or
never end, output that lies over its source."""

import numpy as np
import pytest

import npyfast
from npyfast._backends.fields import to_native

HUGE = np.broadcast_to(np.zeros(1, np.uint8), (2, 2**60))


@pytest.mark.parametrize("count", [2, 4, 7, 8, 15, 16, 17, 31, 32])
def test_bytes_of_rows_do_not_wrap(backend, count):
    rows = npyfast.open(HUGE)
    with pytest.raises(MemoryError):
        rows[[0] * count]
    with pytest.raises(MemoryError):
        rows.gather([1] * count)
    assert rows[[]].shape == (0, 2**60)


@pytest.mark.parametrize("rows", [4, 16, 64])
def test_nor_do_those_of_batches(backend, rows):
    one = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (rows, 2**60 // rows), (0, 0))
    leaves = (one, {"a": one})
    with pytest.raises(MemoryError):
        next(iter(npyfast.batches(leaves, batch_size=rows)))


def test_nor_do_those_of_a_cast(backend):
    source = npyfast.source(HUGE, cast="float64")
    try:
        rows = npyfast.open(source)
    except ValueError:  # one row has more bytes than can be counted
        return
    with pytest.raises(MemoryError):
        rows[[0, 1]]


def overlapping_dtypes():
    simple = ["<u2", ">u2", "<f4", ">f4", ">f8", ">c8", ">U2", ">m8[s]", "u1", "S3", ">g"]
    rng = np.random.default_rng(7)

    def any_dtype(depth):
        kind = rng.integers(0, 8 if depth else 5)
        if kind < 5:
            return np.dtype(rng.choice(simple))
        if kind == 5:
            return np.dtype((any_dtype(depth - 1), tuple(rng.integers(1, 4, 2).tolist())))
        return structure(depth - 1, dense=kind == 6)

    def structure(depth, dense):
        fields = [any_dtype(depth) for _ in range(rng.integers(1, 4))]
        offsets = rng.integers(0, 9, len(fields)).tolist()
        if dense:
            offsets = np.cumsum([0] + [field.itemsize for field in fields])[:-1].tolist()
        ends = [at + field.itemsize for at, field in zip(offsets, fields, strict=True)]
        names = [f"f{i}" for i in range(len(fields))]
        size = max(ends) + int(rng.integers(0, 3))
        spec = {"names": names, "formats": fields, "offsets": offsets, "itemsize": size}
        return np.dtype(spec)

    return [structure(3, dense=False) for _ in range(300)]


def same_fields(a, b):
    """Whether all fields have the same bytes."""
    if a.dtype.names is not None:
        return all(same_fields(a[name], b[name]) for name in a.dtype.names)
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_overlapping_fields_come_out_as_numpy_assigns_them(backend):
    rng = np.random.default_rng(3)
    wanted = [3, 1, 1, 6]
    for dtype in overlapping_dtypes():
        array = rng.integers(0, 256, 7 * dtype.itemsize, dtype=np.uint8).view(dtype)
        rows = npyfast.open(array)
        expected = to_native(array[wanted])
        assert same_fields(rows[wanted], expected), dtype
        assert same_fields(rows.gather(wanted, out=np.empty_like(expected)), expected), dtype


def test_the_words_of_overlapping_fields(backend):
    spec = {"names": ["a", "b"], "formats": [">u4", "<u2"], "offsets": [0, 1], "itemsize": 4}
    array = np.frombuffer(bytes(range(8)), np.dtype(spec))
    # "a" reversed, then the second and third byte as they are in the source.
    assert npyfast.open(array)[:].tobytes() == bytes([3, 1, 2, 0, 7, 5, 6, 4])
    (batch,) = npyfast.batches(array, batch_size=2)
    assert batch["a"].tolist() == [0x00010203, 0x04050607]
    assert batch["b"].tolist() == [0x0201, 0x0605]


def test_the_same_field_twice(backend):
    spec = {"names": ["a", "b"], "formats": [">u4", ">u4"], "offsets": [0, 0]}
    array = np.array([(1, 1), (2, 2)], np.dtype(spec))
    assert npyfast.open(array)[:]["a"].tolist() == [1, 2]


@pytest.mark.parametrize("depth", [101, 900])
def test_dtypes_nested_deeper_than_any_header(backend, depth):
    dtype = np.dtype(">u4")
    for _ in range(depth):
        dtype = np.dtype([("a", dtype)])
    with pytest.raises(ValueError, match="100 levels deep"):
        npyfast.open(np.zeros(2, dtype))
    with pytest.raises(ValueError, match="100 levels deep"):
        npyfast.batches(np.zeros(2, dtype))


def test_dtypes_of_more_fields_than_anybody_can_count(backend):
    dtype = np.dtype([("a", "V0")])
    for _ in range(16):  # NumPy itself goes through all of them
        dtype = np.dtype([("a", dtype), ("b", dtype)])
    with pytest.raises(ValueError, match="100,000 fields"):
        npyfast.open(np.ndarray(2, dtype))


def test_ninety_levels_are_read(backend):
    dtype = np.dtype(">u4")
    for _ in range(90):
        dtype = np.dtype([("a", dtype)])
    array = np.frombuffer(bytes(range(8)), dtype)
    assert npyfast.open(array)[[1]].tobytes() == bytes([7, 6, 5, 4])


def test_out_may_lie_over_the_array_that_is_read(backend):
    memory = np.arange(40, dtype=np.int64).reshape(10, 4)
    rows = npyfast.open(memory)
    expected = memory[[4, 0, 1, 2, 3, 9, 9]]
    assert rows.gather([4, 0, 1, 2, 3, 9, 9], out=memory[:7]) is not None
    np.testing.assert_array_equal(memory[:7], expected)


@pytest.mark.parametrize("dtype", [">i4", "V0", [("a", ">i2"), ("b", "u1")]])
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: a[::-2, ::-3],
        lambda a: a[:0],
        lambda a: a[:, :0],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[0], (5, *a.shape[1:])),
        lambda a: np.lib.stride_tricks.as_strided(a, (7, 3), (a.itemsize, a.itemsize)),
    ],
)
def test_odd_views(backend, dtype, view):
    items = np.zeros((8, 6), dtype)
    items.view(np.uint8)[...] = np.arange(items.nbytes).reshape(8, -1) if items.nbytes else 0
    array = view(items)
    wanted = [i % len(array) for i in (5, 0, 3)] if len(array) else []
    expected = to_native(array[wanted]) if array.itemsize else None
    got = npyfast.open(array)[wanted]
    assert got.shape == (len(wanted), *array.shape[1:])
    if expected is not None:
        assert same_fields(got, expected)


def test_items_of_no_bytes_as_many_as_there_are(backend):
    array = np.ndarray((2**40, 2**40), "V0")
    assert npyfast.open(array)[[0, 2**40 - 1]].shape == (2, 2**40)
