"""A disk that is slow to answer, or does not: a library that stands between a script and the C
library, and has calls wait that open or look at files of a folder."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest
from processes import PROGRAMS


@functools.cache
def library() -> str:
    """The library, for LD_PRELOAD; skips the test where nothing can compile it."""
    named = (sysconfig.get_config_var("CC") or "").split()[:1]
    compiler = next(filter(None, map(shutil.which, [*named, "cc", "gcc", "g++", "clang"])), None)
    if compiler is None:
        pytest.skip("no compiler")
    folder = Path(tempfile.mkdtemp(prefix="npyfast-slow-"))
    made = folder / "slow.so"
    flags = ["-shared", "-fPIC", "-O1", "-w", "-x", "c"]
    subprocess.run(
        [compiler, *flags, PROGRAMS / "slow_disk.c", "-o", made, "-ldl"],
        check=True,
        capture_output=True,
    )
    return str(made)
