"""Iterations that end early, go wrong, are shared, interrupted, or forked."""

from __future__ import annotations

import gc
import importlib
import signal
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import expected
import numpy as np
import processes
import pytest
from expected import assert_same, assert_same_batches
from samples import Save

import npyfast

X = np.arange(4000 * 16, dtype="f4").reshape(4000, 16)


def pool_bytes() -> tuple[int, int]:
    used, free = importlib.import_module("npyfast._core").pool_bytes()
    return used, free


def threads_of(name: str) -> int:
    return sum(
        (task / "comm").read_text().strip() == name for task in Path("/proc/self/task").iterdir()
    )


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.usefixtures("backend")
class TestEnd:
    def test_the_end_stays_the_end(self, save: Save) -> None:
        stream = iter(npyfast.batches(save(X), 1000))
        assert len(list(stream)) == 4
        for _ in range(3):
            with pytest.raises(StopIteration):
                next(stream)

    def test_an_iterator_iterates_itself(self) -> None:
        stream = iter(npyfast.batches(X, 1000))
        assert iter(stream) is stream

    def test_close_ends_the_iteration(self, save: Save) -> None:
        stream: Any = iter(npyfast.batches(save(X), 10, True, epochs=-1))
        kept = next(stream)
        before = kept.copy()
        stream.close()
        for _ in range(2):
            with pytest.raises(StopIteration):
                next(stream)
        stream.close()
        assert_same(kept, before)

    def test_close_of_a_transformed_stream(self) -> None:
        stream: Any = iter(npyfast.batches(X, 10, epochs=-1, transform=lambda x: x))
        next(stream)
        stream.close()
        assert list(stream) == []

    def test_leaving_early_a_thousand_times(self, save: Save) -> None:
        made = npyfast.batches(save(X), 10, True, seed=1, epochs=-1)
        wanted = X[expected.epoch_batches(4000, batch_size=10, seed=1)[0]]
        for _ in range(1000):
            for batch in made:
                assert_same(batch, wanted)
                break

    def test_no_garbage_is_left(self, save: Save) -> None:
        made = npyfast.batches((save(X), X), 10, epochs=-1, transform=lambda xy: xy)
        dead = weakref.ref(made)
        stream = iter(made)
        next(stream)
        gc.disable()
        try:
            del stream, made
            assert dead() is None
        finally:
            gc.enable()

    def test_a_batch_outlives_everything(self, save: Save) -> None:
        batch = next(iter(npyfast.batches(save(X), 10)))
        gc.collect()
        assert_same(batch, X[:10])

    def test_sources_in_memory_are_let_go(self) -> None:
        memory = np.zeros((100, 3))
        dead = weakref.ref(memory)
        stream = iter(npyfast.batches(memory, 10, epochs=-1))
        next(stream)
        del memory
        assert dead() is not None
        del stream
        gc.collect()
        assert dead() is None


