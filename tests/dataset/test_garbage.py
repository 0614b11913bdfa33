"""Python's garbage collector never stops a thread of TensorFlow's for good."""

from __future__ import annotations

import gc
import threading

import numpy as np
import processes
import pytest
from backends import BACKENDS
from deadlines import wait_until
from samples import Save

import npyfast
from npyfast._engines import garbage, interpreter_exit

pytestmark = [pytest.mark.usefixtures("backend"), pytest.mark.slow]


def test_iterators_in_cycles_are_destroyed(save: Save) -> None:
    """The transform allocates so much that collections start on TensorFlow's threads."""

    def transform(x: np.ndarray) -> np.ndarray:
        threading.current_thread()  # as logging does
        return x + len([(i, [i]) for i in range(3000)])

    path = save(np.zeros((1000, 4), "f4"))
    before = len(list(interpreter_exit._alive))
    for _ in range(10):
        iterator = iter(npyfast.dataset(path, 10, True, epochs=-1, transform=transform))
        next(iterator)
        cycle = [iterator]
        cycle.append(cycle)
        del iterator, cycle
    assert garbage._threads

    def destroyed() -> bool:
        gc.collect()
        return len(list(interpreter_exit._alive)) <= before

    wait_until(destroyed)


def test_garbage_of_a_transform_is_collected(save: Save) -> None:
    """Nothing but TensorFlow's threads allocates, and they start no collection."""
    made = 0
    alive = 0

    class Cycle:
        def __init__(self) -> None:
            nonlocal made, alive
            made += 1
            alive += 1
            self.own = self

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def transform(x: np.ndarray) -> np.ndarray:
        for _ in range(2000):
            Cycle()
        return x

    path = save(np.zeros((1000, 4), "f4"))
    iterator = iter(npyfast.dataset(path, 10, epochs=-1, transform=transform))

    def collected() -> bool:
        next(iterator)
        return made > 20_000 and alive < made // 2

    wait_until(collected)


def test_a_forked_child_collects_its_garbage(save: Save, backend: str) -> None:
    out, _ = processes.finish(
        processes.start("fork_after_transform.py", save(np.zeros((1000, 4), "f4")), backend=backend)
    )
    assert out == "collected"


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_what_the_program_has_frozen_stays_frozen(save: Save, backend: str) -> None:
    path = save(np.zeros((1000, 4), "f4"))
    program = "transform_with_frozen_objects.py"
    out, _ = processes.finish(processes.start(program, path, backend=backend))
    assert out == "still frozen"
