"""How the backend is chosen, what is said about it, and that TensorFlow is not imported."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import processes
import pytest
from backends import BACKENDS

import npyfast

PACKAGE = Path(npyfast.__file__).parent

PROGRAM = processes.PROGRAMS / "backend_in_use.py"


def run(*, path: Path | None = None, **variables: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a program that imports npyfast from `path`."""
    environment = {**os.environ, **variables}
    if "NPYFAST_BACKEND" not in variables:
        environment.pop("NPYFAST_BACKEND", None)
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(path or PACKAGE.parent), *filter(None, sys.path)]
    )
    done = subprocess.run(
        [sys.executable, PROGRAM],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=processes.TIMEOUT,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def without_core(tmp_path: Path) -> Path:
    """A folder with a package npyfast that has no extension."""
    shutil.copytree(
        PACKAGE,
        tmp_path / "npyfast",
        ignore=lambda _, names: [
            name for name in names if name.startswith("_core.") and name != "_core.pyi"
        ],
    )
    return tmp_path


@pytest.fixture
def with_broken_core(without_core: Path) -> Path:
    """A folder with a package npyfast whose extension cannot be loaded."""
    (without_core / "npyfast" / "_core.py").write_text(
        "raise ImportError('made for another Python')\n"
    )
    return without_core


def test_this_process_tests_the_native_backend(native: None) -> None:
    spec = importlib.util.find_spec("npyfast._core")
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).parent == PACKAGE
    assert spec.origin.endswith(".so")


@pytest.mark.parametrize("value", BACKENDS)
def test_the_backend_asked_for(value: str) -> None:
    status, out, err = run(NPYFAST_BACKEND=value)
    assert (status, err) == (0, "")
    assert out.startswith(f"{value} {value} NPYFAST_BACKEND={value} asks for it\n")


@pytest.mark.parametrize("variables", [{}, {"NPYFAST_BACKEND": "auto"}, {"NPYFAST_BACKEND": ""}])
def test_auto_takes_the_extension(native: None, variables: Any) -> None:
    status, out, err = run(**variables)
    assert (status, err) == (0, "")
    assert out.startswith("native native it is installed\n")


def test_an_unknown_backend() -> None:
    status, _, err = run(NPYFAST_BACKEND="cuda")
    assert status == 1
    assert "ValueError: NPYFAST_BACKEND must be auto, native or numpy, got 'cuda'" in err


def test_auto_falls_back_with_one_warning(without_core: Path) -> None:
    status, out, err = run(path=without_core)
    assert status == 0
    assert out.startswith("numpy numpy the extension npyfast._core cannot be imported")
    assert err.count("RuntimeWarning") == 1
    assert "npyfast copies with NumPy, several times slower, because the extension" in err
    assert "installing npyfast where a C++ compiler works builds it" in err
    line = PROGRAM.read_text().splitlines().index("import npyfast") + 1
    assert err.startswith(f"{PROGRAM}:{line}: RuntimeWarning")


def test_the_warning_says_what_is_wrong_with_the_extension(with_broken_core: Path) -> None:
    status, out, err = run(path=with_broken_core)
    assert status == 0
    assert out.startswith("numpy ")
    assert "cannot be imported (made for another Python)" in err


def test_the_fallback_gives_the_same_batches(native: None, without_core: Path) -> None:
    assert run(path=without_core)[1].splitlines()[1] == run()[1].splitlines()[1]


def test_numpy_asked_for_needs_no_extension_and_no_warning(without_core: Path) -> None:
    status, out, err = run(path=without_core, NPYFAST_BACKEND="numpy")
    assert (status, err) == (0, "")
    assert out.startswith("numpy numpy NPYFAST_BACKEND=numpy asks for it")


def test_native_asked_for_raises_without_the_extension(without_core: Path) -> None:
    status, _, err = run(path=without_core, NPYFAST_BACKEND="native")
    assert status == 1
    assert "ImportError: NPYFAST_BACKEND=native, but the extension npyfast._core cannot" in err


def test_a_source_tree_is_recognised(without_core: Path) -> None:
    (without_core / "CMakeLists.txt").touch()
    _, _, err = run(path=without_core)
    assert f"npyfast was imported from its source tree {without_core}, which holds no built" in err
    assert "start Python elsewhere to get the installed package" in err


def test_importing_npyfast_imports_no_tensorflow(backend: str) -> None:
    processes.run(
        "imports_no_tensorflow.py",
        backend=backend,
    )


def test_dataset_without_tensorflow_says_what_to_install(backend: str) -> None:
    processes.run(
        "dataset_without_tensorflow.py",
        backend=backend,
    )


@pytest.mark.usefixtures("backend")
def test_build_info(backend: str) -> None:
    info = npyfast.build_info()
    assert info["version"] == npyfast.__version__
    assert info["backend"] == backend == npyfast.backend
    assert info["engine"] == ("graph" if backend == "native" else "generator")
    assert info["order_version"] == info["block_order_version"] == 1
    for name in ("backend_reason", "engine_reason"):
        assert isinstance(info[name], str)
        assert info[name]


def test_build_info_of_the_extension(native: None) -> None:
    info = npyfast.build_info()
    assert info["compiler"].split()[0] in ("gcc", "clang")
    assert isinstance(info["flags"], str)
    assert isinstance(info["build_type"], str)
    assert 1 <= info["usable_cpus"] <= (os.cpu_count() or 1)
    assert info["direct_reads"] in ("io_uring", "aio", "threads")


def test_build_info_of_direct_reads(native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("threads", "off"):
        monkeypatch.setenv("NPYFAST_DIRECT_READS", value)
        assert npyfast.build_info()["direct_reads"] == value
    monkeypatch.setenv("NPYFAST_DIRECT_READS", "some")
    with pytest.raises(ValueError, match="NPYFAST_DIRECT_READS must be auto, off"):
        npyfast.build_info()


def test_usable_cpus_are_those_of_the_affinity(native: None) -> None:
    assert (
        processes.run(
            "cpus_of_an_affinity.py",
            backend="native",
        )
        == "1"
    )


def test_public_names() -> None:
    for name in npyfast.__all__:
        assert getattr(npyfast, name, None) is not None, name
    assert npyfast.__version__.count(".") >= 2
