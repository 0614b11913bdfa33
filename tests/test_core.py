"""The C++ tests of the core, built from the source tree and run as one Python test.

`NPYFAST_TEST_SANITIZE=address,undefined` builds them with these sanitizers of the compiler.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from backends import BACKENDS

ROOT = Path(__file__).resolve().parents[1]


def find_tool(name: str) -> str | None:
    """Path of a program that pip installed beside this Python, or of the system's."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    return shutil.which(name, path=path)


def run(*command: str | Path) -> None:
    """Runs a command; where it fails, fails the test with what it printed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}", pytrace=False)


@pytest.fixture(scope="session")
def core_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tests of the core in it, built for release or with sanitizers."""
    if "native" not in BACKENDS:
        pytest.skip("NPYFAST_TEST_BACKENDS leaves the native backend out")
    cmake = find_tool("cmake")
    assert cmake is not None, "needs cmake: pip install cmake ninja"
    build = tmp_path_factory.mktemp("core")
    ninja = find_tool("ninja")
    generator = [] if ninja is None else ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    sanitizers = os.environ.get("NPYFAST_TEST_SANITIZE", "")
    kind = "RelWithDebInfo" if sanitizers else "Release"
    options = [f"-DCMAKE_BUILD_TYPE={kind}", f"-DNPYFAST_SANITIZE={sanitizers}"]
    options += ["-DNPYFAST_BUILD_TESTS=ON", "-DNPYFAST_BUILD_PYTHON=OFF"]
    run(cmake, "-S", ROOT, "-B", build, *generator, *options)
    run(cmake, "--build", build, "--parallel", "2")
    return build


@pytest.mark.slow
@pytest.mark.timeout(3000)  # it builds all of the C++ tests, for sanitizers perhaps
def test_core(core_build: Path) -> None:
    ctest = find_tool("ctest")
    assert ctest is not None, "there is a cmake, and its ctest is missing"
    run(ctest, "--test-dir", core_build, "--output-on-failure", "--timeout", "600", "-j", "2")
