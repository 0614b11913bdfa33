"""What the workers of a DataLoader make: together, the batches of a run in its order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from expected import OPTIONS, RUNS, assert_same
from samples import Save

import npyfast
from npyfast._backends.interface import Stream
from npyfast._torch.strided import Strided

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(103 * 3, dtype=">i4").reshape(103, 3)


def workers(made: npyfast.Batches, count: int, first: int = 0) -> list[Strided]:
    batching = made._batching
    return [
        Strided(batching, batching.run, first + w, count, lambda batch: batch) for w in range(count)
    ]


def in_turn(streams: list[Any]) -> Any:
    """As a DataLoader takes them: who has no more is left out."""
    for row in itertools.zip_longest(*streams):
        yield from (batch for batch in row if batch is not None)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11, 12, 50])
@pytest.mark.parametrize("options", [{}, *OPTIONS, *RUNS], ids=str)
@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(4, 16)])
def test_the_order_is_that_of_the_run(
    save: Save, count: int, options: dict[str, Any], shuffle: Any
) -> None:
    made = npyfast.batches((save(X), save(X[:, 0])), 10, shuffle, seed=1, **options)
    wanted = list(itertools.islice(made, 60))
    assert wanted
    found = itertools.islice(in_turn(workers(made, count)), 60)
    for element, other in itertools.zip_longest(wanted, found):
        for one, another in zip(element, other, strict=True):
            assert_same(another, one)
            assert another.flags.writeable


@pytest.mark.parametrize("transform_threads", [1, 2])
def test_transforms_run_once_for_each_batch(save: Save, transform_threads: int) -> None:
    calls: list[int] = []

    def transform(batch: Any) -> Any:
        calls.append(len(batch))
        return {"twice": batch * 2}

    made = npyfast.batches(
        save(X), 10, transform=transform, transform_threads=transform_threads, epochs=1
    )
    found = [batch["twice"] for batch in in_turn(workers(made, 3))]
    assert_same(np.concatenate(found), (X * 2).astype("i4"))
    assert sorted(calls) == [3] + [10] * 10


@pytest.mark.parametrize("count", [2, 3])
def test_an_error_takes_the_place_of_its_batch(save: Save, count: int) -> None:
    def transform(batch: Any) -> Any:
        if batch[0] % 20 == 0:
            raise KeyError(int(batch[0]))
        return batch

    made = npyfast.batches(save(np.arange(103)), 10, transform=transform)
    streams = workers(made, count)

    def first_row(turn: int) -> int:
        try:
            return int(next(streams[turn % count])[0])
        except KeyError as error:
            return -error.args[0]

    found = [first_row(turn) for turn in range(11)]
    assert found == [0, 10, -20, 30, -40, 50, -60, 70, -80, 90, -100]


def test_structured_rows_and_empty_batches(save: Save) -> None:
    records = np.zeros(7, [("a", "<i4"), ("b", ">f8", (2,))])
    records["a"] = np.arange(7)
    made = npyfast.batches({"r": save(records)}, 2, shard=(1, 3))
    wanted = list(made)
    assert len(wanted[-1]["r"]["a"]) == 0
    for one, other in zip(wanted, in_turn(workers(made, 2)), strict=True):
        assert_same(other["r"]["a"], one["r"]["a"])
        assert_same(other["r"]["b"], one["r"]["b"])


def test_positions_count_batches_of_the_run(save: Save) -> None:
    made = npyfast.batches(save(np.arange(50)), 10)
    stream: Stream = workers(made, 2)[1]
    positions = [stream.position]
    for _ in stream:
        positions.append(stream.position)  # noqa: PERF401
    assert positions == [1, 3, 5]
    stream.close()
    assert list(stream) == []


def test_closing_ends_it(save: Save) -> None:
    stream = workers(npyfast.batches(save(np.arange(50)), 10, epochs=-1), 2)[0]
    next(stream)
    stream.close()
    assert list(stream) == []
