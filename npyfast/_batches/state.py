"""What a place in the batches belongs to: the data and the options that decide which rows come.

States of iterators, checkpoints and graphs hold a digest of it: in other batches the same place
would be other rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.fields import columns
from npyfast._backends.interface import OpenedLeaf
from npyfast._nest import leaves
from npyfast._order import blocks as _block_order
from npyfast._order import full as _order
from npyfast._order.plan import Plan
from npyfast._order.selection import Selection

# Of the dict that `get_state` gives: another number for any other keys or meanings.
FORMAT = 1

Values = dict[str, Any]
State = dict[str, Any]


def described(plan: Plan, sources: Sequence[OpenedLeaf]) -> Values:
    """All that decides which rows make up batch b of epoch e of all workers together, and how they
    come out, as values of JSON that a person can read."""
    shuffle = False if plan.seed is None else "block" if plan.blocks else True
    ordered = plan.seed is not None or plan.selection.order is not None
    values: Values = {
        "batch_size": plan.batch_size,
        "workers": plan.shard_count,
        "shuffle": shuffle,
        "seed": plan.seed,
        "drop_remainder": plan.drop_remainder,
        "rows": _rows(plan.selection),
        "rows_selected": plan.selection.size,
        "rows_of_source": len(sources[0]),
        "leaves": [_leaf(rows) for rows in sources],
        "files": [_files(rows) for rows in sources],
        "order_version": _order.ORDER_VERSION if ordered else None,
    }
    if plan.blocks is not None:
        values["block_rows"], values["window_rows"] = plan.blocks
        values["block_order_version"] = _block_order.BLOCK_ORDER_VERSION
    return values


def digest(values: Mapping[str, Any], size: int = 16) -> bytes:
    """What stands for values of JSON; other values have another one."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def of_all_workers(values: Mapping[str, Any]) -> Values:
    """The values that must be the same for a place to be the same. Global batches are: which part
    of each of them a worker gets is not a matter of the place."""
    shared = {name: value for name, value in values.items() if name not in _DIVISION}
    return {**shared, "global_batch_size": values["batch_size"] * values["workers"]}


_DIVISION = ("batch_size", "workers")


def make_state(values: Values, epoch: int, batch: int) -> State:
    """A state that JSON can hold."""
    return {
        "npyfast_state": FORMAT,
        "epoch": epoch,
        "batch": batch,
        **json.loads(json.dumps(values)),  # nothing of it is shared with others
        "digest": digest(of_all_workers(values)).hex(),
    }


def place_of(state: Any, values: Values) -> tuple[int, int]:
    """The epoch and batch of a state, which must be one of batches with these values.

    Raises ValueError that names what differs.
    """
    if not isinstance(state, dict):
        raise ValueError(
            f"the state must be a dict that get_state() has returned, got {type(state).__name__}"
        )
    version = state.get("npyfast_state")
    if type(version) is not int or version != FORMAT:
        raise ValueError(
            f"the state must be a dict that get_state() has returned, of format {FORMAT}, got "
            f"npyfast_state={_repr(version)}"
        )
    place = {"npyfast_state", "epoch", "batch", "digest"}
    held = {name: value for name, value in state.items() if name not in place}
    differences = _differences(held, values)
    if differences:
        raise ValueError(f"the state is of other batches: {'; '.join(differences)}")
    if state.get("digest") != digest(of_all_workers(values)).hex():
        raise ValueError("the state is damaged: its digest does not fit its values")
    return _number(state, "epoch"), _number(state, "batch")


def _number(state: State, name: str) -> int:
    number = state.get(name)
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(f"the state is damaged: {name}={_repr(number)} is no place")
    return number


def _differences(held: Values, here: Values) -> list[str]:
    """What differs between the values of a state and those of the batches it is set to."""
    different = [
        f"{name} is {_shown(held, name)} in the state and {_shown(here, name)} here"
        for name in sorted({*held, *here} - {*_DIVISION}, key=_rank)
        if not _same(held.get(name, _MISSING), here.get(name, _MISSING))
    ]
    size, workers = held.get("batch_size"), held.get("workers")
    if type(size) is not int or type(workers) is not int or min(size, workers) < 1:
        return [f"batch_size {_repr(size)} and workers {_repr(workers)} are no sizes", *different]
    if size * workers != here["batch_size"] * here["workers"]:
        different.insert(0, f"batch_size is {_batch(held)} in the state and {_batch(here)} here")
    if not _same(held.get("seed"), here["seed"]) and here["seed"] is not None:
        different.append("without a seed, each Batches draws its own: pass that of the state")
    if held.get("shuffle") == here["shuffle"] == "block" and any(
        "_rows is" in difference for difference in different
    ):
        block, window = held.get("block_rows"), held.get("window_rows")
        different.append(
            f"pass shuffle=npyfast.BlockShuffle(block_rows={_repr(block)}, "
            f"window_rows={_repr(window)}) to have the blocks of the state"
        )
    return different


_MISSING = object()
_FIRST = ("seed", "shuffle", "rows_selected", "rows_of_source")


def _rank(name: Any) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), str(name))


def _same(held: Any, here: Any) -> bool:
    """Equality that tells True from 1 and 1 from 1.0."""
    return type(held) is type(here) and (
        len(held) == len(here) and all(map(_same, held, here))
        if isinstance(held, list)
        else bool(held == here)
    )


def _shown(values: Values, name: Any) -> str:
    return _repr(values[name]) if name in values else "missing"


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 120
_repr = _short.repr


def _batch(values: Values) -> str:
    size, workers = values["batch_size"], values["workers"]
    return f"{size}" if workers == 1 else f"{size} for each of {workers} workers"


def _rows(selection: Selection) -> str:
    """Which rows take part; a list of them by its digest."""
    if selection.list is not None:
        numbers = np.ascontiguousarray(selection.list, "<i8")
        return f"listed, blake2b {_hash(numbers.data)}"
    steps = f"{selection.start}, step {selection.step}"
    if selection.order is None:
        return f"from {steps}"
    return f"from {steps}, of the split of {selection.order.rows} with seed {selection.order.seed}"


def _leaf(rows: OpenedLeaf) -> str:
    """How the rows of a leaf come out: their types, and what they are scaled by."""
    made = ", ".join(
        f"{column.dtype.str.lstrip('<>=|')}{list(column.shape)}"
        for column in leaves(columns(rows.dtype, rows.row_shape))
    )
    scaled: Cast | None = getattr(rows, "cast", None)
    for name in ("scale", "shift"):
        by = getattr(scaled, name, None)
        if by is not None:
            numbers = np.ascontiguousarray(by)
            made += f", {name} {_hash(repr(numbers.shape).encode(), numbers.tobytes())}"
    return made


def _files(rows: OpenedLeaf) -> str:
    """The rows of each file, and the order of files. Where there are several, their names from the
    folder on that has them all tell them apart: a copy elsewhere is the same."""
    parts = [part for part in rows.parts() if part[1]]
    if len(parts) <= 1:
        return "1"
    names = [os.fsencode(name) for name, _ in parts]
    if not all(name.startswith(b"/") for name in names):
        names = [os.path.abspath(name) for name in names]
    common = len(os.path.commonpath([min(names), max(names)]))
    counts = np.array([count for _, count in parts], "<i8")
    return f"{len(parts)}, blake2b {_hash(counts.tobytes(), *(n[common:] + b'/' for n in names))}"


def _hash(*data: Any) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in data:
        state.update(part)
    return state.hexdigest()
