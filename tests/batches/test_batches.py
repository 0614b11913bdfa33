"""`npyfast.batches`: which rows come, in which order, how often, from which place on."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any, NamedTuple

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(103 * 3, dtype="i4").reshape(103, 3)
Y = np.arange(103) % 7


def flat(batches: Any) -> list[int]:
    return [int(row) for batch in batches for row in batch]


def test_the_defaults_are_32_rows_in_file_order(save: Save) -> None:
    assert_same_batches(npyfast.batches(save(X)), X, np.array_split(np.arange(103), [32, 64, 96]))


@pytest.mark.parametrize("batch_size", [1, 2, 50, 102, 103, 104, 10_000, 2**31 - 1])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_batch_size(save: Save, batch_size: int, shuffle: bool) -> None:
    made = npyfast.batches(save(X), batch_size, shuffle, seed=5)
    rows = expected.epoch_batches(103, batch_size=batch_size, seed=5 if shuffle else None)
    assert len(made) == len(rows)
    assert_same_batches(made, X, rows)


def test_shuffling_gives_each_row_once(save: Save) -> None:
    made = npyfast.batches(save(np.arange(1000)), 7, True)
    assert sorted(flat(made)) == list(range(1000))


def test_a_seed_is_drawn_once_and_told(save: Save) -> None:
    path = save(np.arange(1000))
    made = npyfast.batches(path, 10, True)
    other = npyfast.batches(path, 10, True)
    assert made.seed is not None
    assert made.seed != other.seed
    assert flat(made) != flat(other)
    again = npyfast.batches(path, 10, True, seed=made.seed, start_epoch=1)
    assert flat(made) == flat(again)


def test_without_shuffling_there_is_no_seed(save: Save) -> None:
    assert npyfast.batches(save(X), seed=3).seed is None


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1, np.uint64(2**64 - 1), np.int8(3)])
def test_every_seed(save: Save, seed: Any) -> None:
    assert_same_batches(
        npyfast.batches(save(X), 10, True, seed=seed),
        X,
        expected.epoch_batches(103, batch_size=10, seed=int(seed)),
    )


def test_iteration_k_is_epoch_k(save: Save) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1, start_epoch=4)
    for k in range(4):
        assert len(made) == 11
        assert_same_batches(
            made, X, expected.epoch_batches(103, batch_size=10, seed=1, epoch=4 + k)
        )


def test_iterations_left_early_count(save: Save) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1)
    next(iter(made))
    assert_same_batches(made, X, expected.epoch_batches(103, batch_size=10, seed=1, epoch=1))


def test_iterations_do_not_disturb_each_other(save: Save) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1)
    first, second = iter(made), iter(made)
    rows = [expected.epoch_batches(103, batch_size=10, seed=1, epoch=epoch) for epoch in (0, 1)]
    for a, b in zip(*rows, strict=True):
        assert_same(next(first), X[a])
        assert_same(next(second), X[b])


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_epochs(save: Save, epochs: int) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1, epochs=epochs, start_epoch=2)
    for _ in range(2):  # each iteration is the same
        assert len(made) == 11 * epochs
        rows = expected.iteration(103, batch_size=10, seed=1, epochs=epochs, start_epoch=2)
        assert_same_batches(made, X, rows)


def test_endless(save: Save) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1, epochs=-1, start_epoch=2, start_batch=7)
    with pytest.raises(TypeError, match="endless"):
        len(made)
    rows = expected.iteration(103, batch_size=10, seed=1, epochs=-1, start_epoch=2, start_batch=7)
    for batch, wanted in zip(itertools.islice(made, 100), itertools.islice(rows, 100), strict=True):
        assert_same(batch, X[wanted])


@pytest.mark.parametrize("start_batch", [0, 1, 10, 11])
@pytest.mark.parametrize("epochs", [1, 3])
def test_starts_at_a_batch(save: Save, start_batch: int, epochs: int) -> None:
    made = npyfast.batches(
        save(X), 10, True, seed=1, epochs=epochs, start_epoch=9, start_batch=start_batch
    )
    rows = list(
        expected.iteration(
            103, batch_size=10, seed=1, epochs=epochs, start_epoch=9, start_batch=start_batch
        )
    )
    assert len(made) == len(rows) == 11 * epochs - start_batch
    assert_same_batches(made, X, rows)


@pytest.mark.parametrize("start_epoch", [0, 1, 2**32, 2**62 - 2])
def test_starts_at_any_epoch(save: Save, start_epoch: int) -> None:
    made = npyfast.batches(save(X), 40, True, seed=1, epochs=2, start_epoch=start_epoch)
    rows = expected.iteration(103, batch_size=40, seed=1, epochs=2, start_epoch=start_epoch)
    assert_same_batches(made, X, rows)


@pytest.mark.parametrize("stop", [0, 1, 10, 11, 12, 33])
def test_position_resumes_exactly_there(save: Save, stop: int) -> None:
    path = save(X)
    made = npyfast.batches(path, 10, True, epochs=3, start_epoch=1)
    stream = iter(made)
    assert stream.position == (1, 0)
    for _ in range(stop):
        next(stream)
    epoch, batch = stream.position
    assert (epoch, batch) == (1 + stop // 11, stop % 11)
    if stop < 33:
        rest = npyfast.batches(
            path, 10, True, seed=made.seed, epochs=4 - epoch, start_epoch=epoch, start_batch=batch
        )
        assert flat(b[:, 0] for b in stream) == flat(b[:, 0] for b in rest)


def test_position_counts_what_was_delivered_not_what_was_made_ahead(save: Save) -> None:
    made = npyfast.batches(save(X), 1, epochs=1)
    stream = iter(made)
    for delivered in range(1, 50):
        next(stream)
        assert stream.position == (0, delivered)


def test_drop_remainder(save: Save) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1, drop_remainder=True)
    assert len(made) == 10
    assert_same_batches(
        made, X, expected.epoch_batches(103, batch_size=10, seed=1, drop_remainder=True)
    )
    assert list(npyfast.batches(X, 104, drop_remainder=True)) == []
    assert len(npyfast.batches(X, 103, drop_remainder=True)) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("drop_remainder", [False, True])
@pytest.mark.parametrize("rows", [100, 101, 103, 3])
def test_workers_share_the_global_batches(count: int, drop_remainder: bool, rows: int) -> None:
    data = np.arange(rows)
    whole = npyfast.batches(data, 5 * count, True, seed=3, drop_remainder=drop_remainder)
    workers = [
        npyfast.batches(data, 5, True, seed=3, shard=(i, count), drop_remainder=drop_remainder)
        for i in range(count)
    ]
    assert {len(worker) for worker in workers} == {len(whole)}
    for batch, *parts in zip(whole, *workers, strict=True):
        assert np.concatenate(parts).tolist() == batch.tolist()
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_a_worker_may_get_an_empty_last_batch() -> None:
    first = list(npyfast.batches(X, 51, shard=(0, 2)))
    second = list(npyfast.batches(X, 51, shard=(1, 2)))
    assert [len(b) for b in first] == [51, 0]
    assert [len(b) for b in second] == [51, 1]
    assert first[1].shape == (0, 3)
    assert first[1].dtype == X.dtype


@pytest.mark.parametrize(
    "rows",
    [
        slice(None, 80),
        slice(80, None),
        slice(-20, None),
        slice(None, None, 4),
        slice(None, None, -1),
        slice(90, 10, -7),
        range(3, 100, 5),
        range(50, 40, -1),
        [5, 3, 3, -1, 0],
        np.arange(103)[::-3],
        np.array([1, 2, 3], "u1"),
        np.array([7, 2], ">i4"),
        np.arange(103) % 5 == 0,
        [True, False, True] + [False] * 100,
    ],
    ids=lambda rows: f"{type(rows).__name__} {rows!r:.20}",
)
@pytest.mark.parametrize("seed", [None, 8])
def test_a_subset_of_rows(save: Save, rows: Any, seed: int | None) -> None:
    made = npyfast.batches(save(X), 6, seed is not None, seed=seed, rows=rows)
    selected = np.arange(103)[rows]
    batches = expected.epoch_batches(103, batch_size=6, seed=seed, rows=rows)
    assert len(made) == -(-len(selected) // 6)
    assert_same_batches(made, X, batches)


def test_a_subset_is_copied_when_it_is_given() -> None:
    picked = np.array([1, 2, 3])
    mask = np.arange(103) < 2
    by_number, by_mask = npyfast.batches(X, rows=picked), npyfast.batches(X, rows=mask)
    picked[:] = 50
    mask[:] = True
    assert_same(next(iter(by_number)), X[[1, 2, 3]])
    assert_same(next(iter(by_mask)), X[:2])


@pytest.mark.parametrize(
    "rows", [slice(5, 5), slice(200, 300), range(0), [], np.zeros(103, bool), np.zeros(0, "i4")]
)
def test_an_empty_subset(save: Save, rows: Any) -> None:
    for epochs in (None, 3, -1):
        made = npyfast.batches(save(X), 6, True, rows=rows, epochs=epochs)
        assert len(made) == 0
        assert list(made) == []


@pytest.mark.parametrize("threads", [None, 1, 2, 3, 16])
def test_threads_do_not_change_the_order(save: Save, threads: int | None) -> None:
    made = npyfast.batches(save(X), 3, True, seed=2, epochs=20, threads=threads)
    assert_same_batches(made, X, expected.iteration(103, batch_size=3, seed=2, epochs=20))


@pytest.mark.parametrize("readahead", ["auto", "off", "whole", "rows"])
def test_readahead_does_not_change_the_order(save: Save, readahead: str) -> None:
    made = npyfast.batches(save(X), 3, True, seed=2, readahead=readahead)
    assert_same_batches(made, X, expected.epoch_batches(103, batch_size=3, seed=2))


class Pair(NamedTuple):
    image: Any
    label: Any


@pytest.mark.parametrize(
    "nest",
    [
        X,
        (X,),
        (X, Y),
        (X, Y, X),
        {"x": X, "y": Y},
        {"b": X, "a": Y},  # in the order of insertion
        ({"x": X, "more": (Y, X)}, Y),
        Pair(X, Y),
        (Pair(X, {"y": Y}), X),
        ((X,),),
        {"only": X},
    ],
    ids=lambda nest: type(nest).__name__,
)
def test_nests(nest: Any) -> None:
    made = npyfast.batches(nest, 10, True, seed=4)
    assert_same_batches(made, nest, expected.epoch_batches(103, batch_size=10, seed=4))


def test_transform(save: Save) -> None:
    seen: list[Any] = []

    def transform(element: Any) -> Any:
        seen.append(element)
        x, y = element
        return {"sum": x.sum(axis=1), "y": y[::-1]}

    made = list(npyfast.batches((save(X), save(Y)), 50, transform=transform))
    assert [list(element) for element in made] == [["sum", "y"]] * 3
    assert_same(seen[0], (X[:50], Y[:50]))
    assert made[2]["sum"].tolist() == X[100:].sum(axis=1).tolist()


def test_transform_keeps_position(save: Save) -> None:
    made = npyfast.batches(save(X), 10, epochs=2, transform=lambda x: x)
    stream = iter(made)
    next(stream)
    assert stream.position == (0, 1)


def test_transform_that_raises_stop_iteration_loses_nothing_silently(save: Save) -> None:
    def transform(element: Any) -> Any:
        raise StopIteration

    with pytest.raises(RuntimeError, match="the transform raised StopIteration"):
        list(npyfast.batches(save(X), transform=transform))


def test_errors_of_transform_come_through(save: Save) -> None:
    def transform(element: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(npyfast.batches(save(X), transform=transform))


def test_repr_says_what_it_is(save: Save) -> None:
    assert repr(npyfast.batches((X, Y), 10, True, seed=7)) == (
        "<npyfast.Batches: 11 batches of 10 of 103 rows, shuffled with seed 7; "
        "each row ('int32[3]', 'int64[]')>"
    )
    assert "3 passes of 11 batches" in repr(npyfast.batches(X, 10, epochs=3))
    assert "endless passes" in repr(npyfast.batches(X, 10, epochs=-1))
    assert "worker 1 of 4" in repr(npyfast.batches(X, 10, shard=(1, 4)))
    assert "in file order" in repr(npyfast.batches(X, 10))


def test_the_same_order_in_another_process(save: Save, backend: str) -> None:
    path = save(np.arange(500))
    code = (
        f"import npyfast; print([b.tolist() for b in npyfast.batches({path!r}, 9, True, seed=6)])"
    )
    other = subprocess.run(
        [sys.executable, "-P", "-c", code]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert other.strip() == repr([b.tolist() for b in npyfast.batches(path, 9, True, seed=6)])


@pytest.mark.parametrize("step", [2**63 - 1, 2**63, 2**70])
def test_a_step_of_any_size(save: Save, backend: str, step: int) -> None:
    path = save(np.arange(100))
    part = npyfast.split(path, 0.5, seed=0)[0]

    def rows(of: Any) -> list[int]:
        return [int(row) for batch in npyfast.batches(path, 8, rows=of) for row in batch]

    assert rows(slice(None, None, step)) == [0]
    assert rows(slice(None, None, -step)) == [99]
    assert rows(range(3, 4, step)) == [3]
    assert rows(range(step, step, step)) == []
    assert rows(part[::step]) == [part[0]] == np.asarray(part[::step]).tolist()
    assert rows(part[step::step]) == []
