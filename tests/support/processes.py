"""Programs that run in a Python of their own, because they fork, are interrupted, or end it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from deadlines import SECONDS

PROGRAMS = Path(__file__).parent / "programs"

# Ways of fork_while_reading.py, with a transform or without.
FORKS = [
    *("both_go_on", "the_child_begins_anew", "the_child_drops_what_it_inherited"),
    *("a_child_of_a_child", "a_state", "a_closed_stream_stays_closed"),
]

# Of a program that hangs, and so fails. On a busy machine, TensorFlow alone takes minutes to start.
TIMEOUT = 2 * SECONDS


def start(program: str, *arguments: Any, backend: str, **variables: str) -> subprocess.Popen[str]:
    """Starts one of the programs, with this backend. Warnings are errors."""
    command = ["-X", "faulthandler", "-W", "error", PROGRAMS / program, *arguments]
    return start_python(*command, NPYFAST_BACKEND=backend, **variables)


def start_python(
    *arguments: Any, stderr: int | IO[bytes] = subprocess.PIPE, **variables: str
) -> subprocess.Popen[str]:
    """Starts Python with these arguments. It finds what this process finds."""
    environment = {**os.environ, **variables}
    # Beyond the installed packages, this process may have found npyfast by a path.
    found = [variables.get("PYTHONPATH", ""), *sys.path]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in found if path)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def finish(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    """Waits for the end; returns what was written to stdout and stderr, each stripped."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the program hangs, after it wrote:\n{out}\n{err}") from None
    assert process.returncode == status, f"status {process.returncode}:\n{out}\n{err}"
    return out.strip(), err.strip()


def run(program: str, *arguments: Any, backend: str, **variables: str) -> str:
    """Runs a program that ends well and writes nothing to stderr; returns what it wrote."""
    out, err = finish(start(program, *arguments, backend=backend, **variables))
    assert err == ""
    return out
