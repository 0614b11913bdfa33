"""Engines: how batches reach tf.data. `graph`, an op without Python, or `generator`.

The modules of this package are the only ones that import TensorFlow, once they are called.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

from npyfast._backends import backend, backend_reason
from npyfast._backends.interface import OpenedLeaf
from npyfast._batches.batching import Batching
from npyfast._engines import generator, graph

if TYPE_CHECKING:
    import tensorflow as tf

EngineName = Literal["auto", "graph", "generator"]
ENGINES = get_args(EngineName)


class Engine(Protocol):
    """What an engine module offers."""

    def make_dataset(self, batching: Batching, prefetch: int | None) -> tf.data.Dataset:
        """The batches as a dataset; the k-th iteration of it is `batching.run_of(k)`. With
        `prefetch=None` the engine chooses what is prefetched."""


def check_engine(engine: object) -> None:
    """Refuses any value of the option `engine` but those that there are."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, got {engine!r}")


def choose(engine: EngineName, batching: Batching) -> Engine:
    """The engine for these batches.

    Raises ValueError, or ImportError, where engine="graph" can't deliver them.
    """
    if engine == "generator":
        return cast(Engine, generator)
    obstacle = graph.obstacle(batching)
    if engine == "graph" and obstacle is not None:
        raise ValueError(f"engine='graph' can't be had, because {obstacle}: leave engine out")
    missing = graph.missing() if obstacle is None else None
    if engine == "graph" and missing is not None:
        raise ImportError(f"engine='graph' can't be had, because {missing}")
    return cast(Engine, graph if obstacle is None and missing is None else generator)


def default_engine() -> tuple[str, str]:
    """What engine="auto" takes for files, and why."""
    if backend().NAME != "native":
        return "generator", f"the graph engine needs the native backend, not {backend().NAME}"
    if "tensorflow" not in sys.modules:
        return "graph", "to be confirmed once TensorFlow is imported, which it has not been"
    missing = graph.missing()
    if missing is not None:
        return "generator", missing
    return "graph", "its library is loaded; arrays in memory and transform take the generator"


def engine_for_files(leaf: OpenedLeaf) -> tuple[str, str]:
    """What engine="auto" takes for a leaf of files, and why, as far as is known without
    TensorFlow."""
    if backend().NAME != "native":
        return "generator", f"the graph engine needs the native backend: {backend_reason()}"
    if leaf.storage.kind == "h5py":
        return "generator", "h5py reads it, in Python"
    if not os.path.exists(graph.LIBRARY):
        return "generator", f"npyfast was installed without {os.path.basename(graph.LIBRARY)}"
    return "graph", "an op of TensorFlow's graph reads the files, without Python"
