"""The option `transform` of `npyfast.batches`, by one thread and by several."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import expected
import numpy as np
import processes
import pytest
from deadlines import SECONDS, wait_until
from expected import assert_same
from samples import Save, random_array
from transform_threads import no_workers, workers

import npyfast

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

X = np.arange(103 * 3, dtype="i4").reshape(103, 3)
Y = np.arange(103)

every_backend = pytest.mark.usefixtures("backend")
by_threads = pytest.mark.parametrize("threads", [2, 5])
by_one_or_more = pytest.mark.parametrize("threads", [1, 3])


class Gate:
    """A transform whose calls all wait until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._elements: list[Any] = []

    @property
    def begun(self) -> int:
        return len(self._elements)

    def __call__(self, element: Any) -> Any:
        self._elements.append(element)
        assert self._open.wait(SECONDS)
        return element

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


def outcomes(stream: Iterator[Any], count: int) -> list[Any]:
    """What so many reads give: batches, errors with their text, and the end."""

    def outcome() -> Any:
        try:
            return next(stream).tolist()
        except BaseException as error:
            return type(error), str(error)

    return [outcome() for _ in range(count)]


@every_backend
class TestOrder:
    @by_threads
    @pytest.mark.parametrize("seed", range(5))
    def test_whichever_is_ready_first(self, save: Save, threads: int, seed: int) -> None:
        # Of as many batches as there are threads, each waits for another one, in random order.
        count = 100
        random = np.random.default_rng(seed)
        done = [threading.Event() for _ in range(count)]
        waits_for: dict[int, int] = {}
        for first in range(0, count, threads):
            order = first + random.permutation(min(threads, count - first))
            waits_for.update(zip(order[1:].tolist(), order[:-1].tolist(), strict=True))
        finished = []

        def transform(y: Any) -> Any:
            batch = int(y[0]) // 2
            if batch in waits_for:
                assert done[waits_for[batch]].wait(SECONDS)
            finished.append(batch)
            done[batch].set()
            return y + 1000

        path = save(np.arange(2 * count))
        made = npyfast.batches(path, 2, transform=transform, transform_threads=threads)
        assert [y.tolist() for y in made] == [[1000 + i, 1001 + i] for i in range(0, 200, 2)]
        assert finished != sorted(finished) == list(range(count))

    @pytest.mark.parametrize(
        "options",
        [
            {"shuffle": True, "epochs": 3},
            {"epochs": 2, "start_epoch": 5, "start_batch": 4, "shuffle": True},
            {"shard": (1, 3)},
            {"rows": slice(90, 10, -2), "drop_remainder": True},
            {"rows": []},
            {"batch_size": 200},
            {"shuffle": npyfast.BlockShuffle(4, 20), "readahead": "off", "threads": 1},
        ],
        ids=str,
    )
    @by_threads
    def test_the_batches_of_one_thread(
        self, save: Save, threads: int, options: dict[str, Any]
    ) -> None:
        def transform(element: tuple[Any, Any]) -> Any:
            x, y = element
            return {"sum": x.sum(axis=1), "nest": (y[::-1], x)}

        source = save(X), save(Y)
        given = {"batch_size": 10, "seed": 1, "transform": transform, **options}
        wanted = npyfast.batches(source, **given)
        made = npyfast.batches(source, transform_threads=threads, **given)
        assert len(made) == len(wanted)
        for _ in range(3):  # each iteration is another epoch
            got = list(made)
            assert len(got) == len(wanted)
            for a, b in zip(got, wanted, strict=True):
                assert_same(a, b)

    @by_threads
    def test_endless_epochs(self, save: Save, threads: int) -> None:
        options: dict[str, Any] = {"batch_size": 50, "shuffle": True, "seed": 3, "epochs": -1}
        made = npyfast.batches(save(X), **options, transform=len, transform_threads=threads)
        assert list(itertools.islice(made, 30)) == [50, 50, 3] * 10

    def test_structures_and_arrays_in_memory(self) -> None:
        records = random_array(np.dtype([("a", "i4"), ("b", ">f8", (2,))]), (9,))
        made = npyfast.batches(
            ({"r": records}, Y[:9]), 4, transform=lambda e: e[0]["r"]["b"], transform_threads=2
        )
        assert_same(np.concatenate(list(made)), records["b"].astype("f8"))

    @by_threads
    def test_so_many_calls_at_once(self, threads: int) -> None:
        all_at_once = threading.Barrier(threads)
        counting = threading.Lock()
        running = most = 0
        seen = set()

        def transform(y: Any) -> Any:
            nonlocal running, most
            with counting:
                running += 1
                most = max(most, running)
                seen.add(threading.current_thread())
            if y[0] < threads:
                all_at_once.wait(SECONDS)
            with counting:
                running -= 1
            return y

        list(npyfast.batches(Y, 1, transform=transform, transform_threads=threads))
        assert most == len(seen) == threads
        assert threading.current_thread() not in seen

    def test_one_thread_is_the_reader(self) -> None:
        made = npyfast.batches(Y, 50, transform=lambda _: threading.current_thread())
        assert list(made) == [threading.current_thread()] * 3

    def test_several_readers_share_a_stream(self, save: Save) -> None:
        path = save(np.arange(20_000))
        made = npyfast.batches(path, 7, True, seed=1, transform=np.negative, transform_threads=3)
        stream = iter(made)
        parts: list[list[Any]] = [[] for _ in range(4)]
        readers = [threading.Thread(target=part.extend, args=(stream,)) for part in parts]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        wanted = expected.epoch_batches(20_000, batch_size=7, seed=1)
        place = {(-rows).tobytes(): i for i, rows in enumerate(wanted)}
        places = [[place[batch.tobytes()] for batch in part] for part in parts]
        assert all(part == sorted(part) for part in places)
        assert sorted(itertools.chain(*places)) == list(range(len(wanted)))


