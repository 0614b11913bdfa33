"""Shuffled batches from files in the page cache: npyfast and others, side by side in one run.

    python benchmarks/warm.py
    python benchmarks/warm.py --workloads mnist --contenders batches,numpy-ram --rounds 9

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import sys

import psutil
from contenders import WARM
from contenders.check import check
from harness import command, compare
from harness.targets import Rule
from harness.workloads import WORKLOADS, Case

_BASELINES = ("numpy-ram", "from-generator", "from-tensor-slices", "from-tensor-slices-in-function")
# Below, what tf.data itself costs decides; from here on, the memory's speed.
_SMALL_BYTES = 32 << 10
_RAW_FROM_BYTES = 256 << 10
_FROM_TENSOR_SLICES = {"mnist": 3.0, "cifarf": 1.5, "img": 1.5, "feat": 3.0}
_FROM_GENERATOR = {32: 4.0, 256: 3.0}
_GENERATOR_FROM_GENERATOR = {
    "mnist/32": 4.0, "mnist/256": 2.5, "cifarf/32": 2.0, "cifarf/256": 2.0,
    "img/32": 4.0, "img/256": 4.0, "feat/32": 4.0, "feat/256": 2.5,
}  # fmt: skip


def _numpy(case: Case) -> float:
    return 1.5 if case.name == "feat/32" else 3.0


RULES: tuple[Rule, ...] = (
    Rule("batches vs NumPy, memmap", "numpy-memmap", ("batches",), _numpy),
    Rule("batches vs NumPy, in RAM", "numpy-ram", ("batches",), _numpy),
    Rule(
        "batches vs raw gather", "batches", ("raw-gather",),
        lambda case: 1.4 if case.batch_bytes >= _RAW_FROM_BYTES else None, at_least=False,
    ),
    # TensorFlow adds a prefetch to the one and, as to npyfast's dataset, none to the other.
    Rule(
        "graph vs the faster tf.data range", "dataset-graph", ("tf-range", "tf-range-no-prefetch"),
        lambda case: 1.25 if case.batch_bytes <= _SMALL_BYTES else None, at_least=False,
    ),
    Rule(
        "graph vs raw gather", "dataset-graph", ("raw-gather",),
        lambda case: 1.25 if case.batch_bytes >= _RAW_FROM_BYTES else None, at_least=False,
    ),
    Rule(
        "graph vs from_tensor_slices", "from-tensor-slices", ("dataset-graph",),
        lambda case: _FROM_TENSOR_SLICES[case.workload.name],
    ),
    Rule(
        "graph vs from_generator", "from-generator", ("dataset-graph",),
        lambda case: _FROM_GENERATOR.get(case.batch),
    ),
    Rule("graph vs FFCV", "ffcv", ("dataset-graph",), lambda case: 1.0),
    Rule("graph vs generator", "dataset-generator", ("dataset-graph",), lambda case: 1.0),
    Rule(
        "generator vs from_generator", "from-generator", ("dataset-generator",),
        lambda case: _GENERATOR_FROM_GENERATOR.get(case.name),
    ),
)  # fmt: skip


def main() -> int:
    parser = compare.parser(__doc__, WARM, "warm")
    command.several(parser, "--workloads", tuple(WORKLOADS), tuple(WORKLOADS))
    command.several(parser, "--batches", (32, 256), read=int)
    command.several(parser, "--baselines", _BASELINES, WARM)
    options = parser.parse_args()
    workloads = [WORKLOADS[name].scaled(options.scale) for name in options.workloads]
    if options.check:
        return check(options.contenders, [(each, 32) for each in workloads])
    # TensorFlow, torch and several copies of the data are in memory at once.
    needed = 6 * max(each.nbytes for each in workloads) + (2 << 30)
    available = psutil.virtual_memory().available
    if available < needed:
        command.stop(
            f"{available / 1e9:.1f} GB of memory are available, these workloads need "
            f"{needed / 1e9:.1f}: leave the largest out with --workloads"
        )
    cases = [(each, batch) for each in workloads for batch in options.batches]
    return compare.run("warm", options, cases, RULES, options.baselines)


if __name__ == "__main__":
    sys.exit(main())
