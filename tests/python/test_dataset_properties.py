"""Whatever the options: an iteration of `dataset` is the same as one of `batches`."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from backends import BACKENDS, use_backend
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import dtypes
from strategies import given_options, nests, options
from tensors import assert_same, has_tensor_type

import npyfast

TENSORS = [dtype for dtype in dtypes() if has_tensor_type(dtype)]


@settings(max_examples=max(10, settings().max_examples // 4))
@given(
    data=st.data(),
    rows=st.integers(0, 60),
    threads=st.none() | st.integers(1, 4),
    prefetch=st.none() | st.integers(-1, 3),
)
def test_dataset_equals_batches(
    data: st.DataObject, rows: int, threads: int | None, prefetch: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, sources = data.draw(nests(Path(folder), rows, TENSORS))
        made = given_options(data.draw(options(rows)))
        for name in BACKENDS:
            with use_backend(name):
                batches = npyfast.batches(sources, threads=threads, **made)
                dataset = npyfast.dataset(sources, threads=threads, prefetch=prefetch, **made)
                cardinality = int(dataset.cardinality())
                if made["epochs"] == -1 and cardinality != 0:
                    assert cardinality == tf.data.INFINITE_CARDINALITY
                    limit = 100
                else:
                    assert cardinality == len(batches)
                    limit = cardinality + 1
                for _ in range(2):
                    pairs = itertools.zip_longest(
                        itertools.islice(dataset, limit), itertools.islice(batches, limit)
                    )
                    for tensors, arrays in pairs:
                        fits(dataset.element_spec, tensors)
                        assert_same(tensors, arrays)


def fits(spec: Any, element: Any) -> None:
    """The element is of the element_spec."""
    tf.nest.assert_same_structure(spec, element)
    for part, tensor in zip(tf.nest.flatten(spec), tf.nest.flatten(element), strict=True):
        assert part.is_compatible_with(tensor)