@pytest.mark.usefixtures("backend")
class TestErrors:
    def test_an_error_of_transform_is_no_end(self) -> None:
        calls = 0

        def transform(batch: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise ZeroDivisionError("the second")
            return batch

        stream = iter(npyfast.batches(X, 1000, transform=transform))
        assert_same(next(stream), X[:1000])
        with pytest.raises(ZeroDivisionError, match="the second"):
            next(stream)
        assert_same(next(stream), X[2000:3000])

    def test_keyboard_interrupt_in_transform(self) -> None:
        def transform(batch: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(npyfast.batches(X, transform=transform))


@pytest.mark.usefixtures("backend")
def test_several_threads_share_one_stream(save: Save) -> None:
    stream = iter(npyfast.batches(save(np.arange(100_000)), 7, True, seed=1))
    parts: list[list[Any]] = [[] for _ in range(6)]

    def read(part: list[Any]) -> None:
        part.extend(stream)

    threads = [threading.Thread(target=read, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = np.sort(np.concatenate([batch for part in parts for batch in part]))
    assert got.tolist() == list(range(100_000))
    # Each reader has its batches in the order of the stream.
    place = {
        rows.tobytes(): i
        for i, rows in enumerate(expected.epoch_batches(100_000, batch_size=7, seed=1))
    }
    for part in parts:
        places = [place[batch.tobytes()] for batch in part]
        assert places == sorted(places)


@pytest.mark.usefixtures("backend")
def test_closed_by_another_thread_while_it_is_read(save: Save) -> None:
    path = save(X)
    for _ in range(20):
        stream: Any = iter(npyfast.batches(path, 10, True, epochs=-1))
        reader = threading.Thread(target=lambda stream=stream: [None for _ in stream])
        reader.start()
        time.sleep(0.005)
        stream.close()
        reader.join(30)
        assert not reader.is_alive()


@pytest.mark.usefixtures("backend")
def test_many_streams_at_once(save: Save) -> None:
    path = save(X)
    streams = [iter(npyfast.batches(path, 500, True, seed=seed)) for seed in range(100)]
    wanted = [expected.epoch_batches(4000, batch_size=500, seed=seed) for seed in range(100)]
    for batch in range(8):
        for seed, stream in enumerate(streams):
            assert_same(next(stream), X[wanted[seed][batch]])


@pytest.mark.usefixtures("backend")
def test_many_threads_with_a_stream_each(save: Save) -> None:
    path = save(X)
    failures = []

    def read(seed: int) -> None:
        try:
            for epoch in range(3):
                assert_same_batches(
                    npyfast.batches(path, 90, True, seed=seed, start_epoch=epoch),
                    X,
                    expected.epoch_batches(4000, batch_size=90, seed=seed, epoch=epoch),
                )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_threads_are_few_and_stay(native: None, save: Save) -> None:
    path = save(X)
    list(npyfast.batches(path, 10, threads=3))
    time.sleep(0.2)  # a thread takes its name when it first runs
    before = threads_of("npyfast")
    assert before >= 2
    # Where others keep the CPUs busy, a stream that gets no thread for 20 ms asks for one more.
    most = before + 10
    streams = [iter(npyfast.batches(path, 10, threads=3, epochs=-1)) for _ in range(50)]
    for stream in streams:
        next(stream)
    assert before <= threads_of("npyfast") <= most
    del streams, stream
    for _ in range(200):
        next(iter(npyfast.batches(path, 10, threads=3)))
    assert before <= threads_of("npyfast") <= most


def test_all_memory_comes_back_to_the_pool(native: None, save: Save) -> None:
    gc.collect()
    used = pool_bytes()[0]
    paths = save(X), save(X)
    for count in range(100):
        stream = iter(npyfast.batches(paths, 100, True, epochs=-1))
        kept = [next(stream) for _ in range(1 + count % 7)]
        assert pool_bytes()[0] > used
        del stream, kept
        # At once: no thread of the stream is left that holds a batch.
        assert pool_bytes()[0] == used


@pytest.mark.usefixtures("backend")
@pytest.mark.slow
def test_nothing_leaks(save: Save) -> None:
    path = save(X)

    def work() -> None:
        for _ in range(60):
            rows = npyfast.open([path, path])
            rows[[5, 3, 1]]
            with pytest.raises(IndexError):
                rows.gather([1, 10**9])
            made = npyfast.batches({"a": path, "b": (X, path)}, 500, True, epochs=2)
            for _batch in made:
                pass
            next(iter(made))
            with pytest.raises(npyfast.NpyFormatError):
                npyfast.open(__file__)

    for _ in range(2):
        work()
    gc.collect()
    files, resident = len(list(Path("/proc/self/fd").iterdir())), resident_bytes()
    for _ in range(5):
        work()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    # Of 300 rounds: a leaked batch, mapping or header in each would be several times more.
    assert resident_bytes() - resident < 4 << 20


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("batch_rows", [10, 4000])
def test_control_c(save: Save, backend: str, batch_rows: int) -> None:
    process = processes.start(
        "read_until_interrupted.py",
        save(X),
        batch_rows,
        backend=backend,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    assert processes.finish(process)[0] == "interrupted"


@pytest.mark.usefixtures("interruptible")
def test_control_c_while_waiting_for_a_batch(native: None, tmp_path: Path) -> None:
    # Batches of 2 GiB from a file without blocks: the first takes much longer than this test.
    path = tmp_path / "sparse.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**11)}
        )
        file.truncate(file.tell() + 2**31)
    process = processes.start(
        "wait_until_interrupted.py",
        path,
        backend="native",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert processes.finish(process)[0] == "interrupted"


ENDS = [
    *("returns", "sys.exit", "os._exit", "kept by a module", "read at the exit", "in a cycle"),
    *("read by a thread", "read by daemons", "rows read by a daemon"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.slow
def test_the_interpreter_ends_with_a_live_stream(save: Save, backend: str, end: str) -> None:
    for _ in range(5 if "daemon" in end else 1):  # some ends are a matter of luck
        out = processes.run("end_while_reading.py", save(X), end, "plain", backend=backend)
        assert out == "reading"


@pytest.mark.parametrize(
    "way", [*processes.FORKS, "rows", "at_any_moment", "while_another_thread_reads"]
)
def test_fork(save: Save, backend: str, way: str) -> None:
    processes.run("fork_while_reading.py", save(X), way, "plain", backend=backend)


def test_multiprocessing_fork(save: Save, backend: str) -> None:
    processes.run(
        "multiprocessing_fork.py",
        save(X),
        backend=backend,
    )