class Odd(Exception):
    """What only this file raises."""


@every_backend
class TestErrors:
    @by_one_or_more
    def test_come_in_their_place_and_end_nothing(self, save: Save, threads: int) -> None:
        def transform(y: Any) -> Any:
            if y[0] % 30 == 20:
                raise Odd(f"at {y[0]}")
            return y

        made = npyfast.batches(save(Y), 10, transform=transform, transform_threads=threads)
        wanted: list[Any] = [Y[i : i + 10].tolist() for i in range(0, 103, 10)]
        wanted[2], wanted[5], wanted[8] = ((Odd, f"at {i}") for i in (20, 50, 80))
        stream = iter(made)
        assert outcomes(stream, 13) == [*wanted, (StopIteration, ""), (StopIteration, "")]
        assert stream.position == (1, 0)
        assert made.statistics.rows == 103

    @by_one_or_more
    def test_are_the_very_exception_with_its_traceback(self, threads: int) -> None:
        raised = []

        def deep(y: Any) -> Any:
            error = Odd("the reason")
            raised.append(error)
            raise error  # the line

        def transform(y: Any) -> Any:
            return deep(y)

        with pytest.raises(Odd) as caught:
            list(npyfast.batches(Y, 200, transform=transform, transform_threads=threads))
        assert caught.value is raised[0]
        frames = traceback.extract_tb(caught.tb)
        assert [frame.name for frame in frames[-2:]] == ["transform", "deep"]
        assert frames[-1].filename == __file__
        assert frames[-1].line == "raise error  # the line"
        assert frames[0].name == "test_are_the_very_exception_with_its_traceback"
        assert caught.value.__cause__ is caught.value.__context__ is None

    @by_one_or_more
    def test_stop_iteration_loses_nothing_silently(self, threads: int) -> None:
        def transform(y: Any) -> Any:
            raise StopIteration

        made = npyfast.batches(Y, 200, transform=transform, transform_threads=threads)
        with pytest.raises(RuntimeError, match="the transform raised StopIteration") as caught:
            list(made)
        assert isinstance(caught.value.__cause__, StopIteration)

    @by_one_or_more
    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_those_that_are_no_exceptions(self, threads: int, kind: type[BaseException]) -> None:
        """They hand nothing over: the function is called again for the same batch."""
        raised = 0

        def transform(y: Any) -> Any:
            nonlocal raised
            if y[0] == 50 and raised < 2:
                raised += 1
                raise kind
            return y

        made = npyfast.batches(Y, 50, transform=transform, transform_threads=threads)
        stream = iter(made)
        assert outcomes(stream, 2) == [Y[:50].tolist(), (kind, "")]
        assert stream.position == (0, 1)
        assert made.statistics.rows in (50, 100)  # one thread counts what it takes
        assert outcomes(stream, 1) == [(kind, "")]
        assert stream.position == (0, 1)
        rest = [Y[50:100].tolist(), Y[100:].tolist(), (StopIteration, "")]
        assert outcomes(stream, 3) == rest
        assert stream.position == (1, 0)
        assert made.statistics.rows == 103

    @by_one_or_more
    def test_leave_no_garbage(self, threads: int) -> None:
        def transform(y: Any) -> Any:
            raise Odd

        gc.collect()
        gc.disable()
        try:
            stream = iter(npyfast.batches(Y, transform=transform, transform_threads=threads))
            try:
                next(stream)
            except Odd as error:
                dead: Callable[[], Any] = weakref.ref(error)
            assert dead() is None
            dead = weakref.ref(stream)
            del stream
            assert dead() is None
        finally:
            gc.enable()

    @by_one_or_more
    def test_of_the_files(self, tmp_path: Any, threads: int) -> None:
        path = tmp_path / "X.npy"
        np.save(path, np.ones((512, 512), "i8"))
        made = npyfast.batches(path, 32, epochs=-1, transform=np.max, transform_threads=threads)
        stream = iter(made)
        next(stream)
        if threads > 1:
            # A file that shrinks during a copy is beyond what the NumPy backend can catch.
            wait_until(lambda: made.statistics.batches_ahead == 2 * threads)
        os.truncate(path, 4096)
        with pytest.raises(npyfast.NpyFormatError, match="it was truncated while it was read"):
            assert set(stream) == {1}
        epoch, batch = stream.position
        assert 16 * epoch + batch == made.statistics.batches + 1  # the error has its place, too


