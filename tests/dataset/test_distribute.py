"""`npyfast.dataset` under tf.distribute: several devices in a process, and several processes."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import expected
import numpy as np
import processes
import pytest
from samples import Save
from tensors import rows_of

import npyfast

ROWS = 103
BATCH = 12  # of all workers together


def unwarned(err: str) -> bool:
    """Whether nothing was said about how the dataset is divided."""
    said = err.lower()
    return not any(word in said for word in ("auto_shard", "auto-shard", "autoshard", "auto-mode"))


def start(program: str, *arguments: Any, **variables: str) -> subprocess.Popen[str]:
    """Starts a program that writes all that TensorFlow has to say to stderr."""
    return processes.start(
        program, *arguments, backend=npyfast.backend, TF_CPP_MIN_LOG_LEVEL="1", **variables
    )


def epochs_of(out: str) -> list[list[Any]]:
    """What a script printed, by epoch."""
    epochs: list[list[Any]] = [[]]
    for line in out.splitlines():
        value = json.loads(line)
        if value == "epoch":
            epochs.append([])
        else:
            epochs[-1].append(value)
    assert epochs.pop() == []
    return epochs


def global_batches(epoch: int) -> list[list[int]]:
    return rows_of(expected.epoch_batches(ROWS, batch_size=BATCH, seed=1, epoch=epoch))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["function", "dataset"])
def test_two_devices(save: Save, engine: str, how: str) -> None:
    out, err = processes.finish(start("mirrored_strategy.py", save(np.arange(ROWS)), engine, how))
    epochs = epochs_of(out)
    assert len(epochs) == 2
    for epoch, batches in enumerate(epochs):
        if how == "dataset":
            # A global batch is cut into the devices' parts.
            joined = [[row for part in parts for row in part] for parts in batches]
            assert [batch for batch in joined if batch] == global_batches(epoch)
        else:
            # One worker of the one that there is: the devices take turns, a batch each.
            each = [part for parts in batches for part in parts if part]
            assert each == global_batches(epoch)
    if how == "function":
        assert unwarned(err), err


def free_ports(count: int) -> Iterator[int]:
    listeners = [socket.create_server(("", 0)) for _ in range(count)]
    for listener in listeners:
        yield listener.getsockname()[1]
        listener.close()


@pytest.mark.slow
def test_two_processes(save: Save, engine: str) -> None:
    path = save(np.arange(ROWS))
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    try:
        for index in range(2):
            task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            workers.append(
                start("multi_worker_strategy.py", path, engine, TF_CONFIG=json.dumps(task))
            )
        results = [processes.finish(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    parts = [epochs_of(out) for out, _ in results]
    for epoch in range(2):
        joined = [[*a, *b] for a, b in zip(parts[0][epoch], parts[1][epoch], strict=True)]
        assert [batch for batch in joined if batch] == global_batches(epoch)
    for _, err in results:
        assert unwarned(err), err


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_global_order_is_the_same(save: Save, dataset: Any, count: int) -> None:
    path = save(np.arange(ROWS))
    made = [dataset(path, BATCH // count, True, seed=1, shard=(i, count)) for i in range(count)]
    for epoch in range(2):
        parts = zip(*map(rows_of, made), strict=True)
        joined = [[row for part in batch for row in part] for batch in parts]
        assert joined == global_batches(epoch)


@pytest.mark.slow
def test_keras_fits_on_two_devices(save: Save, engine: str) -> None:
    x = np.random.default_rng(0).standard_normal((ROWS, 4), dtype="f4")
    out, _ = processes.finish(start("fit_on_two_devices.py", save(x), save(x.sum(axis=1)), engine))
    losses = json.loads(out)
    assert len(losses) == 4
    assert losses[-1] < losses[0]
