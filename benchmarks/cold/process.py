"""A task in a fresh process, within a memory cgroup.

The process imports nothing but this before it has joined its cgroup, so that all its memory counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cold.cgroup import MemoryGroup

_START_SECONDS = 180.0  # to import everything, from a cold disk


@dataclasses.dataclass
class Outcome:
    """What a process did: its result, or why there is none; and the memory it took."""

    result: Any = None
    problem: str | None = None
    killed: bool = False  # by the kernel, for memory
    anonymous_bytes: int = 0  # the highest, of the process and its children
    peak_bytes: int = 0  # page cache included
    # About once a second, in bytes: resident, page tables, anonymous, of the cgroup.
    memory: list[dict[str, int]] = dataclasses.field(default_factory=list)

    def highest(self, field: str) -> int:
        return max((each[field] for each in self.memory), default=0)

    def add(self, pid: int | None, group: MemoryGroup) -> None:
        """Samples the memory of the process and its cgroup."""
        sample = {"cgroup": group.usage_bytes(), "anonymous": group.anonymous_bytes()}
        with contextlib.suppress(OSError):  # it has ended
            status = Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines())
            names = {"VmRSS": "resident", "VmPTE": "page_tables", "RssAnon": "anonymous"}
            for name, ours in names.items():
                kib = int(fields.get(name, "0").split()[0])
                sample[ours] = max(sample.get(ours, 0), kib << 10)
            if "VmRSS" in fields and time.monotonic() > self._next_sample:
                self._next_sample = time.monotonic() + 1
                self.memory.append(sample)
        self.anonymous_bytes = max(self.anonymous_bytes, sample["anonymous"])
        self.peak_bytes = group.peak_bytes()

    _next_sample: float = 0.0


def run(
    limit: int | None,
    longest: float,
    before_start: Callable[[], object],
    function: Callable[..., Any],
    *arguments: object,
) -> Outcome:
    """Runs function(ready, *arguments) with `limit` bytes of memory, for at most `longest` seconds.

    With None as the limit, it runs in no cgroup of its own.
    The function calls ready() when it has imported what it needs; ready() returns after
    `before_start` has run here.
    """
    from cold.cgroup import NoGroup, memory_group

    outcome = Outcome()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    place = contextlib.nullcontext(NoGroup()) if limit is None else memory_group(limit)
    with place as group, tempfile.NamedTemporaryFile("r") as output:
        call = pickle.dumps((function, arguments))
        of_child = (theirs, str(group.processes), output.name, call)
        process = context.Process(target=_child, args=of_child)
        process.start()
        theirs.close()
        deadline = time.monotonic() + _START_SECONDS
        while outcome.result is None and outcome.problem is None:
            outcome.add(process.pid, group)
            if ours.poll(0.05):
                try:
                    what, value = ours.recv()
                except EOFError:
                    what, value = "problem", _why(process, output.read())
                if what == "ready":
                    before_start()
                    deadline = time.monotonic() + longest
                    ours.send("go")
                else:
                    setattr(outcome, what, value)
            elif not process.is_alive():  # its workers may hold the pipe open
                outcome.problem = _why(process, output.read())
            elif time.monotonic() > deadline:
                outcome.problem = f"not done in {longest:.0f} s"
        outcome.peak_bytes = group.peak_bytes()
        if limit is None and outcome.problem is not None:
            process.kill()  # what a cgroup's end does
        if group.kills():
            outcome.killed, outcome.problem, outcome.result = True, "killed for memory", None
    process.join()
    return outcome


def _why(process: Any, output: str) -> str:
    process.join(5)
    last = output.strip().splitlines()[-1:] or ["no message"]
    return f"ended with status {process.exitcode}: {last[0]}"


def _child(connection: Connection, cgroup: str, output: str, call: bytes) -> None:
    Path(cgroup).write_text(str(os.getpid()))
    log = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def ready() -> None:
        connection.send(("ready", None))
        connection.recv()

    from harness.contender import UnavailableError, describe

    function, arguments = pickle.loads(call)
    try:
        message = ("result", function(ready, *arguments))
    except UnavailableError as reason:
        message = ("problem", str(reason))
    except Exception as error:
        message = ("problem", describe(error))
    connection.send(message)
    # Without waiting for the threads and workers of others: the cgroup's end kills them.
    os._exit(0)
