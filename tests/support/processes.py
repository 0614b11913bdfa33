"""Scripts that run in a Python of their own, because they fork, are interrupted, or end it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import IO, Any

# Of a script that hangs, and so fails.
TIMEOUT = 120


def start(script: str, *arguments: Any, backend: str, **variables: str) -> subprocess.Popen[str]:
    """Starts a script. It finds what this process finds, with this backend; warnings are errors."""
    command = ["-X", "faulthandler", "-W", "error", "-c", textwrap.dedent(script), *arguments]
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
        raise AssertionError(f"the script hangs, after it wrote:\n{out}\n{err}") from None
    assert process.returncode == status, f"status {process.returncode}:\n{out}\n{err}"
    return out.strip(), err.strip()


def run(script: str, *arguments: Any, backend: str, **variables: str) -> str:
    """Runs a script that ends well and writes nothing to stderr; returns what it wrote."""
    out, err = finish(start(script, *arguments, backend=backend, **variables))
    assert err == ""
    return out
