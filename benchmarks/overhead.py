"""Where the time of a small batch goes: pipelines of TensorFlow that grow part by part.

    python benchmarks/overhead.py

Each pipeline is iterated from Python, a turn of each after the other; printed are medians of
microseconds an element. README.md in this folder explains the parts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import npyfast_build
import numpy as np
import report
import tensorflow as tf
from rich.table import Table

import npyfast

_ROWS = 60_000
_ROW_SHAPE = (8, 8)
_BATCH = 32


def _without_prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return dataset.with_options(options)


def _called_by_the_reader(function: Callable[[Any], Any]) -> tf.data.Dataset:
    """A map whose function is run by the thread that wants the element."""
    traced = tf.function(
        function, input_signature=[tf.TensorSpec((), tf.int64)], autograph=False
    ).get_concrete_function()
    spec = traced.structured_outputs
    variant = tf.raw_ops.MapDataset(
        input_dataset=tf.data.experimental.to_variant(tf.data.Dataset.range(_ROWS).repeat()),
        other_arguments=traced.captured_inputs,
        f=traced,
        output_types=[spec.dtype],
        output_shapes=[spec.shape],
        use_inter_op_parallelism=False,
        preserve_cardinality=True,
        force_synchronous=True,
    )
    made = tf.data.experimental.from_variant(variant, tf.TensorSpec(spec.shape, spec.dtype))
    made.keep = traced
    return made


def _pipelines(path: Path) -> dict[str, tf.data.Dataset]:
    numbers = tf.data.Dataset.range(_ROWS).repeat()
    cube = tf.zeros((_BATCH, *_ROW_SHAPE), tf.uint8)
    nested = numbers
    for _ in range(2):
        nested = tf.data.Dataset.range(1).flat_map(lambda _, inner=nested: inner)
    options = {"batch_size": _BATCH, "shuffle": True, "seed": 0, "drop_remainder": True}
    return {
        "Dataset.range, with the prefetch that TensorFlow adds": numbers,
        "Dataset.range": _without_prefetch(numbers),
        "and two flat_map": _without_prefetch(nested),
        "range, and a function called by the reader's thread": _without_prefetch(
            _called_by_the_reader(lambda index: index + 1)
        ),
        "range, and the same function by Dataset.map": _without_prefetch(
            numbers.map(lambda index: index + 1)
        ),
        "range, and a function that returns a tensor of three dimensions": _without_prefetch(
            _called_by_the_reader(lambda index: cube)
        ),
        "npyfast.dataset(epochs=-1, engine='graph')": npyfast.dataset(
            path, epochs=-1, engine="graph", **options
        ),
        "npyfast.dataset(epochs=-1, engine='generator')": npyfast.dataset(
            path, epochs=-1, engine="generator", **options
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=11, help="of each pipeline; default: 11")
    parser.add_argument("--elements", type=int, default=5000, help="of a turn; default: 5000")
    options = parser.parse_args()
    refusal = npyfast_build.refusal(allow_numpy_backend=False)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        np.save(path, np.zeros((_ROWS, *_ROW_SHAPE), np.uint8))
        iterators = {name: iter(made) for name, made in _pipelines(path).items()}
        samples: dict[str, list[float]] = {name: [] for name in iterators}
        for _ in range(options.turns):
            for name, iterator in iterators.items():
                for _ in range(200):
                    next(iterator)
                begin = time.perf_counter()
                for _ in range(options.elements):
                    next(iterator)
                spent = time.perf_counter() - begin
                samples[name].append(spent / options.elements * 1e6)
    table = Table("pipeline", "us an element: median", "least", "most")
    for name, turns in samples.items():
        numbers = (statistics.median(turns), min(turns), max(turns))
        table.add_row(name, *(f"{number:.1f}" for number in numbers))
    report.console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
