"""Shuffled batches from files in the page cache: npyfast and others, side by side in one run.

    python benchmarks/warm.py
    python benchmarks/warm.py --workloads mnist --contenders batches,numpy-ram --rounds 9

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import plot
import psutil
from contenders import WARM, named
from contenders.raw_gather import raw_gather
from harness import command, compare
from harness.check import check
from harness.targets import Rule, faster, within
from harness.workloads import WORKLOADS, Case, clean

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
    faster("batches vs NumPy, memmap", "batches", "numpy-memmap", _numpy),
    faster("batches vs NumPy, in RAM", "batches", "numpy-ram", _numpy),
    within(
        "batches vs raw gather", "batches", ["raw-gather"],
        lambda case: 1.4 if case.batch_bytes >= _RAW_FROM_BYTES else None,
    ),
    # TensorFlow adds a prefetch to the one and, as to npyfast's dataset, none to the other.
    within(
        "graph vs the faster tf.data range", "dataset-graph", ["tf-range", "tf-range-no-prefetch"],
        lambda case: 1.25 if case.batch_bytes <= _SMALL_BYTES else None,
    ),
    within(
        "graph vs raw gather", "dataset-graph", ["raw-gather"],
        lambda case: 1.25 if case.batch_bytes >= _RAW_FROM_BYTES else None,
    ),
    faster(
        "graph vs from_tensor_slices", "dataset-graph", "from-tensor-slices",
        lambda case: _FROM_TENSOR_SLICES[case.workload.name],
    ),
    faster(
        "graph vs from_generator", "dataset-graph", "from-generator",
        lambda case: _FROM_GENERATOR.get(case.batch),
    ),
    faster("graph vs FFCV", "dataset-graph", "ffcv", lambda case: 1.0),
    faster("graph vs generator", "dataset-graph", "dataset-generator", lambda case: 1.0),
    faster(
        "generator vs from_generator", "dataset-generator", "from-generator",
        lambda case: _GENERATOR_FROM_GENERATOR.get(case.name),
    ),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command.parser(__doc__)
    command.add_contenders(parser, WARM)
    compare.add_options(parser, command.RESULTS / "warm.json")
    command.several(parser, "--workloads", list(WORKLOADS))
    command.several(parser, "--batches", (), (32, 256), int)
    command.several(parser, "--baselines", [each.key for each in WARM], _BASELINES)
    parser.add_argument("--raw-gather", type=Path, help="the program; default: built by cmake")
    parser.add_argument("--plot", type=Path, default=command.RESULTS / "warm.png")
    parser.add_argument("--clean", action="store_true", help="only delete the data files")
    options = parser.parse_args(arguments)
    if options.clean:
        for path in clean(options.data):
            print(f"deleted {path}")
        return 0
    contenders = [each for each in WARM if each.key in options.contenders]
    workloads = [WORKLOADS[name].scaled(options.scale) for name in options.workloads]
    if options.check:
        return check(contenders, [(each, 32) for each in workloads], named)
    if options.raw_gather:
        given = raw_gather(options.raw_gather)
        contenders = [given if each.key == given.key else each for each in contenders]
    # TensorFlow, torch and several copies of the data are in memory at once.
    needed = 6 * max(each.nbytes for each in workloads) + (2 << 30)
    available = psutil.virtual_memory().available
    if available < needed:
        print(
            f"{available / 1e9:.1f} GB of memory are available, these workloads need "
            f"{needed / 1e9:.1f}: leave the largest out with --workloads",
            file=sys.stderr,
        )
        return 2
    cases = [(each, batch) for each in workloads for batch in options.batches]
    status, content = compare.run("warm", options, contenders, cases, RULES, options.baselines)
    if content:
        plot.draw(content, options.plot)
        print(f"Written: {options.plot}")
    return status


if __name__ == "__main__":
    sys.exit(main())