@every_backend
class TestThreads:
    """None is left by the time that an iterator is gone (each test is looked after by a fixture,
    too), and none is there before it is read."""

    def stream(self, transform: Any = np.negative, **options: Any) -> Any:
        given = {"batch_size": 10, "epochs": -1, "transform_threads": 3, **options}
        return iter(npyfast.batches(Y, transform=transform, **given))

    def test_begin_with_the_first_batch(self) -> None:
        stream = self.stream()
        assert no_workers()
        next(stream)
        assert 1 <= len(workers()) <= 3

    def test_end_with_the_last_batch(self) -> None:
        stream = self.stream(epochs=1)
        assert len(list(stream)) == 11
        assert no_workers()
        assert next(stream, None) is next(stream, None) is None
        assert no_workers()

    def test_end_with_close(self) -> None:
        stream = self.stream()
        kept = next(stream)
        stream.close()
        assert no_workers()
        assert list(stream) == []
        stream.close()
        assert kept.tolist() == (-Y[:10]).tolist()

    def test_never_begin_after_close(self) -> None:
        stream = self.stream()
        stream.close()
        assert next(stream, None) is None
        assert no_workers()

    def test_close_waits_for_the_calls_that_have_begun(self, gate: Gate) -> None:
        ends = []

        def transform(y: Any) -> Any:
            gate(y)
            ends.append("call")

        stream = self.stream(transform)
        reader = threading.Thread(target=next, args=(stream, None))
        reader.start()
        wait_until(lambda: gate.begun == 3)

        def close() -> None:
            stream.close()
            ends.append("close")

        closer = threading.Thread(target=close)
        closer.start()
        wait_until(lambda: stream._closed)
        gate.open()
        closer.join(SECONDS)
        reader.join(SECONDS)
        assert ends == ["call", "call", "call", "close"]

    def test_end_with_the_iterator(self) -> None:
        made = npyfast.batches(Y, 10, epochs=-1, transform=np.negative, transform_threads=3)
        for _ in made:
            break
        wait_until(no_workers)

    def test_end_with_a_reader_that_fails(self) -> None:
        def read() -> None:
            for batch in self.stream():
                raise Odd(batch)

        with suppress(Odd):
            read()
        wait_until(no_workers)

    def test_end_with_a_thread_that_reads(self) -> None:
        reader = threading.Thread(target=lambda: next(self.stream()))
        reader.start()
        reader.join()
        wait_until(no_workers)

    def test_end_with_a_cycle_of_garbage(self) -> None:
        cycle: list[Any] = [self.stream()]
        cycle.append(cycle)
        next(cycle[0])
        del cycle
        gc.collect()
        wait_until(no_workers)

    def test_end_after_the_calls_that_nobody_waits_for(self, gate: Gate) -> None:
        stream = self.stream(gate)
        reader = threading.Thread(target=next, args=(stream, None))
        reader.start()
        wait_until(lambda: gate.begun == 3)
        stream._current[1]._stop()  # as when it is collected
        assert len(workers()) == 3
        gate.open()
        reader.join(SECONDS)
        wait_until(no_workers)
        assert gate.begun == 3  # what had not begun never did

    def test_closed_while_another_thread_reads(self) -> None:
        for _ in range(20):
            stream = self.stream()
            seen = threading.Event()

            def read(stream: Any = stream, seen: threading.Event = seen) -> None:
                for _ in stream:
                    seen.set()

            reader = threading.Thread(target=read)
            reader.start()
            assert seen.wait(SECONDS)
            stream.close()
            reader.join(SECONDS)
            assert not reader.is_alive()

    def test_leaving_early_many_times(self) -> None:
        made = npyfast.batches(Y, 10, True, seed=1, epochs=-1, transform=len, transform_threads=4)
        for _ in range(100):
            assert next(iter(made)) == 10

    def test_two_streams_have_their_own(self) -> None:
        one, other = self.stream(), self.stream()
        assert next(one).tolist() == next(other).tolist()
        del one
        wait_until(lambda: len(workers()) <= 3)
        assert next(other).tolist() == (-Y[10:20]).tolist()

    def test_where_none_can_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        wanted = [y.tolist() for y in self.stream(epochs=2)]
        stream = self.stream(epochs=2)
        monkeypatch.setattr(threading.Thread, "start", start)
        assert [y.tolist() for y in stream] == wanted


