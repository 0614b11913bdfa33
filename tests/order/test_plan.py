"""The plan: which rows make up each batch, natively, in NumPy and by the definitions."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import expected
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npyfast._order.blocks import BlockSizes
from npyfast._order.plan import Plan, Run, make_plan, make_run

SHUFFLES = [(None, None), (11, None), (11, BlockSizes(3, 6))]
SELECTIONS = [None, slice(3, None), slice(None, None, -2), [4, 4, 0, -1], []]


def plan_of(count: int, **options: Any) -> Plan:
    defaults: dict[str, Any] = {
        "batch_size": 4,
        "shuffle": False,
        "seed": None,
        "drop_remainder": False,
        "shard": None,
        "rows": None,
    }
    return make_plan(count, **{**defaults, **options})


def batches_of(plan: Plan, epoch: int) -> list[list[int]]:
    return [plan.rows(epoch, batch).tolist() for batch in range(plan.batches)]


def native_batches_of(plan: Plan, epoch: int) -> list[list[int]]:
    core = importlib.import_module("npyfast._core")
    native = core.Plan(
        start=plan.selection.start,
        step=plan.selection.step,
        size=plan.selection.size,
        list=plan.selection.list,
        order=plan.selection.order,
        batch_size=plan.batch_size,
        seed=plan.seed,
        blocks=plan.blocks,
        shard_index=plan.shard_index,
        shard_count=plan.shard_count,
        drop_remainder=plan.drop_remainder,
    )
    return [native.rows(epoch, batch).tolist() for batch in range(native.batches)]


def test_equals_the_definitions(backend: str) -> None:
    plan_batches = native_batches_of if backend == "native" else batches_of
    for count, batch_size, workers, drop, rows, (seed, blocks) in itertools.product(
        (0, 1, 5, 8, 12, 25), (1, 3, 4, 30), (1, 2, 3), (False, True), SELECTIONS, SHUFFLES
    ):
        if rows is not None and not isinstance(rows, slice) and count <= max([*rows, -1]):
            continue
        for index in range(workers):
            options: dict[str, Any] = {
                "batch_size": batch_size,
                "rows": rows,
                "seed": seed,
                "blocks": blocks,
                "drop_remainder": drop,
                "shard": (index, workers),
            }
            plan = plan_of(count, shuffle=seed is not None, **options)
            wanted = expected.epoch_batches(count, epoch=2, **options)
            assert plan_batches(plan, 2) == [batch.tolist() for batch in wanted], options
            assert [plan.batch_rows(b) for b in range(plan.batches)] == [len(b) for b in wanted]


@given(
    count=st.integers(0, 10**6),
    batch_size=st.integers(1, 2**31 - 1),
    workers=st.integers(1, 1000),
    drop_remainder=st.booleans(),
)
def test_the_workers_have_as_many_batches_and_all_rows(
    count: int, batch_size: int, workers: int, drop_remainder: bool
) -> None:
    plans = [
        plan_of(count, batch_size=batch_size, shard=(i, workers), drop_remainder=drop_remainder)
        for i in range(workers)
    ]
    assert len({plan.batches for plan in plans}) == 1
    if plans[0].batches == 0:
        return
    last = plans[0].batches - 1
    total = sum(last * batch_size + plan.batch_rows(last) for plan in plans)
    assert total == (count if not drop_remainder else count - count % (batch_size * workers))


def test_rows_by_the_trillion_cost_nothing(backend: str) -> None:
    count = 10**12 + 7
    plan = plan_of(count, batch_size=5, shuffle=True, seed=1)
    wanted = plan.rows(3, plan.batches - 2).tolist()
    assert len(set(wanted)) == 5
    assert all(0 <= row < count for row in wanted)
    if backend == "native":
        core = importlib.import_module("npyfast._core")
        native = core.Plan(
            start=0,
            step=1,
            size=count,
            list=None,
            batch_size=5,
            seed=1,
            blocks=None,
            shard_index=0,
            shard_count=1,
            drop_remainder=False,
        )
        assert native.batches == plan.batches == 200_000_000_002
        assert native.rows(3, plan.batches - 2).tolist() == wanted


@pytest.mark.parametrize("epochs", [1, 2, 4])
@pytest.mark.parametrize("start_batch", [0, 1, 3])
def test_place_is_where_to_resume(epochs: int, start_batch: int) -> None:
    plan = plan_of(10)  # three batches
    run = make_run(plan, epochs=epochs, start_epoch=5, start_batch=start_batch)
    places = [
        (5 + epoch, batch)
        for epoch in range(epochs)
        for batch in range(start_batch if epoch == 0 else 0, 3)
    ]
    assert run.batches(plan) == len(places)
    assert [run.place(plan, position) for position in range(len(places))] == places


def test_an_empty_plan_is_no_endless_loop() -> None:
    plan = plan_of(0)
    assert plan.batches == 0
    assert Run(3, 0, -1).batches(plan) == 0
    assert Run(3, 0, -1).place(plan, 0) == (3, 0)
