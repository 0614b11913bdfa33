"""`npyfast.dataset` under tf.distribute: several devices in a process, and several processes."""

from __future__ import annotations

import json
import socket
import subprocess
import textwrap
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

# Devices are split up when TensorFlow starts, so each script has a process of its own.
MIRRORED = """
    import json, sys
    import numpy as np
    import tensorflow as tf
    import npyfast
    path, engine, how = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2

    def made(context=None):
        size = context.get_per_replica_batch_size(12) * 2 if context else 12
        return npyfast.dataset(path, size, True, seed=1, shard=context, engine=engine)

    if how == "function":
        distributed = strategy.distribute_datasets_from_function(made)
    else:
        distributed = strategy.experimental_distribute_dataset(made())
    for epoch in range(2):
        for batch in distributed:
            parts = strategy.experimental_local_results(batch)
            print(json.dumps([part.numpy().tolist() for part in parts]))
        print(json.dumps("epoch"))
"""

MULTI_WORKER = """
    import json, sys
    import tensorflow as tf
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    import npyfast
    path, engine = sys.argv[1:]
    assert strategy.num_replicas_in_sync == 2

    def made(context):
        assert context.num_input_pipelines == 2
        size = context.get_per_replica_batch_size(12)
        return npyfast.dataset(path, size, True, seed=1, shard=context, engine=engine)

    distributed = strategy.distribute_datasets_from_function(made)
    for epoch in range(2):
        for batch in distributed:
            (part,) = strategy.experimental_local_results(batch)
            print(json.dumps(part.numpy().tolist()))
        print(json.dumps("epoch"))
"""

FIT = """
    import json, sys
    import tensorflow as tf
    import npyfast
    x, y, engine = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    made = npyfast.dataset((x, y), 12, True, seed=1, engine=engine)
    history = model.fit(made, epochs=4, shuffle=False, verbose=0).history
    print(json.dumps(history["loss"]))
"""


def unwarned(err: str) -> bool:
    """Whether nothing was said about how the dataset is divided."""
    said = err.lower()
    return not any(word in said for word in ("auto_shard", "auto-shard", "autoshard", "auto-mode"))


def start(script: str, *arguments: Any, **variables: str) -> subprocess.Popen[str]:
    """Starts a script that writes all that TensorFlow has to say to stderr."""
    source = "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(script)
    return processes.start(
        source, *arguments, backend=npyfast.backend, TF_CPP_MIN_LOG_LEVEL="1", **variables
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
    out, err = processes.finish(start(MIRRORED, save(np.arange(ROWS)), engine, how))
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
            workers.append(start(MULTI_WORKER, path, engine, TF_CONFIG=json.dumps(task)))
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
    out, _ = processes.finish(start(FIT, save(x), save(x.sum(axis=1)), engine))
    losses = json.loads(out)
    assert len(losses) == 4
    assert losses[-1] < losses[0]
