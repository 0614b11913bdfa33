"""What the Python tests share: each behaviour test runs once for each backend and engine.

`NPYFAST_TEST_BACKENDS=numpy` leaves the native backend out, for installations without a compiler;
`NPYFAST_TEST_TENSORFLOW=0` leaves TensorFlow out. Nothing is left out by itself: without these, a
missing extension or TensorFlow is a failure.

Keras, JAX and PyTorch are tested where they are installed. With `NPYFAST_TEST_PACKAGES=keras,torch`
these and no others are, and a missing one is a failure.
"""

from __future__ import annotations

import functools
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# TensorFlow's start writes a screenful, and asks for a GPU that no test needs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cached
import numpy as np
import pytest
from backends import BACKENDS, DELIVERIES, PACKAGES, TENSORFLOW, use_backend
from deadlines import wait_until
from hypothesis import HealthCheck, settings
from own_process import run_in_own_process
from samples import Dataset, Save
from transform_threads import collected, no_workers

import npyfast

_SOURCE_TREE = Path(__file__).resolve().parents[1]
if Path(npyfast.__file__).resolve().parents[1] == _SOURCE_TREE:
    raise pytest.UsageError(
        f"the tests are for the installed package, but npyfast was imported from {_SOURCE_TREE}: "
        "install it, and start pytest by its command rather than by `python -m pytest`"
    )

# As many variants of each test run without `-m slow`.
_QUICK_VARIANTS = 6

collect_ignore = []
if "native" not in BACKENDS:
    collect_ignore += [
        "order/test_order.py",
        "order/test_block_order.py",
    ]  # compare the backends' orders
if not TENSORFLOW:
    collect_ignore += ["dataset"]
collect_ignore += [name for name in ("keras", "jax", "torch") if name not in PACKAGES]

settings.register_profile("default", deadline=None)
# The same examples at each run: a red build is the fault of a change.
settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=100, database=None, print_blob=True
)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=3000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_report_header() -> list[str]:
    left_out = [] if TENSORFLOW else ["TensorFlow, by NPYFAST_TEST_TENSORFLOW=0"]
    if "native" not in BACKENDS:
        left_out.append("the native backend, by NPYFAST_TEST_BACKENDS")
    return [
        f"npyfast: {npyfast.__version__} in {Path(npyfast.__file__).parent}",
        f"packages: {', '.join(PACKAGES) or 'none'} of keras, jax, torch",
        f"backends: {', '.join(BACKENDS)}; left out: {'; '.join(left_out) or 'nothing'}",
    ]


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with many variants, marks all but a few as slow: always the same ones, chosen
    without regard to the order of the parameters, so that no value of one is favoured."""
    variants: dict[str, list[pytest.Item]] = {}
    for item in items:
        variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for several in variants.values():
        several.sort(key=lambda item: hashlib.sha256(item.nodeid.encode()).digest())
        for item in several[_QUICK_VARIANTS:]:
            item.add_marker(pytest.mark.slow)


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: as many as there are CPUs that this process may use."""
    count: int | None = npyfast.build_info().get("usable_cpus")
    return min(count or os.cpu_count() or 1, 8)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return run_in_own_process(pyfuncitem) or None


@pytest.fixture
def interruptible() -> Iterator[None]:
    """For tests that send SIGINT: the process, and what it starts, does not ignore the signal.

    A shell without job control, and `nohup`, start background jobs that ignore it, and a process
    passes that on to its children. Python then installs no handler that raises KeyboardInterrupt.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """For tests that must end all threads of transforms that they start."""
    assert no_workers()
    yield
    wait_until(collected)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend that this process uses during the test; one after the other."""
    with use_backend(request.param):
        yield request.param


@pytest.fixture
def native() -> Iterator[None]:
    """For what only the native backend has; it must really be that."""
    if "native" not in BACKENDS:
        pytest.skip("NPYFAST_TEST_BACKENDS leaves the native backend out")
    with use_backend("native"):
        assert npyfast.backend == "native"
        yield


@pytest.fixture(params=DELIVERIES, ids="-".join)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an engine, while this process uses a backend that it works with."""
    backend, engine = request.param
    with use_backend(backend):
        assert npyfast.backend == backend
        yield engine


@pytest.fixture
def dataset(engine: str) -> Dataset:
    """`npyfast.dataset` by one engine after the other; each raises where it can't deliver."""
    return functools.partial(npyfast.dataset, engine=engine)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves arrays: `save(array)`, or `save(array, "name.npy")`, gives the path."""
    count = 0

    def save_array(array: Any, name: str | None = None) -> str:
        nonlocal count
        count += 1
        path = tmp_path / (name or f"array-{count}.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
        return str(path)

    return save_array


@pytest.fixture
def save_cold(save: Save) -> Save:
    """Saves arrays as `save` does; what the page cache holds would not be read directly."""

    def save_array(array: Any, name: str | None = None) -> str:
        path = save(array, name)
        cached.let_go(path)
        return path

    return save_array
