"""What the command lines have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before anything imports TensorFlow: its messages would tear the progress bar apart, and a GPU has
# nothing to do here but takes time and memory to start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from harness import machine, report
from harness.contender import Contender

_BENCHMARKS = Path(__file__).resolve().parents[1]
RESULTS = _BENCHMARKS / "results"


def parser(description: str | None, *, data: str = "--data") -> argparse.ArgumentParser:
    """Options of every benchmark that measures npyfast on files."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument(data, type=Path, default=_BENCHMARKS / "data", help="folder of the files")
    made.add_argument(
        "--allow-numpy-backend",
        action="store_true",
        help="measure npyfast without its native extension too",
    )
    return made


def add_contenders(made: argparse.ArgumentParser, contenders: Sequence[Contender]) -> None:
    keys = [each.key for each in contenders]
    made.epilog = "Contenders: " + "; ".join(f"{each.key}: {each.label}" for each in contenders)
    several(made, "--contenders", keys)
    made.add_argument("--check", action="store_true", help="only check the contenders' rows")


def several(
    made: argparse.ArgumentParser,
    option: str,
    allowed: Sequence[Any],
    default: Sequence[Any] | None = None,
    read: Callable[[str], Any] | None = None,
) -> None:
    """An option with comma-separated values: of `allowed`, or what `read` takes."""

    def parse(text: str) -> list[Any]:
        if read is not None:
            return [read(each) for each in text.split(",")]
        for value in text.split(","):
            if value not in allowed:
                raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(allowed)}")
        return text.split(",")

    chosen = list(allowed if default is None else default)
    shown = "all" if default is None else ",".join(map(str, chosen))
    made.add_argument(option, type=parse, default=chosen, help=f"comma-separated; default: {shown}")


def begin(options: argparse.Namespace, data: Path) -> dict[str, Any] | None:
    """Describes the machine, or says why npyfast is not to be measured and returns None."""
    refusal = machine.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return None
    description = machine.describe(data)
    report.console().print(machine.summary(description))
    return description
