"""What it costs to have bytes as floats: cast while they are gathered, and by others.

    python benchmarks/cast.py
    python benchmarks/cast.py --check

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from contenders import CAST, named
from harness import command, compare
from harness.check import check
from harness.targets import Rule, faster
from harness.workloads import WORKLOADS

_BATCH = 32
RULES = (
    faster("dataset vs map", "dataset-cast", "dataset-map", lambda case: 5.0),
    faster(
        "dataset vs from_tensor_slices and map",
        "dataset-cast",
        "from-tensor-slices-map",
        lambda case: 5.0,
    ),
    Rule(
        "batches vs plain batches and the added traffic",
        "batches-cast",
        ("batches", "traffic"),
        lambda case: 1.3,
        at_least=False,
        of=sum,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command.parser(__doc__)
    command.add_contenders(parser, CAST)
    compare.add_options(parser, command.RESULTS / "cast.json")
    options = parser.parse_args(arguments)
    contenders = [each for each in CAST if each.key in options.contenders]
    workloads = [(WORKLOADS[name].scaled(options.scale), _BATCH) for name in ("mnist", "img")]
    if options.check:
        return check(contenders, workloads, named)
    status, _ = compare.run(
        "cast", options, contenders, workloads, RULES, ("dataset-map", "numpy-cast")
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