@every_backend
class TestAhead:
    @by_threads
    def test_nothing_before_the_first_batch(self, threads: int, gate: Gate) -> None:
        made = npyfast.batches(Y, 1, transform=gate, transform_threads=threads)
        stream = iter(made)
        gate.open()
        assert gate.begun == 0
        next(stream)

    @by_threads
    def test_two_batches_for_each_thread(self, threads: int) -> None:
        begun = 0
        counting = threading.Lock()
        kept = weakref.WeakSet[Any]()

        class Result:
            pass

        def transform(y: Any) -> Any:
            nonlocal begun
            result = Result()
            with counting:
                begun += 1
                kept.add(result)
            return result

        stream = iter(npyfast.batches(Y, 1, transform=transform, transform_threads=threads))
        for delivered in range(1, 50):
            next(stream)
            assert begun <= delivered + 2 * threads
            if delivered % 10 == 0:
                wait_until(lambda: begun == delivered + 2 * threads)  # noqa: B023
                wait_until(lambda: len(kept) == 2 * threads)

    def test_goes_on_while_the_reader_works(self) -> None:
        seen: list[int] = []
        made = npyfast.batches(
            Y, 1, transform=lambda y: seen.append(int(y[0])), transform_threads=2
        )
        stream = iter(made)
        next(stream)
        wait_until(lambda: sorted(seen) == [0, 1, 2, 3, 4])
        next(stream)
        wait_until(lambda: sorted(seen) == [0, 1, 2, 3, 4, 5])


