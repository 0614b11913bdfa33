"""`npyfast.open`: one array, by row, as NumPy indexes it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from expected import same_bits
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(60, dtype="f4").reshape(10, 2, 3)


def equal(actual: Any, expected: Any) -> bool:
    return (
        actual.dtype == expected.dtype
        and actual.shape == expected.shape
        and same_bits(np.asarray(actual), np.asarray(expected))
    )


def test_describes_the_array(save: Save) -> None:
    path = save(X)
    rows = npyfast.open(path)
    assert rows.shape == (10, 2, 3)
    assert rows.ndim == 3
    assert rows.dtype == np.dtype("f4")
    assert rows.nbytes == X.nbytes
    assert len(rows) == 10
    assert repr(rows) == f"npyfast.Rows({path}, shape=(10, 2, 3), dtype=float32)"


@pytest.mark.parametrize("row", [0, 3, 9, -1, -10, np.int8(4), np.uint64(4)])
def test_one_row(save: Save, row: Any) -> None:
    assert equal(npyfast.open(save(X))[row], X[row])


def test_one_row_of_a_vector_is_a_scalar(save: Save) -> None:
    values = np.array([5, 6, 7], ">u2")
    picked = npyfast.open(save(values))[1]
    assert picked == 6
    assert picked.shape == ()
    assert picked.dtype == np.dtype("u2")


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 5),
        slice(-3, None),
        slice(None, None, 3),
        slice(8, 1, -2),
        slice(5, 5),
        slice(100, 200),
        [3, 1],
        [3, 3, -1],
        (),
        np.array([9, 0], "u1"),
        np.array([], "i8"),
        [],
        np.array([[1, 2], [3, 4]]),
        np.arange(10) % 3 == 0,
        np.zeros(10, bool),
        [True] * 10,
        np.arange(20)[::-2] - 10,
        range(2, 6),
    ],
    ids=repr,
)
def test_several_rows(save: Save, index: Any) -> None:
    if isinstance(index, tuple):
        with pytest.raises(TypeError, match="along axis 0 only"):
            npyfast.open(save(X))[index]
    else:
        wanted = (
            np.asarray(index, dtype=np.int64) if isinstance(index, list) and not index else index
        )
        assert equal(npyfast.open(save(X))[index], X[wanted])


def test_ellipsis_is_everything(save: Save) -> None:
    assert equal(npyfast.open(save(X))[...], X)


def test_iterates_by_row(save: Save) -> None:
    assert all(equal(a, b) for a, b in zip(npyfast.open(save(X)), X, strict=True))


@pytest.mark.parametrize("shards", [1, 3])
def test_gather_of_any_shape_and_integer_dtype(save: Save, shards: int) -> None:
    rows = npyfast.open([save(part) for part in np.array_split(X, shards)])
    for dtype in ("i1", "u1", "i4", ">i8", "u8"):
        indices = np.array([[9, 0, 4], [4, 4, 1]], dtype)
        assert equal(rows.gather(indices), X[indices.astype("i8")])
    assert equal(rows.gather(np.array(7)), X[7])
    assert equal(rows.gather(np.zeros((2, 0), "i8")), X[np.zeros((2, 0), "i8")])


def test_gather_into_out(save: Save) -> None:
    out = np.zeros((3, 2, 3), "f4")
    rows = npyfast.open(save(X))
    assert rows.gather([4, -1, 0], out=out) is out
    assert equal(out, X[[4, -1, 0]])


def test_gather_into_part_of_an_array(save: Save) -> None:
    whole = np.full((5, 2, 3), 7, "f4")
    npyfast.open(save(X)).gather([4, 8], out=whole[1:3])
    assert equal(whole[1:3], X[[4, 8]])
    assert (whole[[0, 3, 4]] == 7).all()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((3, 2, 3), "f4"), r"out must be an array of float32 \(2, 2, 3\).*\(3, 2, 3\)"),
        (np.zeros((2, 2, 3), "f8"), r"out must be an array of float32 .* got float64"),
        (np.zeros((2, 2, 3), ">f4"), r"out must be an array of float32 .* got >f4"),
        ([0.0], "got list"),
        (np.zeros((2, 3, 2), "f4").transpose(0, 2, 1), "C-contiguous"),
        (np.broadcast_to(np.float32(0), (2, 2, 3)), "C-contiguous and writeable"),
        (np.frombuffer(bytes(48), "f4").reshape(2, 2, 3), "C-contiguous and writeable"),
    ],
)
def test_out_that_does_not_fit(save: Save, out: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        npyfast.open(save(X)).gather([0, 1], out=out)


@pytest.mark.parametrize("bad", [10, -11, 2**62, -(2**63)])
def test_row_out_of_range_leaves_out_untouched(save: Save, bad: int) -> None:
    out = np.full((4, 2, 3), 7, "f4")
    rows = npyfast.open(save(X))
    with pytest.raises(IndexError, match=f"row {bad} is out of range for 10 rows"):
        rows.gather([0, bad, 1, 99], out=out)
    assert (out == 7).all()
    with pytest.raises(IndexError, match=f"row {bad} is out of range for 10 rows"):
        rows[bad]


def test_row_beyond_int64() -> None:
    with pytest.raises(IndexError, match=f"row {2**64 - 1} is out of range"):
        npyfast.open(X).gather(np.array([1, 2**64 - 1], "u8"))


@pytest.mark.parametrize("index", [1.0, "1", [0.5], None, np.array(["a"]), {}], ids=repr)
def test_no_row_number(save: Save, index: Any) -> None:
    with pytest.raises(TypeError, match="row numbers are integers"):
        npyfast.open(save(X))[index]


def test_a_mask_must_fit(save: Save) -> None:
    with pytest.raises(IndexError, match=r"a mask of shape \(3,\) does not fit 10 rows"):
        npyfast.open(save(X))[[True, False, True]]


def test_becomes_an_array(save: Save) -> None:
    rows = npyfast.open(save(X.astype(">f4")))
    assert equal(np.asarray(rows), X)
    assert equal(np.array(rows), X)
    assert equal(np.asarray(rows, "f8"), X.astype("f8"))
    assert np.stack([rows, rows]).shape == (2, 10, 2, 3)


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 1 has no copy=False that refuses"
)
def test_does_not_pretend_to_be_without_a_copy(save: Save) -> None:
    with pytest.raises(ValueError, match="so copy=False is not possible"):
        np.asarray(npyfast.open(save(X)), copy=False)


def test_structures_stay_whole(save: Save) -> None:
    records = np.zeros(4, [("a", ">i4"), ("b", "S3")])
    records["a"], records["b"] = [1, 2, 3, 4], [b"w", b"x", b"y", b"z"]
    picked = npyfast.open(save(records))[[2, 0]]
    assert picked.dtype == np.dtype([("a", "i4"), ("b", "S3")])
    assert picked.tolist() == [(3, b"y"), (1, b"w")]


def test_closed(save: Save) -> None:
    path = save(X)
    with npyfast.open(path) as rows:
        kept = rows[2:4]
        assert not rows.closed
    assert rows.closed
    assert equal(kept, X[2:4])
    assert rows.shape == X.shape
    assert repr(rows).endswith(", closed)")
    for use in (
        lambda: rows[0],
        lambda: rows.gather([0]),
        rows.__enter__,
        lambda: np.asarray(rows),
    ):
        with pytest.raises(ValueError, match=f"{path} is closed"):
            use()
    rows.close()  # once more does no harm


def test_results_are_the_callers_to_write(save: Save) -> None:
    rows = npyfast.open(save(X))
    for index in (slice(0, 4), [0, 1], 0):
        rows[index][...] = -1
    memory = npyfast.open(X)
    memory[0][...] = -1
    assert equal(np.asarray(rows), X)
    assert X[0, 0, 0] == 0


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_large_gathers_on_several_threads(save: Save, threads: int | None) -> None:
    large = np.random.default_rng(0).integers(0, 256, (3000, 999), dtype="u1")
    wanted = np.random.default_rng(1).integers(-3000, 3000, 5000)
    assert equal(npyfast.open(save(large)).gather(wanted, threads=threads), large[wanted])


def test_many_threads_share_one(save: Save) -> None:
    large = np.random.default_rng(0).integers(0, 256, (2000, 500), dtype="u1")
    rows = npyfast.open(save(large))
    failures: list[Any] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(20):
            wanted = random.integers(0, 2000, 1500)
            if not equal(rows.gather(wanted), large[wanted]):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_no_rows(save: Save) -> None:
    rows = npyfast.open(save(np.zeros((0, 3), "f4")))
    assert len(rows) == 0
    assert rows[:].shape == (0, 3)
    with pytest.raises(IndexError, match="row 0 is out of range for 0 rows"):
        rows[0]


def test_wrong_threads(save: Save) -> None:
    for threads in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="threads must be an int in"):
            npyfast.open(save(X)).gather([0], threads=threads)  # type: ignore[arg-type]
