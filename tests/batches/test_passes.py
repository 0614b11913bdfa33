"""Which epoch each pass is, as processes and workers find it in a log that they share."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from typing import Any
from unittest import mock

import pytest
from picklable import begin_as_a_worker

from npyfast._torch import passes
from npyfast._torch.passes import Passes, Worker


class Loader:
    """A DataLoader: starts workers, each of which begins passes of the same dataset."""

    processes = 0

    def __init__(self, shared: Passes, count: int, seed: int, extra: int = 0) -> None:
        self.shared, self.count, self.seed = shared, count, seed
        self.numbers = []
        for w in range(count):
            Loader.processes += 1 + (extra if w == 1 else 0)
            self.numbers.append(Loader.processes)
        self.copies = [self._copy() for _ in range(count)]

    def _copy(self) -> Passes:
        with mock.patch.object(passes, "get_spawning_popen", return_value=self):
            state = self.shared.__getstate__()
        made = Passes.__new__(Passes)
        made.__setstate__(state)
        return made

    def begin(self, id: int) -> Any:
        with mock.patch.object(passes, "_number", return_value=self.numbers[id]):
            return self.copies[id].begin(Worker(id, self.count, self.seed))


def test_passes_of_a_process() -> None:
    own = Passes(3)
    assert [own.begin(None) for _ in range(3)] == [(3, 0), (4, 0), (5, 0)]
    own.set_next((1, 7))
    assert own.next_place() == (1, 7)
    assert [own.begin(None) for _ in range(2)] == [(1, 7), (2, 0)]
    assert not own.are_begun_by_workers()


def test_without_a_start_only_what_was_set_counts() -> None:
    own = Passes(None)
    assert own.begin(None) is None
    own.set_next((2, 1))
    assert [own.begin(None) for _ in range(2)] == [(2, 1), None]


@pytest.mark.parametrize("seeds", [(5, 6, 7), (5, 5, 5)], ids=["seeds", "the same seed"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_workers_of_a_pass_begin_at_the_same_place(
    seeds: tuple[int, ...], order: tuple[int, ...]
) -> None:
    own = Passes(0)
    for epoch, seed in enumerate(seeds):
        loader = Loader(own, 3, seed)
        assert {loader.begin(w) for w in order} == {(epoch, 0)}
        assert own.are_begun_by_workers()
    assert own.begin(None) == (3, 0)


def test_workers_that_died_early_are_not_waited_for() -> None:
    own = Passes(0)
    assert Loader(own, 2, 5).begin(0) == (0, 0)  # its worker 1 was killed
    second = Loader(own, 2, 5)
    assert [second.begin(1), second.begin(0)] == [(1, 0), (1, 0)]


def test_processes_started_by_other_threads_meanwhile() -> None:
    own = Passes(0)
    first, second = Loader(own, 3, 5, extra=2), Loader(own, 3, 6, extra=1)
    assert [first.begin(w) for w in range(3)] == [(0, 0)] * 3
    assert [second.begin(w) for w in range(3)] == [(1, 0)] * 3


def test_persistent_workers() -> None:
    own = Passes(0)
    loader = Loader(own, 2, 5)
    assert [loader.begin(0), loader.begin(1), loader.begin(1), loader.begin(0)] == [
        *[(0, 0)] * 2,
        *[(1, 0)] * 2,
    ]
    own.set_next((9, 2))  # seen by copies, too
    assert [loader.begin(w) for w in (0, 1, 0, 1)] == [(9, 2)] * 2 + [(10, 0)] * 2


def test_interleaved_iterations_of_two_loaders() -> None:
    own = Passes(0)
    one, two = Loader(own, 2, 5), Loader(own, 2, 6)
    begun = [one.begin(0), two.begin(0), two.begin(1), one.begin(1)]
    assert begun == [(0, 0), (1, 0), (1, 0), (0, 0)]


def test_other_processes_do_not_matter() -> None:
    own = Passes(0)
    with mock.patch.object(os, "getpid", return_value=1):
        assert [own.begin(None) for _ in range(3)] == [(0, 0), (1, 0), (2, 0)]
        own.set_next((40, 0))
    assert own.begin(None) == (0, 0)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_go_on_alone(duplicate: Any) -> None:
    own = Passes(0)
    own.begin(None)
    other = duplicate(own)
    assert [own.begin(None), own.begin(None), other.begin(None)] == [(1, 0), (2, 0), (1, 0)]


def test_a_forked_process_counts_by_itself() -> None:
    own = Passes(0)
    own.begin(None)
    parent = os.getpid()
    with mock.patch.object(os, "getpid", return_value=parent + 1):
        assert [own.begin(None) for _ in range(2)] == [(0, 0), (1, 0)]
    assert own.begin(None) == (1, 0)


def test_descriptors_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    many = [Passes(0) for _ in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before + 20
    del many
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_real_processes(method: Any) -> None:
    context = multiprocessing.get_context(method)
    own = Passes(0)
    queue = context.Queue()
    for epoch in range(2):
        child = context.Process(target=begin_as_a_worker, args=(own, queue))
        child.start()
        assert queue.get(timeout=60) == (epoch, 0)
        child.join()
        assert own.next_place() == (epoch + 1, 0)
