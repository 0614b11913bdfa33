"""An iteration of `dataset`, whatever the engine and the options, is the same as of `batches`."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from backends import BACKENDS, DELIVERIES, use_backend
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import dtypes
from strategies import given_options, nests, options
from tensors import assert_same, has_tensor_type

import npyfast

TENSORS = [dtype for dtype in dtypes() if has_tensor_type(dtype)]

# Of an endless iteration, so many batches are compared.
LIMIT = 60


@settings(max_examples=max(10, settings().max_examples // 4))
@given(
    data=st.data(),
    rows=st.integers(0, 60),
    threads=st.none() | st.integers(1, 4),
    readahead=st.sampled_from(["auto", "off", "whole", "rows"]),
    prefetch=st.none() | st.integers(-1, 3),
)
def test_every_engine_equals_batches(
    data: st.DataObject, rows: int, threads: int | None, readahead: str, prefetch: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, sources = data.draw(nests(Path(folder), rows, TENSORS, memory=False))
        made = {
            **given_options(data.draw(options(rows))),
            "threads": threads,
            "readahead": readahead,
        }
        batches = npyfast.batches(sources, **made)
        iterations = [list(itertools.islice(batches, LIMIT)) for _ in range(2)]
        described = set()
        for backend, engine in DELIVERIES:
            with use_backend(backend):
                dataset = npyfast.dataset(sources, **made, prefetch=prefetch, engine=engine)
                described.add(f"{int(dataset.cardinality())} of {dataset.element_spec}")
                assert_cardinality(dataset, batches, made["epochs"])
                for iteration in iterations:
                    assert_iteration(dataset, iteration)
        assert len(described) == 1


@settings(max_examples=max(10, settings().max_examples // 8))
@given(data=st.data(), rows=st.integers(0, 60), prefetch=st.none() | st.integers(-1, 3))
def test_arrays_in_memory(data: st.DataObject, rows: int, prefetch: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, sources = data.draw(nests(Path(folder), rows, TENSORS))
        made = given_options(data.draw(options(rows)))
        for name in BACKENDS:
            with use_backend(name):
                batches = npyfast.batches(sources, **made)
                dataset = npyfast.dataset(sources, prefetch=prefetch, **made)
                assert_cardinality(dataset, batches, made["epochs"])
                for _ in range(2):
                    assert_iteration(dataset, list(itertools.islice(batches, LIMIT)))


def assert_cardinality(dataset: Any, batches: npyfast.Batches, epochs: int | None) -> None:
    """It is what `batches` says."""
    cardinality = int(dataset.cardinality())
    if epochs == -1 and cardinality != 0:
        assert cardinality == tf.data.INFINITE_CARDINALITY
    else:
        assert cardinality == (0 if epochs == -1 else len(batches))


def assert_iteration(dataset: Any, wanted: list[Any]) -> None:
    """The next iteration begins with these batches; fewer than LIMIT are all of it."""
    tensors = iter(dataset)
    for arrays in wanted:
        element = next(tensors)
        fits(dataset.element_spec, element)
        assert_same(element, arrays)
    if len(wanted) < LIMIT:
        assert next(tensors, None) is None, "a batch too many"


def fits(spec: Any, element: Any) -> None:
    """The element is of the element_spec."""
    tf.nest.assert_same_structure(spec, element)
    for part, tensor in zip(tf.nest.flatten(spec), tf.nest.flatten(element), strict=True):
        assert part.is_compatible_with(tensor)
