"""Whether every contender hands out the rows of the file, each once an epoch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from cold.child import Task
from cold.data import RowSize, make
from cold.entries import Entry
from cold.process import command, environment

_ROWS = 1000  # no multiple of any batch: the short last batch counts


def check(
    entries: Sequence[Entry], sizes: Sequence[RowSize], folder: Path
) -> Iterator[tuple[Entry, str, bool | None]]:
    """Runs one epoch of short files in a fresh process each; yields what was found.

    None stands for a contender that is not installed.
    """
    files = []
    for size in sizes:
        workload = size.workload(_ROWS * size.row_bytes)
        path = make(workload, folder)
        files.append((size.name, str(path), workload.rows, list(size.shape), size.batch))
    for entry in entries:
        done = subprocess.run(
            command(Task("check", entry.key, files)),
            input="go\n",
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        yield (entry, *_verdict(done))


def _verdict(done: subprocess.CompletedProcess[str]) -> tuple[str, bool | None]:
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word != "result":
            continue
        result = json.loads(rest)
        if "problem" in result:
            return result["problem"], None if result.get("unavailable") else False
        wrong = result["wrong"]
        text = "; ".join(f"{name}: {found}" for name, found in wrong.items())
        return text or "the rows of np.load", not wrong
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return f"ended with status {done.returncode}: {last[0]}", False
