"""`npyfast.split`: every row in one of two parts, the same ones for ever, whatever reads them."""

from __future__ import annotations

import copy
import pickle
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import expected
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import Array, Save
from scipy import stats

import npyfast
from npyfast import RowSelection
from npyfast._order import full as _order
from npyfast._sources.open import open_nest

SEEDS = st.integers(0, 2**64 - 1)


def split(rows: int, fraction: Any = 0.9, seed: int = 0) -> tuple[RowSelection, RowSelection]:
    """Of an array of so many rows, which are all the same byte."""
    return npyfast.split(np.broadcast_to(np.uint8(0), (rows,)), fraction, seed=seed)


def wanted(rows: int, seed: int) -> Array:
    """The rows of both parts, one after the other."""
    return expected.permuted(np.arange(rows), seed, 2**64 - 1)


# --- Which rows are in which part.


@given(st.integers(0, 3000), st.floats(0, 1) | st.fractions(0, 1), SEEDS)
def test_each_row_is_in_one_part(rows: int, fraction: float | Fraction, seed: int) -> None:
    first, rest = split(rows, fraction, seed)
    assert len(first) == round(rows * Fraction(fraction))
    both = np.concatenate([np.asarray(first), np.asarray(rest)])
    assert both.tolist() == wanted(rows, seed).tolist()
    assert (np.bincount(both, minlength=rows) == 1).all()


@pytest.mark.parametrize("rows", [2**k + d for k in (1, 8, 12, 16) for d in (-1, 0, 1)])
def test_each_row_is_in_one_part_at_powers_of_two(rows: int) -> None:
    for seed in (0, 2**64 - 1):
        first, rest = split(rows, 0.75, seed)
        both = np.concatenate([np.asarray(first), np.asarray(rest)])
        assert (np.bincount(both, minlength=rows) == 1).all()


