"""Tests that measure their process run in one of their own: `@pytest.mark.own_process`.

Objects of earlier tests live on: TensorFlow keeps what its generators were given, and a failed test
keeps its variables. Their buffers, descriptors and threads would be counted too.
"""

from __future__ import annotations

import os

import processes
import pytest

# Set in a process that runs one test only.
_VARIABLE = "NPYFAST_TEST_IN_OWN_PROCESS"


def run_in_own_process(test: pytest.Function) -> bool:
    """Runs a marked test by a pytest of its own. False: the test is to be run here."""
    if test.get_closest_marker("own_process") is None or _VARIABLE in os.environ:
        return False
    process = processes.start_python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", "-n", "0"),
        *("-c", test.config.inipath, f"{test.config.rootpath}/{test.nodeid}"),
        **{_VARIABLE: "1"},
    )
    out, _ = processes.finish(process)
    if " skipped" in out.splitlines()[-1]:
        pytest.skip(f"in its own process:\n{out}")
    return True
