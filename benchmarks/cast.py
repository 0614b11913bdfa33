"""What it costs to have bytes as floats: cast while they are gathered, and by others.

    python benchmarks/cast.py
    python benchmarks/cast.py --check

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import sys

from contenders import CAST
from contenders.check import check
from harness import compare
from harness.targets import Rule
from harness.workloads import WORKLOADS

_SLICES = "from-tensor-slices-map"
_PLAIN_AND_TRAFFIC = ("batches", "traffic")
RULES = (
    Rule("dataset vs map", "dataset-map", ("dataset-cast",), lambda case: 5.0),
    Rule("dataset vs from_tensor_slices and map", _SLICES, ("dataset-cast",), lambda case: 5.0),
    Rule(
        "batches vs plain batches and the added traffic", "batches-cast", _PLAIN_AND_TRAFFIC,
        lambda case: 1.3, at_least=False, of=sum,
    ),
)  # fmt: skip


def main() -> int:
    parser = compare.parser(__doc__, CAST, "cast")
    parser.set_defaults(plot=None)
    options = parser.parse_args()
    workloads = [(WORKLOADS[name].scaled(options.scale), 32) for name in ("mnist", "img")]
    if options.check:
        return check(options.contenders, workloads)
    return compare.run("cast", options, workloads, RULES, ("dataset-map", "numpy-cast"))


if __name__ == "__main__":
    sys.exit(main())
