"""Ctrl-C: whoever catches it and reads on gets each batch once, and nothing hangs or is lost."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from interrupts import Injector
from samples import Save

import npyfast
from npyfast._nest import map_nest

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

Y = np.arange(53)

# Of those at which opening a file is interrupted; at all of them it takes minutes.
MOMENTS = int(os.environ.get("NPYFAST_TEST_MOMENTS", "40"))

by_one_or_more = pytest.mark.parametrize("threads", [1, 2])


def values(batch: Any) -> Any:
    """A batch without arrays, which can't be compared as a whole."""
    return map_nest(lambda array: np.asarray(array).tolist(), batch)


def delivered(stream: Any, batches: int) -> int:
    """How much a stream has delivered, or an iterator of so many batches in an epoch."""
    if isinstance(stream, npyfast.BatchIterator):
        epoch, batch = stream.position
        return epoch * batches + batch
    return int(stream.position)


def read_with_interrupts(make: Callable[[], Any]) -> int:
    """Reads streams, each of which is interrupted once, at another moment; tells how many."""
    wanted = [values(batch) for batch in make()]
    for moment in itertools.count():
        injector = Injector(moment)
        stream = make()
        got: list[Any] = []
        for step in [functools.partial(next, stream, None)] * (len(wanted) + 2) + [stream.close]:
            try:
                result = injector.call(step)
            except KeyboardInterrupt:
                result = injector.call(step)  # will be interrupted no more
            if result is not None:
                got.append(result)
            assert delivered(stream, len(wanted)) == len(got), injector.place
        assert [values(batch) for batch in got] == wanted, injector.place
        assert next(stream, None) is None
        if not injector.is_done:
            return moment
    raise AssertionError("there is a last moment")


@pytest.mark.slow
class TestAtEachMoment:
    @by_one_or_more
    def test_of_a_transform(self, save: Save, backend: str, threads: int) -> None:
        made = npyfast.batches(
            (save(Y), save(-Y)),
            20,
            epochs=1,
            transform=lambda element: {"y": np.negative(element[0])},
            transform_threads=threads,
        )
        assert read_with_interrupts(lambda: iter(made)) > 10 * threads

    def test_of_a_transform_where_no_thread_starts(
        self, save: Save, backend: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(*arguments: Any) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("_thread.start_new_thread", start)
        made = npyfast.batches(save(Y), 20, epochs=1, transform=np.negative, transform_threads=2)
        assert read_with_interrupts(lambda: iter(made)) > 20

    def test_of_batches(self, save: Save, backend: str) -> None:
        made = npyfast.batches(save(Y), 20, epochs=1)
        # On the native backend only close() has any such moment.
        assert read_with_interrupts(lambda: iter(made)) > (10 if backend == "numpy" else 0)

    def test_of_packing_a_nest(self, save: Save, backend: str) -> None:
        made = npyfast.batches({"x": (save(Y),), "y": save(-Y)}, 20, epochs=1)
        assert read_with_interrupts(lambda: iter(made)) > 10

    def test_of_groups_of_batches(self, save: Save, backend: str) -> None:
        """As the generator engine asks for them."""
        batching = npyfast.batches({"y": (save(Y),)}, 8, epochs=1)._batching
        assert read_with_interrupts(lambda: batching.stream(batching.run, group=4)) > 10


def _files_held(below: Path) -> list[str]:
    """Files below a folder that this process has open or mapped."""
    folder = "/proc/self/fd"
    held = []
    for number in os.listdir(folder):
        with suppress(FileNotFoundError):  # the one that lists them
            held.append(os.readlink(f"{folder}/{number}"))
    with open("/proc/self/maps") as maps:
        held += [line.split(maxsplit=5)[5].rstrip() for line in maps if "/X." in line]
    return sorted(name for name in held if name.startswith(f"{below}/"))


@pytest.fixture(params=["npy", "npz", "h5", "raw"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    path = tmp_path / f"X.{request.param}"
    if request.param == "npy":
        np.save(path, Y)
    elif request.param == "npz":
        np.savez(path, a=Y, b=Y)
    elif request.param == "raw":
        Y.tofile(path)
        return npyfast.source(str(path), dtype="int64", shape=(-1,))
    else:
        import h5py

        with h5py.File(path, "w") as made:
            made["a"] = made["b"] = Y
    return str(path)


# Of a file that is closed as it is dropped, and of finalizers of half-made objects of zipfile.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("use", [npyfast.split, npyfast.batches, npyfast.open])
def test_no_file_stays_open(
    file: Any, backend: str, use: Callable[[Any], Any], tmp_path: Path
) -> None:
    if use is npyfast.open and isinstance(file, str) and not file.endswith("npy"):
        file = npyfast.source(file, key="b")
    use(file)
    gc.collect()
    assert _files_held(tmp_path) == []
    injector = Injector(sys.maxsize)
    injector.call(lambda: use(file))
    moments = sys.maxsize - injector.left
    assert moments > 20
    for moment in range(0, moments, max(1, moments // MOMENTS)):
        injector = Injector(moment)
        with suppress(KeyboardInterrupt):
            injector.call(lambda: use(file))
        assert _files_held(tmp_path) == [], injector.place


@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.slow
def test_by_a_hundred_signals(save: Save, backend: str, threads: int) -> None:
    assert (
        processes.run(
            "read_with_a_hundred_signals.py", save(np.arange(5000)), threads, backend=backend
        )
        == ""
    )


def _interrupted(backend: str, after: float, *arguments: str) -> None:
    process = processes.start("endless_transform.py", *arguments, backend=backend)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = processes.finish(process, -signal.SIGINT)
    assert err.endswith("KeyboardInterrupt")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("after", [0, 0.003, 0.01])
def test_one_signal_ends_the_process(backend: str, after: float) -> None:
    _interrupted(backend, after)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.slow
def test_calls_that_hang_do_not_keep_the_process(backend: str) -> None:
    _interrupted(backend, 0.1, "hangs")
    assert processes.run("endless_transform.py", "hangs", "once", backend=backend) == "reading"
