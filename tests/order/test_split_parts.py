"""`npyfast.split` into any number of parts."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same_batches
from hypothesis import given
from hypothesis import strategies as st
from samples import Save

import npyfast

WEIGHTS = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any)


def split(rows: int, fractions: Any, seed: int = 0) -> Any:
    return npyfast.split(np.broadcast_to(np.uint8(0), (rows,)), fractions, seed=seed)


@given(st.integers(0, 2000), WEIGHTS, st.integers(0, 2**64 - 1))
def test_disjoint_and_exhaustive(rows: int, weights: list[int], seed: int) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    parts = split(rows, shares, seed)
    ends = [round(rows * end) for end in itertools.accumulate(shares)]
    assert [len(part) for part in parts] == np.diff([0, *ends]).tolist()
    every = np.concatenate([np.asarray(part) for part in parts])
    assert every.tolist() == expected.permuted(np.arange(rows), seed, 2**64 - 1).tolist()


@given(st.integers(0, 2000), WEIGHTS)
def test_floats_that_add_up_to_nearly_one(rows: int, weights: list[int]) -> None:
    for kind in (float, np.float32, np.float64):
        shares = [kind(weight / sum(weights)) for weight in weights]
        parts = split(rows, tuple(shares))
        assert len(parts) == len(shares)
        assert sum(map(len, parts)) == rows
        for part, share in zip(parts, shares, strict=True):
            assert abs(len(part) - rows * float(share)) <= 1.01


@given(st.integers(0, 5000), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_two_parts_are_those_of_one_number(rows: int, share: float, seed: int) -> None:
    assert split(rows, (share, 1 - share), seed) == split(rows, share, seed)


def test_the_usual_three_parts() -> None:
    for shares in ((0.8, 0.1, 0.1), [0.8, 0.1, 0.1], np.array([0.8, 0.1, 0.1])):
        train, validation, test = split(1000, shares)
        assert [len(part) for part in (train, validation, test)] == [800, 100, 100]
        assert train == split(1000, 0.8)[0]
        assert (validation, test) == (split(1000, 0.8)[1][:100], split(1000, 0.8)[1][100:])


def test_one_part_and_empty_ones() -> None:
    (whole,) = split(10, (1,))
    assert sorted(whole) == list(range(10))
    assert [len(part) for part in split(10, (0, 1.0, 0, 0.0))] == [0, 10, 0, 0]


def test_many_rows_cost_nothing() -> None:
    parts = split(2**40, [Fraction(1, 7)] * 7)
    assert sum(map(len, parts)) == 2**40
    assert all(0 <= part[-1] < 2**40 for part in parts)


@pytest.mark.usefixtures("backend")
def test_batches_of_it(save: Save) -> None:
    array = np.arange(103)
    path = save(array)
    parts = npyfast.split(path, (0.5, 0.3, 0.2), seed=4)
    for part in parts:
        rows = expected.epoch_batches(103, batch_size=7, seed=1, rows=np.asarray(part))
        # A part is shuffled by its positions, as an array of its row numbers is.
        assert_same_batches(npyfast.batches(path, 7, True, seed=1, rows=part), array, rows)


@pytest.mark.parametrize(
    ("fractions", "says"),
    [
        ((0.8, 0.1), "got (0.8, 0.1); several must add up to 1, and these add up to 0.9"),
        ([0.8, 0.3], "got [0.8, 0.3]; several must add up to 1, and these add up to 1.1"),
        ((), "got (); several must add up to 1, and these add up to 0"),
        ((80, 10, 10), "got 80 (of (80, 10, 10)); 80 % is 0.8"),
        ((0.5, "0.5"), "got '0.5' (of (0.5, '0.5'))"),
        ((0.5, -0.5, 1), "got -0.5 (of"),
        ((0.5, np.nan), "got nan (of"),
        ((True, False), "got True (of"),
        (80, "got 80; 80 % is 0.8, and rows=npyfast.split(...)[0][:n] takes n rows"),
        (np.int64(5), "got np.int64(5); 5 % is 0.05"),
        (np.ones((2, 2)), "got ndarray of shape (2, 2) and dtype float64"),
        (1000, "got 1000"),
    ],
    ids=str,
)
def test_shares_that_are_none(fractions: Any, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        split(10, fractions)
    text = re.sub(r"np\.int64\((\d+)\)", r"np.int64(\1)", str(caught.value))
    assert text.startswith("fraction must be a number in [0, 1], ")
    assert says in text or says.replace("np.int64(5)", "5") in text