@every_backend
class TestCounts:
    """They are of the batches that the reader has, not of those that are made."""

    @by_threads
    def test_position(self, save: Save, threads: int) -> None:
        made = npyfast.batches(
            save(Y), 10, epochs=3, transform=lambda y: y, transform_threads=threads
        )
        stream = iter(made)
        assert stream.position == (0, 0)
        for count in range(33):
            assert stream.position == divmod(count, 11)
            next(stream)
            wait_until(
                lambda: made.statistics.batches_ahead == min(2 * threads, 32 - count)  # noqa: B023
            )
        assert next(stream, None) is None
        assert stream.position == (3, 0)

    @by_threads
    def test_resuming(self, save: Save, threads: int) -> None:
        path = save(Y)
        options: dict[str, Any] = {
            "shuffle": True, "seed": 2, "epochs": -1, "transform": np.negative,
        }  # fmt: skip
        made = npyfast.batches(path, 10, transform_threads=threads, **options)
        stream = iter(made)
        for _ in range(15):
            next(stream)
        epoch, batch = stream.position
        later = npyfast.batches(
            path, 10, start_epoch=epoch, start_batch=batch, transform_threads=threads, **options
        )
        for a, b in itertools.islice(zip(later, stream, strict=True), 30):
            assert_same(a, b)

    @by_threads
    def test_statistics(self, save: Save, threads: int) -> None:
        made = npyfast.batches(
            (save(X), save(Y)), 10, transform=lambda e: e[1], transform_threads=threads
        )
        assert npyfast.statistics(made) == npyfast.Statistics()
        stream = iter(made)
        for count in range(1, 11):
            next(stream)
            counted = made.statistics
            assert (counted.batches, counted.rows) == (count, 10 * count)
            assert counted.bytes == 10 * count * (12 + 8)
        list(stream)
        for _ in range(2):
            list(made)
        assert made.statistics.batches == 33
        assert made.statistics.rows == 309
        assert made.statistics.batches_ahead == 0

    def test_waits(self, gate: Gate) -> None:
        made = npyfast.batches(Y, 10, transform=gate, transform_threads=2)
        stream = iter(made)
        reader = threading.Thread(target=next, args=(stream,))
        reader.start()
        wait_until(lambda: gate.begun == 2)
        assert replace(made.statistics, cpu_seconds=0.0) == npyfast.Statistics()
        gate.open()
        reader.join()
        assert made.statistics.waits == 1
        assert made.statistics.wait_seconds > 0
        before = made.statistics
        wait_until(lambda: made.statistics.batches_ahead == 4)
        next(stream)
        after = made.statistics - before
        assert (after.batches, after.waits, after.wait_seconds) == (1, 0, 0)

    def test_what_lies_ready_is_gone_with_its_stream(self) -> None:
        made = npyfast.batches(Y, 10, transform=len, transform_threads=2)
        first, second = iter(made), iter(made)
        next(first)
        next(second)
        wait_until(lambda: made.statistics.batches_ahead == 8)
        first.close()  # type: ignore[attr-defined]
        assert made.statistics.batches_ahead == 4
        del second
        assert made.statistics.batches_ahead == 0


@pytest.mark.parametrize("threads", [2, 3])
def test_reading_the_iterator_that_it_is_run_for(threads: int) -> None:
    def read(batch: Any) -> Any:
        next(iterator)
        return batch

    iterator = iter(npyfast.batches(X, 2, transform=read, transform_threads=threads))
    with pytest.raises(RuntimeError, match="cannot read the iterator that it runs for"):
        next(iterator)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_without_fields(threads: int) -> None:
    nothing = np.zeros(6, np.dtype([]))
    made = npyfast.batches(nothing, 4, transform=lambda b: (b, 1), transform_threads=threads)
    assert list(made) == [({}, 1), ({}, 1)]


@pytest.mark.parametrize("threads", [2, 2**15 - 1])
def test_threads_without_a_transform(threads: int) -> None:
    with pytest.raises(ValueError, match=f"transform_threads={threads} needs a transform"):
        npyfast.batches(Y, transform_threads=threads)
    assert len(list(npyfast.batches(Y, transform_threads=1))) == 4


@pytest.mark.parametrize(
    "way",
    [
        *(*processes.FORKS, "at_any_moment", "what_has_been_counted", "the_child_ends_as_usual"),
        "while_another_thread_reads_what_is_transformed",
    ],
)
def test_fork(save: Save, backend: str, way: str) -> None:
    processes.run("fork_while_reading.py", save(X), way, "transform", backend=backend)


ENDS = [
    *("returns", "sys.exit", "kept by a module", "read at the exit", "in a cycle"),
    *("read by a thread", "read by daemons"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.slow
def test_the_interpreter_ends_with_a_live_stream(save: Save, backend: str, end: str) -> None:
    for _ in range(3 if "daemon" in end else 1):  # some ends are a matter of luck
        out = processes.run("end_while_reading.py", save(X), end, "transform", backend=backend)
        assert out == "reading"


@every_backend
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_loses_nothing(gate: Gate) -> None:
    def interrupt() -> None:
        wait_until(lambda: gate.begun == 2)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    made = npyfast.batches(Y, 10, transform=gate, transform_threads=2)
    stream = iter(made)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    gate.open()
    assert np.concatenate(list(stream)).tolist() == Y.tolist()
