"""What the command lines have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before anything imports TensorFlow: its messages would break the progress bar, and an unused GPU
# takes time and memory to start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from harness import machine, report, targets
from harness.contender import CONTENDERS
from harness.plot import plot

_BENCHMARKS = Path(__file__).resolve().parents[1]
RESULTS = _BENCHMARKS / "results"


def parser(description: str | None, *, data: str = "--data") -> argparse.ArgumentParser:
    """Options of every benchmark that measures npyfast."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument(data, type=Path, default=_BENCHMARKS / "data", help="folder of the files")
    text = "measure npyfast without its native extension too"
    made.add_argument("--allow-numpy-backend", action="store_true", help=text)
    return made


def add_contenders(made: argparse.ArgumentParser, keys: Sequence[str], name: str) -> None:
    """Options of the benchmarks that compare contenders and write results/NAME.json and .png."""
    made.epilog = "Contenders: " + "; ".join(f"{key}: {CONTENDERS[key].label}" for key in keys)
    several(made, "--contenders", keys, keys)
    add = made.add_argument
    add("--check", action="store_true", help="only check the contenders' rows")
    add("--json", type=Path, default=RESULTS / f"{name}.json")
    add("--plot", type=Path, default=RESULTS / f"{name}.png")


def several(
    made: argparse.ArgumentParser,
    option: str,
    default: Sequence[Any],
    allowed: Sequence[Any] = (),
    read: Callable[[str], Any] = str,
) -> None:
    """An option with comma-separated values: of `allowed`, or any that `read` takes."""

    def parse(text: str) -> list[Any]:
        values = [read(each) for each in text.split(",")]
        for value in values:
            if allowed and value not in allowed:
                raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(allowed)}")
        return values

    shown = "all" if default == allowed else ",".join(map(str, default))
    text = f"comma-separated; default: {shown}"
    made.add_argument(option, type=parse, default=list(default), help=text)


def begin(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Describes the machine; exits with status 2 where npyfast is not to be measured."""
    refusal = machine.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        stop(refusal)
    description = machine.describe(data)
    report.console().print(machine.summary(description))
    return description


def stop(reason: object) -> None:
    print(reason, file=sys.stderr)
    sys.exit(2)


def finish(
    options: argparse.Namespace, content: dict[str, Any], wanted: Sequence[targets.Target]
) -> None:
    """Prints the targets; writes the JSON and the plot."""
    report.console().print(targets.table(wanted))
    content["targets"] = [each.as_json() for each in wanted]
    report.write_json(content, options.json)
    if options.plot is not None and (content.get("devices", True) or content.get("later")):
        plot(content, options.plot)