def test_maps_no_file(
    backend: str, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs the number of rows only, and mapping files of a network may take long."""
    rows = np.arange(20_000, dtype="i4").reshape(20, 1000)
    np.savez(tmp_path / "X.npz", X=rows)
    rows.tofile(tmp_path / "X.raw")
    source = {
        "npy": [save(rows[:9], "a.npy"), save(rows[9:], "b.npy")],
        "npz": npyfast.source(tmp_path / "X.npz", key="X"),
        "raw": npyfast.source(tmp_path / "X.raw", dtype="i4", shape=(-1, 1000)),
    }
    mapped: list[str] = []
    opened: list[Any] = []

    def spy(*arguments: Any, **options: Any) -> Any:
        made = open_nest(*arguments, **options)
        maps = Path("/proc/self/maps").read_text().splitlines()
        mapped.extend(line for line in maps if str(tmp_path) in line)
        opened.extend(made[1])
        return made

    monkeypatch.setattr("npyfast._sources.split.open_nest", spy)
    train, _ = npyfast.split(source, 0.5)
    assert len(train) == 10
    assert mapped == []
    # They can be read all the same.
    for leaf in opened:
        assert leaf.take(np.array([3, -1]), None).tolist() == rows[[3, -1]].tolist()


# Pinned, as the order is: a change would mix what a model was trained on with what it is validated
# on. It needs a new ORDER_VERSION. The first is in tests/core/order/plan_test.cc as well.
GOLDEN: list[tuple[int, float, int, list[int], list[int]]] = [
    (10, 0.9, 0, [5, 8, 1, 2, 3, 7, 4, 9, 0], [6]),
    (1, 0.5, 0, [], [0]),
    (2, 0.5, 0, [1], [0]),
    (7, 0.5, 1, [0, 2, 1, 3], [4, 5, 6]),
    (100, 0.25, 42, [30, 5, 54, 37], [49, 59, 6, 19]),
    (65537, 0.9, 2**64 - 1, [27226, 63705, 13476, 56000], [47996, 24156, 27420, 28880]),
    (
        10**9,
        0.9,
        0,
        [936123440, 300897343, 202503274, 336586342],
        [300684931, 181470339, 655908437, 113073486],
    ),
    (
        10**12,
        0.5,
        3,
        [264729354726, 55500633383, 887882751266, 439870698325],
        [818076555590, 69579279547, 115780476861, 200869364688],
    ),
]


@pytest.mark.parametrize(("rows", "fraction", "seed", "first", "rest"), GOLDEN)
def test_keeps_its_rows(
    rows: int, fraction: float, seed: int, first: list[int], rest: list[int]
) -> None:
    parts = split(rows, fraction, seed)
    assert [list(part[: len(rows)]) for part, rows in zip(parts, (first, rest), strict=True)] == [
        first,
        rest,
    ]


@pytest.mark.parametrize(
    ("rows", "fraction", "size"),
    [
        (10, 0.9, 9),
        (10, 0, 0),
        (10, 1, 10),
        (10, 0.0, 0),
        (10, np.float32(1), 10),
        (10, np.int64(1), 10),
        (10, Decimal("0.25"), 2),  # 2.5: to the even one
        (7, 0.5, 4),  # 3.5
        (3, 1 / 3, 1),
        (9, Fraction(1, 3), 3),
        (0, 0.5, 0),
        (10**12, 0.9, 9 * 10**11),
        (2**60, 0.1, round(2**60 * Fraction(0.1))),  # floats have 53 bits
        (2**62 - 1, 0.5, 2**61),  # a half less than that
        (2**62 - 1, Fraction(1, 2**62), 1),
        (10**9, np.float32(0.9), 899_999_976),
        (10**9, 5e-324, 0),
    ],
)
def test_the_size_is_exact(rows: int, fraction: Any, size: int) -> None:
    first, rest = split(rows, fraction)
    assert (len(first), len(rest)) == (size, rows - size)


@given(st.integers(0, 300), st.floats(0, 1), st.floats(0, 1), SEEDS)
def test_a_smaller_part_is_contained_in_a_larger_one(
    rows: int, one: float, other: float, seed: int
) -> None:
    small, large = sorted((one, other))
    assert set(split(rows, small, seed)[0]) <= set(split(rows, large, seed)[0])


def test_only_the_number_of_rows_and_the_seed_count(save: Save) -> None:
    one = npyfast.split((save(np.zeros((50, 3))), {"y": save(np.arange(50))}))
    assert one == split(50)
    np.save(shards := Path(save(np.zeros(20))).with_name("more.npy"), np.zeros(30))
    assert npyfast.split([str(shards), save(np.zeros(20))]) == one
    assert split(50, seed=1) != one
    assert split(51) != one


# --- Membership is as random as the order is. With fixed seeds: these can't fail by chance.


def p_value(counts: Array, mean: float, variance: float) -> float:
    """Of counts whose sum is fixed, and which are exchangeable."""
    deviation = float(((counts - mean) ** 2).sum() / variance) * (len(counts) - 1) / len(counts)
    return float(stats.chi2.sf(deviation, len(counts) - 1))


@pytest.mark.parametrize(("rows", "fraction"), [(10, 0.5), (100, 0.9), (1000, 0.25)])
def test_every_row_is_as_often_in_the_first_part(rows: int, fraction: float) -> None:
    counts = np.zeros(rows)
    neighbours = 0
    for seed in range(600):
        member = np.zeros(rows, bool)
        member[np.asarray(split(rows, fraction, seed)[0])] = True
        counts += member
        neighbours += int(np.count_nonzero(member[1:] & member[:-1]))
    share = round(rows * fraction) / rows
    assert 1e-3 < p_value(counts, 600 * share, 600 * share * (1 - share)) < 1 - 1e-3
    # Two neighbours are both in it as often as any two rows are.
    pairs = 600 * (rows - 1)
    together = share * (share * rows - 1) / (rows - 1)
    assert abs(neighbours / pairs - together) < 5 * np.sqrt(together * (1 - together) / pairs)


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_the_rows_of_a_part_come_from_everywhere(seed: int) -> None:
    first, rest = split(100_000, 0.9, seed)
    counts = np.bincount(np.asarray(rest) // 1000, minlength=100)
    variance = 1000 * 0.1 * 0.9 * (100_000 - 1000) / (100_000 - 1)
    assert 1e-3 < p_value(counts, 100, variance * 100 / 99) < 1 - 1e-3
    assert counts.sum() == len(rest) == 100_000 - len(first)


# --- What a RowSelection is.


@pytest.fixture
def part() -> RowSelection:
    return split(50, 0.4, 3)[1]


ROWS = wanted(50, 3)[20:]


def test_is_a_sequence_of_row_numbers(part: RowSelection) -> None:
    assert len(part) == 30
    assert list(part) == ROWS.tolist()
    assert all(type(row) is int for row in part)
    assert [part[i] for i in range(-30, 30)] == [*ROWS.tolist(), *ROWS.tolist()]
    assert part[np.int8(-1)] == ROWS[-1]
    for index in (30, -31, 10**30):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 30 rows"):
            part[index]
    for wrong in ("a", 1.0, None, [1, 2]):
        with pytest.raises(TypeError):
            part[wrong]  # type: ignore[call-overload]
    assert ROWS[0] in part
    assert wanted(50, 3)[0] not in part


@given(st.slices(30), st.slices(30))
def test_a_slice_is_one_too(one: slice, other: slice) -> None:
    part = split(50, 0.4, 3)[1]
    assert isinstance(part[one], RowSelection)
    assert list(part[one]) == ROWS[one].tolist()
    assert list(part[one][other]) == ROWS[one][other].tolist()


def test_three_parts() -> None:
    train, rest = split(1000, 0.8)
    validation, test = rest[:100], rest[100:]
    assert [len(some) for some in (train, validation, test)] == [800, 100, 100]
    assert sorted([*train, *validation, *test]) == list(range(1000))


def test_is_an_array(part: RowSelection) -> None:
    array = np.asarray(part)
    assert array.dtype == np.int64
    assert array.tolist() == ROWS.tolist()
    array[:] = 0  # its own
    assert np.asarray(part).tolist() == ROWS.tolist()
    assert np.asarray(part, np.int16).dtype == np.int16
    assert np.array(part).tolist() == ROWS.tolist()
    assert np.asarray(part[:0]).shape == (0,)
    assert np.arange(100, 150)[part].tolist() == (100 + ROWS).tolist()
    with pytest.raises(ValueError, match="copy"):
        part.__array__(copy=False)
    # More than are computed at once.
    many = split(200_001, 0.99, 1)[0][::-1]
    assert np.asarray(many).tolist() == wanted(200_001, 1)[:198_001][::-1].tolist()


def test_equality(part: RowSelection) -> None:
    assert part == split(50, 0.4, 3)[1]
    assert hash(part) == hash(split(50, 0.4, 3)[1])
    assert part[::2] == part[::2]
    assert part[:0] == part[7:7]
    for other in (split(50, 0.4, 4)[1], split(50, 0.4, 3)[0], part[1:], part[::-1], ROWS.tolist()):
        assert part != other


def test_is_pickled_and_printed(part: RowSelection) -> None:
    for some in (part, part[::-3], part[:0]):
        again = pickle.loads(pickle.dumps(some))
        assert again == some
        assert list(again) == list(some)
    assert repr(part) == "<npyfast.RowSelection: 30 of 50 rows, split with seed 3>"
    with pytest.raises(AttributeError):
        part.positions = range(3)  # type: ignore[misc]


# --- What is read of it.


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_of_it(backend: str, save: Save, seed: int | None) -> None:
    array = np.arange(206).reshape(103, 2)
    train, rest = npyfast.split(array, 0.7, seed=2**64 - 5)
    for rows in (train, rest, rest[3:20], rest[::-2], train[40:50:3], rest[:0]):
        made = npyfast.batches(save(array), 6, seed is not None, seed=seed, rows=rows)
        wanted = expected.epoch_batches(103, batch_size=6, seed=seed, rows=rows)
        expected.assert_same_batches(made, array, wanted)
        assert sorted(row for batch in wanted for row in batch) == sorted(rows)


def test_the_order_without_shuffling_is_that_of_the_split(backend: str) -> None:
    train, _ = split(103)
    made = npyfast.batches(np.arange(103), 100, rows=train)
    for _ in range(2):
        assert next(iter(made)).tolist() == list(train)
    assert "92 of 92 rows" not in repr(made)
    assert "93 rows, in the split's order" in repr(made)


def test_shards_epochs_and_a_start(backend: str, save: Save) -> None:
    array = np.arange(103)
    rows = npyfast.split(array, 0.9, seed=7)[0]
    options: dict[str, Any] = {"rows": rows, "seed": 7, "epochs": 2, "start_batch": 3}
    everything = []
    for worker in range(3):
        made = npyfast.batches(save(array), 4, True, **options, shard=(worker, 3))
        wanted = list(expected.iteration(103, batch_size=4, **options, shard=(worker, 3)))
        expected.assert_same_batches(made, array, wanted)
        everything += [row for batch in wanted[-len(made) + 5 :] for row in batch]
    assert sorted(everything) == sorted(rows)


@pytest.mark.parametrize("rows", [10**9, 10**12])
def test_many_rows_cost_nothing(backend: str, tmp_path: Path, rows: int) -> None:
    # A file with a hole of so many bytes, which no disk has.
    path = str(tmp_path / "many.npy")
    np.save(path, np.zeros(0, "u1"))
    header = npyfast.read_header(path)
    text = Path(path).read_bytes().replace(b"(0,), }   ", f"({rows},), }}".encode())
    text = text[: header.data_offset].rstrip().ljust(header.data_offset - 1) + b"\n"
    with open(path, "wb") as file:
        file.write(text)
        file.truncate(header.data_offset + rows)
        train, rest = npyfast.split(path, 0.9, seed=1)
        for number, row in enumerate(rest[-20:]):
            file.seek(header.data_offset + row)
            file.write(bytes([number + 1]))
    assert (len(train), len(rest)) == (rows * 9 // 10, rows // 10)
    assert len(pickle.dumps(train)) < 1000
    made = npyfast.batches(path, 20, rows=rest[-20:], readahead="rows")
    assert [batch.tolist() for batch in made] == [list(range(1, 21))]
    made = npyfast.batches(path, 5, True, seed=1, rows=rest[-20:], readahead="rows")
    assert sorted(np.concatenate(list(made))) == list(range(1, 21))
    made = npyfast.batches(path, 10, True, seed=1, rows=train, readahead="rows")
    assert len(made) == rows * 9 // 100
    assert not next(iter(made)).any()


# --- What is refused.


@pytest.mark.parametrize(
    "fraction", [-1e-9, 1.5, 2, -1, np.nan, np.inf, -np.inf, "0.9", None, True, 1j, [0.5], float]
)
def test_a_fraction_that_is_none(fraction: Any) -> None:
    with pytest.raises(
        ValueError, match=r"fraction must be a number in \[0, 1\], got " + re.escape(repr(fraction))
    ):
        split(10, fraction)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, None, "1", True])
def test_a_seed_that_is_none(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"seed must be an int in \[0, 18446744073709551616\)"):
        split(10, seed=seed)


def test_leaves_that_differ(backend: str, save: Save) -> None:
    paths = save(np.zeros(5)), save(np.zeros(6))
    with pytest.raises(ValueError, match=f"{paths[0]} has 5, {paths[1]} has 6"):
        npyfast.split(paths)
    with pytest.raises(FileNotFoundError):
        npyfast.split(paths[0] + ".gone")


def test_another_source(backend: str, save: Save) -> None:
    train, _ = npyfast.split(np.zeros(1000))
    for rows in (999, 1001, 0):
        with pytest.raises(ValueError, match=f"to a source of 1,000 rows, and this .* {rows:,}"):
            npyfast.batches(save(np.zeros(rows)), rows=train)
    with pytest.raises(ValueError, match="900 of 1,000 rows, split with seed 0"):
        npyfast.batches(np.zeros(900), rows=train)


@pytest.mark.parametrize("shuffle", ["block", npyfast.BlockShuffle(2, 4)], ids=repr)
def test_shuffling_by_blocks(backend: str, shuffle: Any) -> None:
    with pytest.raises(ValueError, match=r"shuffle='block' .* shuffle=True, .* rows=slice\(0, n\)"):
        npyfast.batches(np.zeros(10), shuffle=shuffle, rows=split(10)[0])


def test_a_pickle_of_another_version_of_the_order() -> None:
    part = npyfast.split(np.zeros(100), 0.8)[0][3:70:2]
    pickled = pickle.dumps(part)
    assert pickle.loads(pickled) == copy.deepcopy(part) == part
    with (
        mock.patch.object(_order, "ORDER_VERSION", 2),
        pytest.raises(ValueError, match="with order version 1, and this npyfast has 2"),
    ):
        pickle.loads(pickled)
