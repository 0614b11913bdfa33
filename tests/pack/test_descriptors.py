"""An interruption between any two steps of Python leaves no descriptor open."""

from __future__ import annotations

import dis
import gc
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np
import pytest

import npyfast
from npyfast._packing.descriptor import Folder, held, look_at
from npyfast._sources import npz

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("backend"),
    # Of files that are closed because nobody has them any more.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

X = np.arange(24, dtype="i4").reshape(12, 2)
PACKAGE = os.path.dirname(npyfast.__file__)


def descriptors() -> set[tuple[str, str]]:
    links = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
    return {(name, os.readlink(link)) for name, link in links.items() if os.path.lexists(link)}


def _can_be_interrupted(frame: FrameType) -> bool:
    """Whether Python looks for signals there: not where the handling of an exception begins or
    ends, which would then be held for good."""
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return frame.f_lineno is not None and instruction not in (
        "PUSH_EXC_INFO",
        "POP_EXCEPT",
        "RERAISE",
    )


def interrupted_at(step: int, function: Callable[[], object]) -> bool:
    """Calls a function, in which the step-th instruction of this package raises KeyboardInterrupt,
    as a signal does that comes there; whether there are so many."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event != "opcode" or not _can_be_interrupted(frame):
            return trace
        steps += 1
        if steps == step:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before, hook = sys.gettrace(), sys.unraisablehook
    # Python tells of interruptions of what closes files; pytest would keep their frames.
    sys.unraisablehook = lambda told: None
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
        sys.unraisablehook = hook
    return steps == step


def leaves_nothing(
    function: Callable[[], object], stride: int = 1, *, at_once: bool = True
) -> None:
    # Threads of earlier tests may close theirs at any time. Ours must stay open, so that a
    # descriptor that is closed twice, and by then belongs to somebody else, shows.
    others = descriptors()
    ours = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    try:
        _leaves_nothing(function, stride, at_once, others)
    finally:
        for descriptor in ours:
            os.close(descriptor)


def _left(others: set[tuple[str, str]], before: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The descriptors that are open, once a thread that other tests have started, and which reads a
    file just now, has closed it."""
    for _ in range(100):
        left = descriptors() - others
        if left == before:
            break
        time.sleep(0.01)
    return left


def _leaves_nothing(
    function: Callable[[], object], stride: int, at_once: bool, others: set[tuple[str, str]]
) -> None:
    function()  # opens what stays open
    gc.collect()
    before = descriptors() - others
    steps = 0
    for step in itertools.count(1, stride):
        gc.disable()  # what nobody refers to is closed at once, not some time later
        try:
            goes_on = interrupted_at(step, function)
            left = _left(others, before) if at_once else descriptors() - others
        finally:
            gc.enable()
        if left != before and not at_once:
            gc.collect()
            left = _left(others, before)
        assert left == before, f"step {step}"
        if not goes_on:
            break
        steps += 1
    assert steps > 5


@pytest.fixture
def archive(tmp_path: Path) -> str:
    np.savez(tmp_path / "a.npz", x=X, y=X[:, 0])
    return str(tmp_path / "a.npz")


def test_the_directory_of_an_archive(archive: str) -> None:
    leaves_nothing(lambda: npz.Archive(archive).keys())
    read = npz.Archive(archive)
    leaves_nothing(lambda: read.locate("x"))


def test_an_array_of_an_archive(archive: str) -> None:
    leaves_nothing(lambda: npyfast.open(npyfast.source(archive, key="x")).close(), 3)


def test_a_compressed_array(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X)
    read = npz.Archive(str(tmp_path / "a.npz"))
    leaves_nothing(lambda: read.look("x"))


def test_raw_data(tmp_path: Path) -> None:
    X.tofile(tmp_path / "x.bin")
    source = npyfast.source(tmp_path / "x.bin", dtype="i4", shape=(-1, 2))
    leaves_nothing(lambda: npyfast.open(source).close())


def test_a_header(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    leaves_nothing(lambda: npyfast.read_header(tmp_path / "x.npy"))
    leaves_nothing(lambda: npyfast.open(tmp_path / "x.npy").close())


def test_a_key_that_is_not_there(archive: str) -> None:
    def look() -> None:
        with pytest.raises(ValueError, match="has no array"):
            npyfast.open(npyfast.source(archive, key="z"))

    leaves_nothing(look, 5)


def test_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
    leaves_nothing(lambda: npyfast.open(npyfast.source(tmp_path / "a.h5", key="x")).close(), 3)


def test_a_split(archive: str) -> None:
    leaves_nothing(lambda: npyfast.split(npyfast.source(archive, key="x"), 0.5, seed=1), 7)


@pytest.mark.parametrize("max_file_size", [None, 160])
def test_pack(archive: str, tmp_path: Path, max_file_size: int | None) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def pack() -> None:
        npyfast.pack(X, out / "out.npy", max_file_size=max_file_size, overwrite=True, verify=True)

    leaves_nothing(pack, 37, at_once=False)
    pack()
    assert len(os.listdir(out)) == (1 if max_file_size is None else 3)


def test_pack_of_a_compressed_array(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X)

    def pack() -> None:
        npyfast.pack(tmp_path / "a.npz", tmp_path / "o.npy", overwrite=True)

    leaves_nothing(pack, 41, at_once=False)
    pack()
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "o.npy"]


def test_without_an_end(tmp_path: Path) -> None:
    leaves_nothing(lambda: held(os.dup, 1).fileno())
    leaves_nothing(lambda: look_at("/proc/self/status").fileno())

    def folder() -> None:
        with Folder(str(tmp_path)):
            pass

    leaves_nothing(folder)
