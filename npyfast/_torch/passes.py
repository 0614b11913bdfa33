"""Which place each pass over a dataset begins at, in a process and in its DataLoader workers.

A DataLoader with workers calls `iter(dataset)` in the workers only, each of which has a copy of the
dataset. What they have to agree on is therefore kept in a file in memory that all copies share. It
is only ever appended to, so nobody needs a lock: who begins a pass appends a record, and reads all
that come before it. Records of other processes do not concern a process and its workers.
"""

from __future__ import annotations

import fcntl
import itertools
import multiprocessing
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any, NamedTuple

Place = tuple[int, int]  # an epoch and a batch


class Worker(NamedTuple):
    """A worker of a DataLoader; what torch.utils.data.get_worker_info() says of it."""

    id: int
    workers: int  # how many
    seed: int  # of all workers of the DataLoader's iteration


class _Record(NamedTuple):
    """The beginning of a pass by one worker, or by a process itself; or where the next begins."""

    owner: int  # the process whose passes these are
    kind: int
    worker: int  # _BEGIN: its id; the number of workers; their seed; the process, as _process()
    workers: int  # has it; how many passes it began before.
    seed: int  # _PLACE: 0, 0, the epoch, the batch, 0.
    process: int
    before: int


_FORMAT = struct.Struct("=7q")
_BEGIN, _PLACE = range(2)


class SharedLog:
    """A file in memory that processes append to, and that goes with the last of them."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = _anonymous_file()
        self._descriptor = descriptor

    def append(self, record: _Record) -> None:
        os.write(self._descriptor, _FORMAT.pack(*record))

    def records(self, first: int) -> Iterator[_Record]:
        """All records from the first-th on."""
        begin = first * _FORMAT.size
        new = os.pread(self._descriptor, os.fstat(self._descriptor).st_size - begin, begin)
        whole = len(new) // _FORMAT.size * _FORMAT.size
        return map(_Record._make, _FORMAT.iter_unpack(new[:whole]))

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __reduce__(self) -> tuple[Callable[..., SharedLog], tuple[Any, ...]]:
        # Only for a process that is being started can the file be shared.
        assert get_spawning_popen() is not None
        return _opened, (DupFd(self._descriptor),)


def _opened(duplicate: Any) -> SharedLog:
    return SharedLog(duplicate.detach())


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("npyfast-passes")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    # A write to the end is one step, whoever else writes.
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
    return descriptor


class _Pass:
    """A pass, and the workers that have begun it."""

    def __init__(self, place: Place | None, process: int) -> None:
        self.place = place
        self.process = process
        self.workers: set[int] = set()

    def is_of(self, record: _Record) -> bool:
        """Whether a worker with the same seed takes part in it. If a program seeds each epoch
        alike, passes are told apart by the workers, of which each begins once, and by the numbers
        of their processes, which are as far apart as passes have workers."""
        near = abs(record.process - record.worker - self.process) < record.workers
        return near and record.worker not in self.workers


class _Reader:
    """What the records say of the passes of one process and its workers."""

    def __init__(self, owner: int, start: int | None) -> None:
        self.owner = owner
        self.place: Place | None = None  # of the latest record that began a pass
        self.following = None if start is None else (start, 0)  # where the next pass begins
        self.by_workers = False  # whether the latest record that began a pass was a worker's
        self._counted = start is not None
        self._read = 0
        self._passes: dict[tuple[int, ...], _Pass] = {}

    def read(self, log: SharedLog, until: _Record | None = None) -> None:
        """Reads on, up to a record or to the end."""
        for record in log.records(self._read):
            self._read += 1
            if record.owner != self.owner:
                continue
            if record.kind == _PLACE:
                self.following = record.seed, record.process
            else:
                self._begin(record)
            if record == until:
                return

    def _begin(self, record: _Record) -> None:
        self.by_workers = record.worker >= 0
        key = record.workers, record.seed, record.before
        known = self._passes.get(key)
        if known is None or not known.is_of(record):
            known = _Pass(self.following, record.process - record.worker)
            if self.by_workers:
                self._passes[key] = known
            self.following = None
            if known.place is not None and self._counted:
                self.following = known.place[0] + 1, 0
        known.workers.add(record.worker)
        self.place = known.place


class Passes:
    """The places of the passes over a dataset and its copies.

    Without other instructions, a pass begins at (start + k, 0) if k began before it; with None as
    the start, at None.
    """

    def __init__(self, start: int | None, log: SharedLog | None = None) -> None:
        self._start = start
        self._log = log or SharedLog()
        self._begun = itertools.count()  # in this process
        self._reader = _Reader(os.getpid(), start)

    def begin(self, worker: Worker | None) -> Place | None:
        """The place of the pass that begins now, in the process itself or in one of its workers."""
        begun = next(self._begun)
        owner = _owner(worker)
        if worker is None:
            mine = _Record(owner, _BEGIN, -1, 0, 0, 0, begun)
        else:
            mine = _Record(owner, _BEGIN, worker.id, worker.workers, worker.seed, _number(), begun)
        self._log.append(mine)
        return self._read(owner, until=mine).place

    def set_next(self, place: Place, worker: Worker | None = None) -> None:
        """Makes the next pass begin there."""
        self._log.append(_Record(_owner(worker), _PLACE, 0, 0, *place, 0))

    def next_place(self) -> Place | None:
        """Where this process's next pass begins."""
        return self._read(os.getpid()).following

    def are_begun_by_workers(self) -> bool:
        """Whether workers of this process have begun the latest pass."""
        return self._read(os.getpid()).by_workers

    def _read(self, owner: int, until: _Record | None = None) -> _Reader:
        if self._reader.owner != owner:  # a process that was forked
            self._reader = _Reader(owner, self._start)
        self._reader.read(self._log, until)
        return self._reader

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is not None:
            return {"start": self._start, "log": self._log}
        # A copy goes on where this one is, and knows nothing of it afterwards.
        return {"start": self._start, "log": None, "next": self.next_place()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Passes.__init__(self, state["start"], state["log"])
        if state.get("next") is not None:
            self.set_next(state["next"])


def _owner(worker: Worker | None) -> int:
    """The process that iterates over the dataset, or over a DataLoader whose worker this is."""
    parent = multiprocessing.parent_process()
    if worker is None or parent is None:
        return os.getpid()
    assert parent.pid is not None
    return parent.pid


def _number() -> int:
    """How many processes this one's parent had started when it started this one."""
    identity: tuple[int, ...] = getattr(multiprocessing.current_process(), "_identity", ())
    return identity[-1] if identity else 0
