"""Runs a task in a fresh process, within a memory cgroup."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from cold.cgroup import MemoryGroup, memory_group
from cold.child import Task

_START_SECONDS = 180.0  # to import everything, from a cold disk


@dataclasses.dataclass
class Outcome:
    """What a process did: its result, or why there is none; and the memory it took."""

    result: dict[str, Any] | None = None
    problem: str | None = None
    unavailable: bool = False  # not installed, or not for this case
    killed: bool = False  # by the kernel, for memory
    anonymous_bytes: int = 0  # the highest, of the process and its children
    peak_bytes: int = 0  # page cache included


def run(task: Task, limit: int | None, longest: float, before_start: Callable[[], None]) -> Outcome:
    """Runs `task` with `limit` bytes of memory, for at most `longest` seconds.

    `before_start` is called when the process has imported what it needs.
    """
    with memory_group(limit) as group:
        task = dataclasses.replace(task, cgroup=str(group.processes))
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command(task),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(),
            )
            watch = _Watch(process, group)
            outcome = Outcome()
            try:
                _converse(process, watch, outcome, longest, before_start)
            finally:
                watch.stop()
            outcome.anonymous_bytes = watch.anonymous_bytes
            outcome.peak_bytes = group.peak_bytes()
            if group.kills():
                outcome.killed = True
                outcome.problem, outcome.result = "killed for memory", None
            elif outcome.result is None and outcome.problem is None:
                errors.seek(0)
                outcome.problem = _why(process, watch, errors.read(), longest)
    return outcome


def command(task: Task) -> list[str]:
    """The command line of a process that does `task`."""
    return [sys.executable, sys.argv[0], "--child", json.dumps(dataclasses.asdict(task))]


def environment() -> dict[str, str]:
    """Without a GPU: there is nothing for it to do, and starting it takes memory."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**os.environ, **quiet, "PYTHONWARNINGS": "ignore"}


def _converse(
    process: subprocess.Popen[str],
    watch: _Watch,
    outcome: Outcome,
    longest: float,
    before_start: Callable[[], None],
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        word, _, rest = line.partition(" ")
        if word.strip() == "ready":
            before_start()
            watch.deadline = time.monotonic() + longest
            process.stdin.write("go\n")
            process.stdin.flush()
        elif word == "result":
            outcome.result = json.loads(rest)
            # Its workers may hold the pipe open.
            break
    if outcome.result is None:
        process.wait()
    elif "problem" in outcome.result:
        outcome.problem = outcome.result["problem"]
        outcome.unavailable = outcome.result.get("unavailable", False)
        outcome.result = None


def _why(process: subprocess.Popen[str], watch: _Watch, errors: str, longest: float) -> str:
    if watch.expired:
        return f"not done in {longest:.0f} s"
    last = errors.strip().splitlines()[-1:] or ["no message"]
    return f"ended with status {process.returncode}: {last[0]}"


class _Watch(threading.Thread):
    """Looks at a cgroup's memory every now and then; kills the process at its deadline."""

    def __init__(self, process: subprocess.Popen[str], group: MemoryGroup) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._group = group
        self._stopped = threading.Event()
        self.anonymous_bytes = 0
        self.deadline = time.monotonic() + _START_SECONDS
        self.expired = False
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            self.anonymous_bytes = max(self.anonymous_bytes, self._group.anonymous_bytes())
            if time.monotonic() > self.deadline and not self.expired:
                self.expired = True
                # Its workers too: they hold the pipe open that the parent reads.
                self._group.kill()

    def stop(self) -> None:
        """Ends the process too, if it has not ended yet."""
        self._stopped.set()
        self.join()
        self._process.kill()
        self._process.wait()
