"""`get_state` and `set_state`: an iterator goes on where another one was, or says why not."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import processes
import pytest
from backends import BACKENDS, use_backend
from expected import RUNS, assert_same
from hypothesis import given
from hypothesis import strategies as st
from samples import Save

import npyfast
from npyfast._order import blocks as _block_order
from npyfast._order import full as _order

Y = np.arange(103)
BASE: dict[str, Any] = {"batch_size": 10, "shuffle": True, "seed": 1}


def rows_of(batches: Any, count: int | None = None) -> list[list[int]]:
    return [batch.tolist() for batch in itertools.islice(batches, count)]


def through_json(state: Any) -> Any:
    return json.loads(json.dumps(state, allow_nan=False))


def after(made: npyfast.Batches, count: int) -> npyfast.BatchIterator:
    iterator = iter(made)
    assert len(rows_of(iterator, count)) == count
    return iterator


@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(3, 20)], ids=repr)
@pytest.mark.parametrize("run", RUNS, ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"transform": np.negative}, {"transform": np.negative, "transform_threads": 3}],
    ids=["plain", "transform", "transform_threads"],
)
def test_goes_on_exactly_there(
    save: Save, backend: str, shuffle: Any, run: dict[str, Any], options: dict[str, Any]
) -> None:
    path = save(Y)
    given = {**BASE, "shuffle": shuffle, **run, **options}
    whole = rows_of(npyfast.batches(path, **given), 40)
    for done in sorted({0, 4, 10, 11, len(whole) - 1, len(whole)}):
        if done > len(whole):
            continue
        iterator = after(npyfast.batches(path, **given), done)
        state = through_json(iterator.get_state())
        made = npyfast.batches(path, **given)
        again = after(made, 2)
        again.set_state(state)
        assert again.position == iterator.position
        assert again.get_state() == state
        rest = len(whole) - done
        assert rows_of(again, rest) == whole[done:]
        if run["epochs"] != -1:
            assert next(again, None) is None
            assert again.position == iterator.position or rows_of(iterator) == whole[done:]


def test_the_iteration_after_the_restored_one(save: Save, backend: str) -> None:
    path = save(Y)
    made = npyfast.batches(path, **BASE, start_epoch=2)
    epochs = [rows_of(made) for _ in range(6)]
    for done in (0, 4, 11):
        iterator = iter(npyfast.batches(path, **BASE, start_epoch=4))
        rows_of(iterator, done)
        again = npyfast.batches(path, **BASE, start_epoch=2)
        restored = iter(again)
        restored.set_state(iterator.get_state())
        assert rows_of(restored) == epochs[2][done:]
        assert rows_of(again) == epochs[3]
        assert rows_of(again) == epochs[4]


@pytest.mark.parametrize("names", list(itertools.permutations(BACKENDS, 2)), ids=str)
@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(3, 20)], ids=repr)
def test_from_one_backend_to_the_other(save: Save, names: Any, shuffle: Any) -> None:
    structured = np.zeros(103, [("a", "<i4", (2,)), ("b", ">f8"), ("c", "S3"), ("d", "M8[ns]")])
    source = {
        "x": [save(Y[:50], "a/x.npy"), save(Y[50:], "b/x.npy")],
        "e": [save(part, f"{i}/e.npy") for i, part in enumerate(np.split(Y, [0, 50, 50]))],
        "y": save(structured),
        "z": npyfast.source(save(np.ones((103, 4), "u1")), cast="float32", scale=[1, 2, 3, 4]),
        "m": Y,
    }
    options = {**BASE, "shuffle": shuffle, "epochs": 2}
    with use_backend(names[0]):
        iterator = iter(npyfast.batches(source, **options))
        list(itertools.islice(iterator, 13))
        state = through_json(iterator.get_state())
        rest = list(iterator)
    with use_backend(names[1]):
        again = iter(npyfast.batches(source, **options))
        again.set_state(state)
        assert again.get_state() == state
        for a, b in zip(rest, again, strict=True):
            assert_same(a, b)


def test_in_a_new_process_and_another_folder(save: Save, tmp_path: Path, backend: str) -> None:
    parts = (Y[:50], Y[50:])
    paths = [save(part, f"here/{name}.npy") for name, part in zip("ab", parts, strict=True)]
    copies = [save(part, f"there/{name}.npy") for name, part in zip("ab", parts, strict=True)]
    iterator = after(npyfast.batches(paths, **BASE), 4)
    out, _ = processes.finish(
        processes.start(
            "batches_from_a_state.py",
            json.dumps(copies),
            json.dumps(iterator.get_state()),
            backend=backend,
        )
    )
    rest, following = json.loads(out)
    made = npyfast.batches(paths, **BASE)
    assert rest == rows_of(made)[4:]
    assert following == rows_of(made)


class TestRefused:
    @pytest.mark.parametrize("epochs", [None, 3, -1])
    @pytest.mark.parametrize(
        ("other", "names"),
        [
            ({"seed": 2}, "seed is 1 in the state and 2 here"),
            ({"seed": None}, "pass the seed of the state"),
            ({"shuffle": False}, "shuffle is True in the state and False here"),
            ({"shuffle": npyfast.BlockShuffle(3, 20)}, "shuffle is True in .* and 'block' here"),
            ({"batch_size": 11}, "batch_size is 10 in the state and 11 here"),
            ({"drop_remainder": True}, "drop_remainder is False in the state and True here"),
            ({"rows": slice(0, 100)}, "rows_selected is 103 in the state and 100 here"),
            ({"rows": slice(None, None, -1)}, "rows is 'from 0, step 1' in"),
            ({"rows": list(range(102, -1, -1))}, "rows is .* and 'listed, blake2b"),
            ({"shard": (0, 2)}, "batch_size is 10 in .* and 10 for each of 2 workers here"),
        ],
        ids=str,
    )
    def test_other_options(
        self, save: Save, backend: str, epochs: Any, other: dict[str, Any], names: str
    ) -> None:
        path = save(Y)
        state = after(npyfast.batches(path, **BASE, epochs=epochs), 4).get_state()
        iterator = iter(npyfast.batches(path, **{**BASE, **other}, epochs=epochs))
        before = iterator.position
        with pytest.raises(ValueError, match=names):
            iterator.set_state(state)
        assert iterator.position == before
        next(iterator)

    def test_every_listed_row_counts(self, save: Save, backend: str) -> None:
        rows = np.arange(70_000) % 103
        path = save(Y)
        state = iter(npyfast.batches(path, **BASE, rows=rows)).get_state()
        for place in (0, 1, 65_537, 69_999):
            changed = rows.copy()
            changed[place] += 1 if changed[place] < 102 else -1
            with pytest.raises(ValueError, match="rows is 'listed"):
                iter(npyfast.batches(path, **BASE, rows=changed)).set_state(state)
        iter(npyfast.batches(path, **BASE, rows=rows.copy())).set_state(state)

    def test_other_files(self, save: Save, backend: str) -> None:
        parts = [save(Y[:40], "d/1.npy"), save(Y[40:80], "d/2.npy"), save(Y[80:], "d/3.npy")]
        state = iter(npyfast.batches(parts, **BASE)).get_state()
        for others in (
            [parts[1], parts[0], parts[2]],
            [parts[0], parts[2], parts[1]],
            [save(Y[:39], "e/1.npy"), save(Y[39:80], "e/2.npy"), save(Y[80:], "e/3.npy")],
            save(Y),
        ):
            with pytest.raises(ValueError, match="files is"):
                iter(npyfast.batches(others, **BASE)).set_state(state)
        with pytest.raises(ValueError, match="rows_of_source is 103 in the state and 80 here"):
            iter(npyfast.batches(parts[:2], **BASE)).set_state(state)
        for other in (Y.astype("i4"), Y.reshape(103, 1), Y.astype("f8")):
            with pytest.raises(ValueError, match="leaves is"):
                iter(npyfast.batches(save(other), **BASE)).set_state(
                    iter(npyfast.batches(save(Y), **BASE)).get_state()
                )

    def test_another_scale(self, save: Save, backend: str) -> None:
        def iterator(scale: float) -> npyfast.BatchIterator:
            return iter(npyfast.batches(npyfast.source(path, cast="float32", scale=scale), **BASE))

        path = save(Y)
        state = iterator(0.5).get_state()
        iterator(0.5).set_state(state)
        with pytest.raises(ValueError, match="leaves is"):
            iterator(0.25).set_state(state)

    def test_another_version_of_the_order(self, save: Save, backend: str) -> None:
        path = save(Y)
        blocks = {**BASE, "shuffle": npyfast.BlockShuffle(3, 20)}
        in_order = {"batch_size": 10}
        states = [
            iter(npyfast.batches(path, **options)).get_state()
            for options in (BASE, blocks, in_order)
        ]
        with mock.patch.object(_order, "ORDER_VERSION", 2):
            for options, state in zip((BASE, blocks), states, strict=False):
                with pytest.raises(ValueError, match="order_version is 1 in the state and 2 here"):
                    iter(npyfast.batches(path, **options)).set_state(state)
            iter(npyfast.batches(path, **in_order)).set_state(states[2])
        with mock.patch.object(_block_order, "BLOCK_ORDER_VERSION", 2):
            iter(npyfast.batches(path, **BASE)).set_state(states[0])
            with pytest.raises(ValueError, match="block_order_version is 1 in the state"):
                iter(npyfast.batches(path, **blocks)).set_state(states[1])

    def test_other_blocks_say_which_to_pass(self, save: Save, backend: str) -> None:
        path = save(Y)
        state = iter(npyfast.batches(path, 10, npyfast.BlockShuffle(3, 20), seed=1)).get_state()
        wanted = r"pass shuffle=npyfast.BlockShuffle\(block_rows=3, window_rows=20\)"
        for sizes in ((3, 21), (4, 20)):
            made = npyfast.batches(path, 10, npyfast.BlockShuffle(*sizes), seed=1)
            with pytest.raises(ValueError, match=wanted):
                iter(made).set_state(state)

    def test_a_place_that_is_not_in_the_run(self, save: Save, backend: str) -> None:
        path = save(Y)
        state = after(npyfast.batches(path, **BASE, epochs=-1), 40).get_state()
        assert (state["epoch"], state["batch"]) == (3, 7)
        for run in ({"epochs": 3}, {"epochs": 2, "start_epoch": 4}, {"start_epoch": 4},
                    {"epochs": 2, "start_epoch": 3, "start_batch": 8}):  # fmt: skip
            with pytest.raises(ValueError, match="epoch 3"):
                iter(npyfast.batches(path, **BASE, **run)).set_state(state)
        for run in ({"epochs": 4}, {"epochs": 1, "start_epoch": 3}, {"start_epoch": 3},
                    {"epochs": 2, "start_epoch": 3, "start_batch": 7}, {}):  # fmt: skip
            iterator = iter(npyfast.batches(path, **BASE, **run))
            iterator.set_state(state)
            assert iterator.position == (3, 7)

    def test_the_end_of_fewer_epochs(self, save: Save, backend: str) -> None:
        path = save(Y)
        ended = after(npyfast.batches(path, **BASE, epochs=2), 22)
        more = iter(npyfast.batches(path, **BASE, epochs=3))
        more.set_state(ended.get_state())
        assert rows_of(more) == rows_of(npyfast.batches(path, **BASE, epochs=3))[22:]
        with pytest.raises(ValueError, match="end before epoch 1"):
            iter(npyfast.batches(path, **BASE, epochs=1)).set_state(ended.get_state())

    BROKEN: tuple[Any, ...] = (
        None, True, -1, 1.0, "3", [], {}, 2**62, 2**63, 2**64, 10**40, float("nan"), [[[]]],
        "x" * 10**6,
    )  # fmt: skip

    def test_damaged_states(self, save: Save, backend: str) -> None:
        iterator = iter(npyfast.batches(save(Y), **BASE, epochs=-1))
        next(iterator)
        good = iterator.get_state()
        damaged: list[Any] = [None, 3, "{}", [], [good], {}, {"epoch": 0, "batch": 1}]
        for name in good:
            missing = copy.deepcopy(good)
            del missing[name]
            damaged.append(missing)
            damaged += [{**good, name: value} for value in self.BROKEN if value != good[name]]
        damaged += [{**good, "batch": 12}, {**good, "unknown": 1}, {**good, 3: 4}]
        damaged += [{**good, "shuffle": 1}, {**good, "seed": 1.0}, {**good, "seed": True}]
        for state in damaged:
            with pytest.raises(ValueError) as caught:
                iterator.set_state(state)
            assert len(str(caught.value)) < 3000
            assert iterator.position == (0, 1)
        iterator.set_state(good)

    def test_states_are_copies(self, backend: str) -> None:
        iterator = iter(npyfast.batches(Y, **BASE))
        state = iterator.get_state()
        state["leaves"].append("x")
        state["files"].clear()
        assert iterator.get_state() != state
        iterator.set_state(iterator.get_state())


@pytest.mark.parametrize(
    ("before", "later"), [((20, 1), (10, 2)), ((5, 4), (10, 2)), ((5, 4), (20, 1))]
)
def test_another_number_of_workers(save: Save, backend: str, before: Any, later: Any) -> None:
    """The global batches are the same: every row comes once."""
    path = save(Y)

    def workers(batch_size: int, count: int) -> list[Any]:
        options = {**BASE, "batch_size": batch_size, "epochs": 2}
        return [iter(npyfast.batches(path, **options, shard=(i, count))) for i in range(count)]

    first, second = workers(*before), workers(*later)
    seen = [row for worker in first for batch in rows_of(worker, 4) for row in batch]
    for worker in second:
        worker.set_state(through_json(first[-1].get_state()))
        seen += [row for batch in rows_of(worker, 2) for row in batch]
        assert worker.position == (1, 0)
    assert sorted(seen) == Y.tolist()


def options() -> st.SearchStrategy[dict[str, Any]]:
    rows = st.sampled_from(
        [None, slice(0, 9), slice(1, 10), slice(None, None, -1), [3, 1, 2], [1, 3, 2]]
    )
    shuffles = st.sampled_from(
        [False, True, npyfast.BlockShuffle(2, 4), npyfast.BlockShuffle(2, 5)]
    )
    return st.fixed_dictionaries(
        {
            "batch_size": st.integers(1, 4),
            "shuffle": shuffles,
            "seed": st.integers(0, 1),
            "rows": rows,
            "drop_remainder": st.booleans(),
            "epochs": st.sampled_from([None, 1, 2]),
            "shard": st.sampled_from([None, (0, 2), (1, 2)]),
        }
    )


@given(one=options(), other=options(), names=st.tuples(*[st.sampled_from(BACKENDS)] * 2))
def test_any_two(one: dict[str, Any], other: dict[str, Any], names: Any) -> None:
    """A state goes on with the rows of its own order, or is refused: at every place there is."""
    array = np.arange(10)
    with use_backend(names[0]):
        iterator = iter(npyfast.batches(array, **one))
        states = [iterator.get_state(), *(iterator.get_state() for _ in iterator)]
    with use_backend(names[1]):
        for state in states:
            iterator = iter(npyfast.batches(array, **other))
            try:
                iterator.set_state(state)
            except ValueError:
                assert one != other
                continue
            if one != other:
                _check_is_compatible(one, other, array)
            epoch, batch = state["epoch"], state["batch"]
            plan = iterator._iterations.plan
            wanted = [
                array[plan.rows(e, b)].tolist()
                for e in range(epoch, epoch + 1 if other["epochs"] is None else other["epochs"])
                for b in range(batch if e == epoch else 0, plan.batches)
            ]
            assert rows_of(iterator) == wanted


def _check_is_compatible(one: dict[str, Any], other: dict[str, Any], array: Any) -> None:
    """The global batches are the same."""

    def global_batches(options: dict[str, Any]) -> list[list[list[int]]]:
        count = (options["shard"] or (0, 1))[1]
        workers = [
            rows_of(npyfast.batches(array, **{**options, "epochs": 2, "shard": (i, count)}))
            for i in range(count)
        ]
        return [
            sorted(itertools.chain.from_iterable(batches)) for batches in zip(*workers, strict=True)
        ]

    assert global_batches(one) == global_batches(other)
