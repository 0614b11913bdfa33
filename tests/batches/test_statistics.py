"""`npyfast.statistics` of `npyfast.batches`, and what `Statistics` offers."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import processes
import pytest
from backends import use_backend
from counted import ROW_BYTES, X, Y, large, pair, read
from deadlines import wait_until
from samples import Save, random_array

import npyfast
from npyfast import Statistics

every_backend = pytest.mark.usefixtures("backend")

__all__ = ["large", "pair"]


def delivered(statistics: Statistics) -> tuple[int, int, int]:
    return statistics.batches, statistics.rows, statistics.bytes


@every_backend
class TestBatches:
    def test_nothing_has_been_delivered_at_first(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10)
        assert made.statistics == npyfast.statistics(made) == Statistics()
        assert made.statistics.hit_share is None

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_after_some_batches_and_after_all(self, pair: Any, shuffle: bool) -> None:
        made = npyfast.batches(pair, 10, shuffle)
        stream = iter(made)
        for count in range(1, 11):
            next(stream)
            assert delivered(made.statistics) == (count, 10 * count, 10 * count * ROW_BYTES)
        assert list(stream)
        for _ in range(3):  # the end is no batch
            assert next(stream, None) is None
            assert delivered(made.statistics) == (11, 103, 103 * ROW_BYTES)

    @pytest.mark.parametrize(
        ("options", "batches", "rows"),
        [
            ({"drop_remainder": True}, 10, 100),
            ({"epochs": 3}, 33, 309),
            ({"epochs": 2, "start_batch": 9}, 13, 116),
            ({"rows": slice(0, 25)}, 3, 25),
            ({"rows": []}, 0, 0),
            ({"shard": (1, 2)}, 6, 52),
            ({"shard": (1, 60)}, 1, 2),
            ({"rows": slice(0, 1), "shard": (0, 2)}, 1, 0),
            ({"batch_size": 1}, 103, 103),
            ({"batch_size": 1000}, 1, 103),
            ({"threads": 1}, 11, 103),
        ],
        ids=str,
    )
    def test_each_option(self, pair: Any, options: dict[str, Any], batches: int, rows: int) -> None:
        made = npyfast.batches(pair, **{"batch_size": 10, "shuffle": True, **options})
        assert len(list(made)) == batches
        assert delivered(made.statistics) == (batches, rows, rows * ROW_BYTES)

    @pytest.mark.parametrize(
        "dtype",
        [[("a", "u1"), ("b", ">i2"), ("c", "<f4", (2,))], "U7", "S0", ">c16", "?", "m8[D]"],
        ids=str,
    )
    def test_bytes_are_those_of_the_arrays(self, save: Save, dtype: Any) -> None:
        made = npyfast.batches(save(random_array(np.dtype(dtype), (23, 2))), 5)
        arrays = [x for each in made for x in (each.values() if isinstance(each, dict) else [each])]
        assert delivered(made.statistics) == (5, 23, sum(array.nbytes for array in arrays))

    def test_large_batches(self, large: str) -> None:
        made = npyfast.batches(large, 100, True)
        list(made)
        assert delivered(made.statistics) == (11, 1024, 1 << 26)

    def test_arrays_in_memory(self) -> None:
        made = npyfast.batches((X, Y), 10, True)
        list(made)
        assert delivered(made.statistics) == (11, 103, 103 * ROW_BYTES)

    def test_bytes_are_counted_before_the_transform(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, transform=lambda xy: xy[0].astype("f8"))
        read(made, 3)
        assert delivered(made.statistics) == (3, 30, 30 * ROW_BYTES)

    def test_iterations_add_up(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        list(made)
        read(made, 4)
        first, second = iter(made), iter(made)
        read(first, 2)
        read(second, 3)
        assert made.statistics.batches == 11 + 4 + 2 + 3

    def test_each_object_counts_its_own(self, pair: Any) -> None:
        one, other = npyfast.batches(pair, 10), npyfast.batches(pair, 10)
        list(one)
        assert delivered(one.statistics) == (11, 103, 103 * ROW_BYTES)
        assert other.statistics == Statistics()

    def test_threads_that_share_an_iteration(self, pair: Any) -> None:
        made = npyfast.batches(pair, 1, True, epochs=20)
        stream = iter(made)
        readers = [threading.Thread(target=list, args=(stream,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert delivered(made.statistics) == (2060, 2060, 2060 * ROW_BYTES)

    def test_a_snapshot_stays_as_it_is(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10)
        stream = iter(made)
        next(stream)
        before = made.statistics
        copied = dataclasses.replace(before)
        list(stream)
        assert before == copied != made.statistics
        with pytest.raises(dataclasses.FrozenInstanceError):
            before.batches = 3  # type: ignore[misc]

    def test_counters_never_go_back(self, pair: Any) -> None:
        made = npyfast.batches(pair, 3, True, epochs=50)
        reader = threading.Thread(target=lambda: [None for _ in made])
        reader.start()
        before = made.statistics
        while reader.is_alive():
            now = made.statistics
            since = dataclasses.asdict(now - before)
            assert all(value >= 0 for value in since.values()), since
            assert now.bytes_read <= now.bytes_needed
            before = now
        reader.join()
        assert delivered(made.statistics) == (50 * 35, 50 * 103, 50 * 103 * ROW_BYTES)

    def test_an_epoch_is_the_difference_of_two_snapshots(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        for _ in range(3):
            before = npyfast.statistics(made)
            list(made)
            assert delivered(made.statistics - before) == (11, 103, 103 * ROW_BYTES)

    def test_a_reader_that_does_nothing_else_waits(self, large: str) -> None:
        made = npyfast.batches(large, 100, True, epochs=5)
        begin = time.perf_counter()
        for _ in made:
            pass
        spent = time.perf_counter() - begin
        assert 1 <= made.statistics.waits <= made.statistics.batches
        assert 0 < made.statistics.wait_seconds <= spent

    def test_nothing_lies_ready_once_the_iteration_is_over(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        list(made)
        wait_until(lambda: made.statistics.batches_ahead == 0)

    def test_nothing_lies_ready_for_iterations_that_are_gone(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        streams = [iter(made) for _ in range(3)]
        for stream in streams:
            next(stream)
        newest = streams.pop()  # which `made` has as well
        del stream
        streams.clear()
        gc.collect()
        list(newest)
        wait_until(lambda: made.statistics.batches_ahead == 0)
        assert made.statistics.batches == 13


@every_backend
class TestTime:
    def test_it_begins_with_the_first_batch(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10)
        stream = iter(made)
        time.sleep(0.01)
        assert made.statistics.wait_share is None
        begin = time.perf_counter()
        next(stream)
        before = made.statistics
        assert 0 < before.seconds <= time.perf_counter() - begin + 0.001
        time.sleep(0.01)
        list(stream)
        after = made.statistics
        assert after.seconds >= before.seconds + 0.01
        assert (after - before).seconds >= 0.01
        assert after.wait_share is not None
        assert 0 <= after.wait_share <= 1

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_transform_is_waited_for(self, pair: Any, threads: int) -> None:
        def slow(xy: Any) -> Any:
            time.sleep(0.01)
            return xy

        made = npyfast.batches(pair, 10, True, transform=slow, transform_threads=threads)
        list(made)
        counted = made.statistics
        assert counted.batches == 11
        assert counted.transform_seconds >= 0.11
        assert counted.waits >= 1
        assert counted.wait_seconds >= (counted.transform_seconds if threads == 1 else 0)
        assert counted.seconds >= counted.wait_seconds
        assert "; transform took 0." in str(counted)
        before = counted
        list(made)
        assert (made.statistics - before).transform_seconds >= 0.11

    def test_a_transform_by_the_reader_is_a_wait_each_time(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, transform=lambda xy: xy)
        for count, _ in enumerate(made, 1):
            assert made.statistics.waits == count

    @pytest.mark.parametrize("threads", [1, 2])
    def test_what_a_transform_refuses_takes_no_time(self, pair: Any, threads: int) -> None:
        made = npyfast.batches(pair, 10, transform=lambda xy: 1 // 0, transform_threads=threads)
        with pytest.raises(ZeroDivisionError):
            list(made)
        assert made.statistics.transform_seconds == 0

    def test_without_a_transform_none_is_counted(self, pair: Any) -> None:
        class Rows:
            shape, dtype = X.shape, X.dtype

            def __getitem__(self, rows: Any) -> Any:
                return X[rows]

        for source in (pair, (X, Y), Rows()):
            made = npyfast.batches(source, 10)
            list(made)
            assert made.statistics.transform_seconds == 0
            assert made.statistics.seconds > 0


@pytest.mark.usefixtures("native")
class TestAhead:
    def test_a_reader_that_comes_later_never_waits(self, pair: Any) -> None:
        # One thread makes batches in order, so that the first one ready is the next one taken.
        made = npyfast.batches(pair, 10, True, epochs=-1, threads=1)
        stream = iter(made)
        wait_until(lambda: made.statistics.batches_ahead > 0)
        for _ in range(100):
            next(stream)
            wait_until(lambda: made.statistics.batches_ahead > 0)
        assert made.statistics.batches == 100
        assert made.statistics.waits == 0
        assert made.statistics.wait_seconds == 0

    def test_so_it_is_with_large_batches(self, large: str) -> None:
        made = npyfast.batches(large, 100, True, epochs=-1, threads=2)
        stream = iter(made)
        # Both that are made ahead: of two threads the one that began later may be done first.
        wait_until(lambda: made.statistics.batches_ahead == 2)
        for _ in range(20):
            next(stream)
            wait_until(lambda: made.statistics.batches_ahead == 2)
        assert made.statistics.waits == 0

    def test_what_lies_ready_is_bounded_and_is_what_comes(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        stream = iter(made)
        wait_until(lambda: made.statistics.batches_ahead == 11)  # all there are
        read(stream, 4)
        assert made.statistics.batches_ahead == 7
        assert len(list(stream)) == 7
        assert made.statistics.batches_ahead == 0

    def test_all_iterations_together(self, pair: Any) -> None:
        made = npyfast.batches(pair, 10, True)
        streams = [iter(made) for _ in range(3)]
        wait_until(lambda: made.statistics.batches_ahead == 33)
        del streams[0]
        wait_until(lambda: made.statistics.batches_ahead == 22)


@pytest.fixture
def numpy_backend() -> Iterator[None]:
    with use_backend("numpy"):
        yield


@pytest.mark.usefixtures("numpy_backend")
def test_numpy_makes_each_batch_when_it_is_asked_for(pair: Any) -> None:
    made = npyfast.batches(pair, 10, True)
    stream = iter(made)
    for count in range(1, 4):
        before = made.statistics
        next(stream)
        assert made.statistics.waits == count
        assert made.statistics.wait_seconds > before.wait_seconds
    assert made.statistics.batches_ahead == 0
    assert made.statistics.bytes_read == 0
    assert made.statistics.hit_share is None


def test_both_sides_of_a_fork_count_on(save: Save, backend: str) -> None:
    processes.run("statistics_after_a_fork.py", save(X), backend=backend)


def test_no_tensorflow_is_imported(save: Save, backend: str) -> None:
    assert processes.run("statistics_without_tensorflow.py", save(X), backend=backend) == "11 False"


class TestStatistics:
    LATER = Statistics(20, 200, 2000, 5, 1.5, 7, 1000, 250)
    EARLIER = Statistics(15, 150, 1500, 2, 1.25, 9, 200, 150)

    def test_hit_share(self) -> None:
        assert self.LATER.hit_share == 0.75
        assert Statistics(bytes_needed=8).hit_share == 1
        assert Statistics(bytes_needed=8, bytes_read=8).hit_share == 0
        assert Statistics().hit_share is None

    def test_wait_share(self) -> None:
        assert Statistics().wait_share is None
        assert Statistics(seconds=4.0).wait_share == 0
        assert Statistics(wait_seconds=3, seconds=4.0).wait_share == 0.75
        assert Statistics(wait_seconds=9, seconds=4.0).wait_share == 1  # several readers

    def test_the_difference_is_what_happened_in_between(self) -> None:
        between = self.LATER - self.EARLIER
        assert between == Statistics(5, 50, 500, 3, 0.25, 7, 800, 100)
        assert between.hit_share == 0.875
        timed = Statistics(wait_seconds=1, seconds=8.0) - Statistics(seconds=4.0)
        assert timed.wait_share == 0.25
        nothing = self.LATER - self.LATER
        assert nothing == Statistics(batches_ahead=7)
        with pytest.raises(TypeError):
            self.LATER - 3  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("statistics", "text"),
        [
            (Statistics(), "0 batches, 0 rows, 0 bytes; never waited; 0 batches ahead"),
            (
                Statistics(1, 1, 1, 1, 0.004, 1, 4096, 4096),
                "1 batch, 1 row, 1 byte; waited 1 time, 0.00 s in all; 1 batch ahead; 4.0 KiB "
                "read, 0 % cached",
            ),
            (
                Statistics(1200, 38400, 450 << 20, 3, 0.02, 14, 400 << 20, 12 << 20),
                "1,200 batches, 38,400 rows, 450.0 MiB; waited 3 times, 0.02 s in all; 14 batches "
                "ahead; 12.0 MiB read, 97 % cached",
            ),
            (
                Statistics(10**6, 10**9, 5 << 40, 10**6, 12345.678, 0, 10**6, 1),
                "1,000,000 batches, 1,000,000,000 rows, 5.0 TiB; waited 1,000,000 times, "
                "12,345.68 s in all; 0 batches ahead; 1 byte read, 99 % cached",
            ),
            (
                Statistics(128, 4096, 4096, 128, 2.61, seconds=2.8, transform_seconds=2.56),
                "128 batches, 4,096 rows, 4.0 KiB; waited 128 times, 2.61 s in all (93 % of "
                "2.80 s); transform took 2.56 s; 0 batches ahead",
            ),
            (
                Statistics(bytes=3 << 29, bytes_needed=7),
                "0 batches, 0 rows, 1.5 GiB; never waited; 0 batches ahead; 0 bytes read, 100 % "
                "cached",
            ),
        ],
    )
    def test_a_line_for_a_log(self, statistics: Statistics, text: str) -> None:
        assert str(statistics) == text

    def test_whatever_else_is_refused(self, pair: Any) -> None:
        made = npyfast.batches(pair)
        for other in (pair[0], None, 3, iter(made), made.statistics, npyfast.batches):
            with pytest.raises(TypeError, match=r"npyfast\.batches or npyfast\.dataset returned"):
                npyfast.statistics(other)
