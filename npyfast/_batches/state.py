"""Saved places, and the data and options that they belong to.

The same (epoch, batch) stands for other rows in other batches. States of iterators, checkpoints and
graphs therefore hold a digest of everything that determines which rows come.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npyfast._backends.fields import columns
from npyfast._backends.interface import OpenedLeaf
from npyfast._nest import leaves
from npyfast._order import blocks as _block_order
from npyfast._order import full as _order
from npyfast._order.plan import Plan
from npyfast._order.selection import Selection

# The format of the dict that `get_state` returns. Changes with any key or meaning.
FORMAT = 1

# Values of JSON.
Values = dict[str, Any]
State = dict[str, Any]


def described(plan: Plan, opened: Sequence[OpenedLeaf]) -> Values:
    """Everything that determines batch b of epoch e of all workers, as readable values of JSON."""
    shuffle = False if plan.seed is None else "block" if plan.blocks else True
    ordered = plan.seed is not None or plan.selection.order is not None
    values: Values = {
        "batch_size": plan.batch_size,
        "workers": plan.shard_count,
        "shuffle": shuffle,
        "seed": plan.seed,
        "drop_remainder": plan.drop_remainder,
        "rows": _selected(plan.selection),
        "rows_selected": plan.selection.size,
        "rows_of_source": len(opened[0]),
        "leaves": [_leaf(leaf) for leaf in opened],
        "files": [_files(leaf) for leaf in opened],
        "order_version": _order.ORDER_VERSION if ordered else None,
    }
    if plan.blocks is not None:
        values["block_rows"], values["window_rows"] = plan.blocks
        values["block_order_version"] = _block_order.BLOCK_ORDER_VERSION
    return values


def digest(values: Mapping[str, Any], size: int = 16) -> bytes:
    """A hash of values of JSON."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def of_all_workers(values: Mapping[str, Any]) -> Values:
    """The values that a place depends on. These include the size of a global batch, but not its
    division among workers."""
    shared = {name: value for name, value in values.items() if name not in _DIVISION}
    return {**shared, "global_batch_size": values["batch_size"] * values["workers"]}


_DIVISION = ("batch_size", "workers")


def make_state(values: Values, epoch: int, batch: int) -> State:
    """A state that JSON can hold."""
    return {
        "npyfast_state": FORMAT,
        "epoch": epoch,
        "batch": batch,
        **json.loads(json.dumps(values)),  # a copy, which the caller may change
        "digest": digest(of_all_workers(values)).hex(),
    }


def place_of(state: Any, values: Values) -> tuple[int, int]:
    """The epoch and batch of a state.

    Raises ValueError unless it belongs to batches with these values, naming what differs.
    """
    if not isinstance(state, dict):
        raise ValueError(
            f"the state must be a dict that get_state() returned, got {type(state).__name__}"
        )
    version = state.get("npyfast_state")
    if type(version) is not int or version != FORMAT:
        raise ValueError(
            f"the state must be a dict that get_state() returned, of format {FORMAT}, got "
            f"npyfast_state={_repr(version)}"
        )
    place = {"npyfast_state", "epoch", "batch", "digest"}
    held = {name: value for name, value in state.items() if name not in place}
    differences = _differences(held, values)
    if differences:
        raise ValueError(f"the state belongs to other batches: {'; '.join(differences)}")
    if state.get("digest") != digest(of_all_workers(values)).hex():
        raise ValueError("the state is damaged: its digest does not match its values")
    return _number(state, "epoch"), _number(state, "batch")


def _number(state: State, name: str) -> int:
    number = state.get(name)
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(f"the state is damaged: {name}={_repr(number)} is not a valid place")
    return number


def _differences(held: Values, here: Values) -> list[str]:
    """The differences between the values held in a state and those here, as texts."""
    different = [
        f"{name} is {_shown(held, name)} in the state and {_shown(here, name)} here"
        for name in sorted({*held, *here} - {*_DIVISION}, key=_rank)
        if not _same(held.get(name, _MISSING), here.get(name, _MISSING))
    ]
    size, workers = held.get("batch_size"), held.get("workers")
    if type(size) is not int or type(workers) is not int or min(size, workers) < 1:
        return [
            f"batch_size {_repr(size)} and workers {_repr(workers)} are not valid sizes",
            *different,
        ]
    if size * workers != here["batch_size"] * here["workers"]:
        different.insert(0, f"batch_size is {_batch(held)} in the state and {_batch(here)} here")
    if not _same(held.get("seed"), here["seed"]) and here["seed"] is not None:
        different.append("without a seed, each Batches draws its own: pass the seed of the state")
    if held.get("shuffle") == here["shuffle"] == "block" and any(
        "_rows is" in difference for difference in different
    ):
        block, window = held.get("block_rows"), held.get("window_rows")
        different.append(
            f"pass shuffle=npyfast.BlockShuffle(block_rows={_repr(block)}, "
            f"window_rows={_repr(window)}) to get the blocks of the state"
        )
    return different


_MISSING = object()
_FIRST = ("seed", "shuffle", "rows_selected", "rows_of_source")


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), str(name))


def _same(held: object, here: object) -> bool:
    """Equality that distinguishes True, 1 and 1.0."""
    if isinstance(held, list) and isinstance(here, list):
        return len(held) == len(here) and all(map(_same, held, here))
    return type(held) is type(here) and held == here


def _shown(values: Values, name: str) -> str:
    return _repr(values[name]) if name in values else "missing"


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 120
_repr = _short.repr


def _batch(values: Values) -> str:
    size, workers = values["batch_size"], values["workers"]
    return f"{size}" if workers == 1 else f"{size} for each of {workers} workers"


def _selected(selection: Selection) -> str:
    """The selected rows as text; a list of them as its digest."""
    if selection.list is not None:
        numbers = np.ascontiguousarray(selection.list, "<i8")
        return f"listed, blake2b {_hash(numbers.data)}"
    steps = f"{selection.start}, step {selection.step}"
    if selection.order is None:
        return f"from {steps}"
    return f"from {steps}, of the split of {selection.order.rows} with seed {selection.order.seed}"


def _leaf(leaf: OpenedLeaf) -> str:
    """How the rows of a leaf are delivered: their types, scale and shift."""
    made = ", ".join(
        f"{column.dtype.str.lstrip('<>=|')}{list(column.shape)}"
        for column in leaves(columns(leaf.dtype, leaf.row_shape))
    )
    if leaf.cast is not None:
        for name, operand in (("scale", leaf.cast.scale), ("shift", leaf.cast.shift)):
            if operand is not None:
                numbers = np.ascontiguousarray(operand)
                made += f", {name} {_hash(repr(numbers.shape).encode(), numbers.tobytes())}"
    return made + leaf.view.text()


def _files(leaf: OpenedLeaf) -> str:
    """The number of rows of each file, and the order of the files. Their names are relative to the
    folder that contains them all, so that a copy in another folder is the same."""
    parts = [part for part in leaf.parts() if part[1]]
    if len(parts) <= 1:
        return "1"
    names = [os.fsencode(name) for name, _ in parts]
    if not all(name.startswith(b"/") for name in names):
        names = [os.path.abspath(name) for name in names]
    common = len(os.path.commonpath([min(names), max(names)]))
    counts = np.array([count for _, count in parts], "<i8")
    return f"{len(parts)}, blake2b {_hash(counts.tobytes(), *(n[common:] + b'/' for n in names))}"


def _hash(*data: bytes | memoryview) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in data:
        state.update(part)
    return state.hexdigest()
