"""Where the time of a small batch goes: TensorFlow pipelines that grow part by part.

    python benchmarks/overhead.py

Prints medians of microseconds per element. README.md in this folder explains the parts.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders.tensorflow_data import tf, without_prefetch
from harness import command, report
from harness.contender import Loop
from harness.turns import Schedule, turn
from harness.workloads import Workload, make_file

import npyfast

_WORKLOAD = Workload("overhead", 60_000, (8, 8))
_BATCH = 32


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--turns", type=int, default=11, help="of each pipeline; default: 11")
    parser.add_argument("--elements", type=int, default=5000, help="of a turn; default: 5000")
    options = parser.parse_args()
    command.begin(options, options.data)
    made = _pipelines(make_file(_WORKLOAD, options.data))
    runs = {name: Loop(functools.partial(iter, each), ahead=200) for name, each in made.items()}
    schedule = Schedule(options.turns, 0, options.elements)
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.turns):
        for name, run in runs.items():
            samples[name].append(turn(run, schedule))
    columns = ("pipeline", "us an element: median", "least", "most")
    table = report.table("Where the time of a small batch goes", columns)
    for name, turns in samples.items():
        numbers = (statistics.median(turns), min(turns), max(turns))
        table.add_row(name, *(f"{each:.1f}" for each in numbers))
    report.console().print(table)


def _pipelines(path: Path) -> dict[str, Any]:
    numbers = tf.data.Dataset.range(_WORKLOAD.rows).repeat()
    by_the_reader = functools.partial(_called_by_the_reader, numbers)
    cube = tf.zeros((_BATCH, *_WORKLOAD.row_shape), tf.uint8)
    nested = numbers
    for _ in range(2):
        nested = tf.data.Dataset.range(1).flat_map(lambda _, inner=nested: inner)
    grown = {
        "Dataset.range": numbers,
        "and two flat_map": nested,
        "range, and a function called by the reader's thread": by_the_reader(
            lambda index: index + 1
        ),
        "range, and the same function by Dataset.map": numbers.map(lambda index: index + 1),
        "range, and a function that returns a tensor of three dimensions": by_the_reader(
            lambda index: cube
        ),
    }
    dataset = functools.partial(
        npyfast.dataset, path, _BATCH, shuffle=True, seed=0, drop_remainder=True, epochs=-1
    )
    return {
        "Dataset.range, with the prefetch that TensorFlow adds": numbers,
        **{name: without_prefetch(each) for name, each in grown.items()},
        "npyfast.dataset(epochs=-1, engine='graph')": dataset(engine="graph"),
        "npyfast.dataset(epochs=-1, engine='generator')": dataset(engine="generator"),
    }


def _called_by_the_reader(numbers: Any, function: Callable[[Any], Any]) -> Any:
    """A map whose function is run by the thread that wants the element."""
    signature = [tf.TensorSpec((), tf.int64)]
    function = tf.function(function, input_signature=signature, autograph=False)
    traced = function.get_concrete_function()
    spec = traced.structured_outputs
    variant = tf.raw_ops.MapDataset(
        input_dataset=tf.data.experimental.to_variant(numbers),
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


if __name__ == "__main__":
    main()
