"""Engines: how batches reach tf.data. `graph`, an op without Python, or `generator`.

The modules of this package are the only ones that import TensorFlow, and only when called.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

from npyfast._backends import backend, backend_reason
from npyfast._backends.interface import OpenedLeaf
from npyfast._batches.batching import Batching
from npyfast._engines import generator, op_library
from npyfast._errors import shown

if TYPE_CHECKING:
    import tensorflow as tf

EngineName = Literal["auto", "graph", "generator"]
ENGINES = get_args(EngineName)


class Engine(Protocol):
    """What an engine module offers."""

    def make_dataset(self, batching: Batching, prefetch: int | None) -> tf.data.Dataset:
        """The batches as a dataset; the k-th iteration of it is `batching.run_of(k)`. With
        `prefetch=None` the engine chooses what is prefetched."""

    def begins_anywhere(self, batching: Batching) -> bool:
        """Whether an iteration that is told where to begin may do so within an epoch."""


def check_engine(engine: object) -> None:
    """Raises ValueError unless `engine` is the name of an engine, or "auto"."""
    if not isinstance(engine, str) or engine not in ENGINES:
        allowed = ", ".join(map(repr, ENGINES))
        raise ValueError(f"engine must be one of {allowed}, got {shown(engine)}")


class Choice(NamedTuple):
    """The engine for some batches, and why it is this one."""

    engine: Engine
    reason: str


def choose(engine: EngineName, batching: Batching) -> Choice:
    """The engine for these batches.

    With engine="graph", raises ValueError if that cannot deliver them, and ImportError if its ops
    cannot be loaded.
    """
    if engine == "generator":
        return Choice(generator, "engine generator, which was asked for")
    from npyfast._engines import graph  # programs without a dataset need not wait for it

    obstacle = graph.obstacle(batching)
    load_error = op_library.load_error() if obstacle is None else None
    if obstacle is None and load_error is None:
        return Choice(graph, "engine graph: an op of TensorFlow's graph makes the batches")
    if engine == "auto":
        why = obstacle or load_error
        return Choice(generator, f"engine generator, because graph is not available: {why}")
    error = ValueError if load_error is None else ImportError
    raise error(
        f"engine='graph' is not available: {obstacle or load_error}; "
        "omit `engine` to fall back to the generator"
    )


def default_engine() -> tuple[str, str]:
    """The engine that "auto" chooses for files, and why."""
    if not backend().SERVES_GRAPHS:
        return "generator", f"the graph engine needs the native backend, not {backend().NAME}"
    if "tensorflow" not in sys.modules:
        return "graph", "to be confirmed once TensorFlow is imported, which it has not been"
    error = op_library.load_error()
    if error is not None:
        return "generator", error
    return (
        "graph",
        "its library is loaded; a transform, what Python reads, and more than 2 GiB in memory "
        "take the generator",
    )


def engine_for_files(leaf: OpenedLeaf) -> tuple[str, str]:
    """The engine that "auto" chooses for a leaf of files, and why, as far as is known without
    TensorFlow."""
    if not backend().SERVES_GRAPHS:
        return "generator", f"the graph engine needs the native backend: {backend_reason()}"
    if leaf.storage.kind == "h5py":
        return "generator", "h5py reads it, in Python"
    not_installed = op_library.not_installed()
    if not_installed is not None:
        return "generator", not_installed
    return "graph", "an op of TensorFlow's graph reads the files, without Python"
