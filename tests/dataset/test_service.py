"""`npyfast.dataset` sent to tf.data service: real processes, started as documented."""

from __future__ import annotations

import collections
import itertools
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import expected
import numpy as np
import processes
import pytest
import tensorflow as tf
import tensors
from backends import BACKENDS
from deadlines import SECONDS
from samples import Save, random_array
from tensors import rows_of

import npyfast

pytestmark = [pytest.mark.usefixtures("native"), pytest.mark.slow]

service = tf.data.experimental.service

# Every one of its own, so that a batch is known by its rows.
Y = np.arange(1003)

DYNAMIC = ["distributed_epoch", service.ShardingPolicy.DYNAMIC]


class Service:
    """A dispatcher and workers, each a process that is gone when the test is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        self.address = ""

    def start(self, *arguments: Any, **variables: str) -> subprocess.Popen[str]:
        """Starts Python with these arguments; what it writes to stderr goes to a file."""
        with open(self.folder / f"stderr-{len(self.started)}", "wb") as log:
            process = processes.start_python(*arguments, stderr=log, **variables)
        self.started.append(process)
        return process

    def ready(self, process: subprocess.Popen[str]) -> str:
        """The address of a server, from the line that it prints when it is ready."""
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, self.log(process)
        return line.split()[-1]

    def log(self, process: subprocess.Popen[str]) -> str:
        number = self.started.index(process)
        return (self.folder / f"stderr-{number}").read_text(errors="replace")

    def start_dispatcher(self, *options: Any) -> subprocess.Popen[str]:
        process = self.start("-m", "npyfast.service", "dispatcher", *options)
        self.address = self.ready(process)
        return process

    def start_workers(self, count: int, *options: Any) -> list[subprocess.Popen[str]]:
        command = ("-m", "npyfast.service", "worker", "--dispatcher", self.address, *options)
        workers = [self.start(*command) for _ in range(count)]
        for worker in workers:
            self.ready(worker)
        return workers

    def distribute(self, made: Any, mode: Any, **options: Any) -> Any:
        target = f"grpc://{self.address}"
        return made.apply(service.distribute(processing_mode=mode, service=target, **options))

    def end(self) -> None:
        for process in self.started:
            process.kill()
        for process in self.started:
            process.communicate()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Service]:
    """Nothing yet; the test starts what it wants."""
    made = Service(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A dispatcher and two workers, for tests that leave them as they are."""
    if "native" not in BACKENDS:
        pytest.skip("NPYFAST_TEST_BACKENDS leaves the native backend out")
    made = Service(tmp_path_factory.mktemp("service"))
    try:
        made.start_dispatcher()
        made.start_workers(2)
        yield made
    finally:
        made.end()


def graph(path: Any, *arguments: Any, **options: Any) -> Any:
    return npyfast.dataset(path, *arguments, **options, engine="graph")


def counted(batches: Any) -> collections.Counter[tuple[int, ...]]:
    """How often each batch came."""
    return collections.Counter(tuple(rows) for rows in rows_of(batches))


@pytest.mark.parametrize("mode", DYNAMIC, ids=str)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("run", [{"epochs": 1}, {"epochs": 3, "start_epoch": 4, "start_batch": 7}])
def test_each_batch_comes_from_one_worker(
    running: Service, save: Save, mode: Any, shuffle: bool, run: dict[str, int]
) -> None:
    made = running.distribute(graph(save(Y), 10, shuffle, seed=1, **run), mode)
    seed = 1 if shuffle else None
    assert counted(made) == counted(expected.iteration(1003, batch_size=10, seed=seed, **run))


def test_endless_epochs_follow_each_other(running: Service, save: Save) -> None:
    made = running.distribute(graph(save(Y), 10, True, seed=1, epochs=-1), "distributed_epoch")
    got = counted(made.take(300))
    # The workers may be some batches ahead of what is read.
    ahead = expected.iteration(1003, batch_size=10, seed=1, epochs=-1)
    assert got <= counted(itertools.islice(ahead, 1000))


def test_the_epochs_of_iterations_can_not_be_divided(running: Service, save: Save) -> None:
    made = running.distribute(graph(save(Y), 10, True, seed=1), "distributed_epoch")
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 101 elements"):
        counted(made)


@pytest.mark.parametrize("epochs", [None, 2])
def test_each_worker_gives_each_batch(running: Service, save: Save, epochs: int | None) -> None:
    made = running.distribute(graph(save(Y), 10, True, seed=1, epochs=epochs), "parallel_epochs")
    once = counted(expected.iteration(1003, batch_size=10, seed=1, epochs=epochs))
    assert counted(made) == once + once


@pytest.mark.parametrize("epochs", [None, 1])
def test_each_job_begins_at_the_start(running: Service, save: Save, epochs: int | None) -> None:
    """A job is another process' first iteration: passes over the dataset do not advance epochs."""
    path = save(Y)
    made = running.distribute(
        graph(path, 10, True, seed=1, epochs=epochs, start_epoch=3), "parallel_epochs"
    )
    once = counted(expected.iteration(1003, batch_size=10, seed=1, start_epoch=3, epochs=epochs))
    for _ in range(2):
        assert counted(made) == once + once


@pytest.mark.parametrize("size", [1, 200])
def test_arrays_in_memory_travel(running: Service, save: Save, size: int) -> None:
    """Small ones are copied when the dataset is made, large ones when it is sent."""
    memory = np.repeat(Y[::-1], size).reshape(1003, -1)[::-1]
    made = running.distribute(
        graph((save(Y), memory), 10, True, seed=1, epochs=1), "distributed_epoch"
    )
    seen = [(x.numpy(), y.numpy()) for x, y in made]
    assert sorted(np.concatenate([x for x, _ in seen]).tolist()) == Y.tolist()
    for x, y in seen:
        assert (x[:, np.newaxis] == y).all()


def test_the_dataset_has_its_element_spec(running: Service, save: Save) -> None:
    made = graph({"y": save(Y)}, 10, True, epochs=1, drop_remainder=True)
    assert running.distribute(made, "distributed_epoch").element_spec == made.element_spec


@pytest.mark.parametrize(
    "rows",
    [None, slice(3, 900, 2), np.arange(1002, 500, -3), Y % 5 == 0, npyfast.split(Y, seed=2**63)[1]],
)
def test_every_kind_of_row_travels(running: Service, save: Save, tmp_path: Path, rows: Any) -> None:
    structure = np.dtype([("box", ">f4", (2, 2)), ("name", "U5"), ("when", "M8[s]")])
    source = {
        "number": Y,
        "bytes": random_array(np.dtype("S7"), (1003, 3)),
        "text": random_array(np.dtype("U4"), (1003,)),
        "fields": random_array(structure, (1003,)),
        "half": random_array(np.dtype("f2"), (1003, 5)),
    }
    paths: dict[str, Any] = {key: save(array) for key, array in source.items()}
    paths["text"] = [save(source["text"][:400]), save(source["text"][400:])]
    small = np.arange(6 * 1003, dtype=">i2").reshape(1003, 6)
    np.savez(tmp_path / "archive.npz", other=Y, small=small)
    small.tofile(tmp_path / "small.bin")
    (tmp_path / "files").mkdir()
    for number, row in enumerate(small):
        np.save(tmp_path / "files" / f"{number}.npy", row)
    scale = np.arange(3) / 7
    source["member"] = source["files"] = small
    source["cast"] = small.reshape(1003, 2, 3).astype("f4") * scale.astype("f4") + np.float32(1)
    paths["member"] = npyfast.source(tmp_path / "archive.npz", key="small")
    paths["files"] = npyfast.source(tmp_path / "files", per_file="row")
    paths["cast"] = npyfast.source(
        tmp_path / "small.bin",
        dtype=">i2",
        shape=(-1, 6),
        row_shape=(2, 3),
        cast="float32",
        scale=scale,
        shift=1,
    )
    made = running.distribute(
        graph(paths, 10, True, seed=1, rows=rows, epochs=1), "distributed_epoch"
    )
    got = []
    for batch in made:
        numbers = batch["number"].numpy()
        tensors.assert_same(batch, expected.element(source, numbers))
        got.append(numbers)
    assert counted(got) == counted(expected.iteration(1003, batch_size=10, seed=1, rows=rows))


def test_models_fit_from_it(running: Service, save: Save) -> None:
    x = np.random.default_rng(0).standard_normal((1003, 4), dtype="f4")
    made = graph((save(x), save(x.sum(axis=1))), 10, True, seed=1, epochs=3)
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    # One job for all epochs: fit() goes on with the same iterator where it knows the steps.
    history = model.fit(
        running.distribute(made, "distributed_epoch"),
        epochs=3,
        steps_per_epoch=101,
        shuffle=False,
        verbose=0,
    ).history["loss"]
    assert len(history) == 3
    assert history[-1] < history[0] / 10


def test_a_file_that_workers_can_not_see(running: Service, save: Save) -> None:
    path = save(Y)
    made = running.distribute(graph(path, 10, True, epochs=1), "distributed_epoch")
    Path(path).unlink()
    with pytest.raises(tf.errors.NotFoundError) as caught:
        list(made)
    assert path in str(caught.value)


def test_an_iterator_can_not_be_saved(running: Service, save: Save, tmp_path: Path) -> None:
    """TensorFlow has no checkpoints of its service; the documents say so."""
    made = running.distribute(graph(save(Y), 10, epochs=1), "distributed_epoch")
    iterator = iter(made)
    with pytest.raises(tf.errors.UnimplementedError):
        tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "checkpoint"))


def test_one_worker_keeps_the_order(cluster: Service, save: Save) -> None:
    cluster.start_dispatcher()
    cluster.start_workers(1)
    made = graph(save(Y), 10, True, seed=1, epochs=3)
    order = rows_of(expected.iteration(1003, batch_size=10, seed=1, epochs=3))
    for mode in ("parallel_epochs", "distributed_epoch"):
        assert rows_of(cluster.distribute(made, mode)) == order


def free_port() -> int:
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])


def test_workers_die_join_and_come_back(cluster: Service, save: Save) -> None:
    """What a dead worker had in hand is lost, and no batch comes twice. The job ends once the dead
    worker is back, at its address."""
    count = 30_000
    cluster.start_dispatcher()
    port = free_port()
    (dies,) = cluster.start_workers(1, "--port", port)
    cluster.start_workers(1)
    made = graph(save(np.arange(count)), 10, True, seed=1, epochs=1)
    batches = iter(cluster.distribute(made, "distributed_epoch", max_outstanding_requests=4))
    got = rows_of(itertools.islice(batches, 200))
    dies.kill()
    dies.wait(processes.TIMEOUT)
    got += rows_of(itertools.islice(batches, 200))
    cluster.start_workers(1)
    got += rows_of(itertools.islice(batches, 200))
    cluster.start_workers(1, "--port", port)
    got += rows_of(batches)
    every = counted(expected.iteration(count, batch_size=10, seed=1))
    assert counted(got) <= every
    # As much as lay in its buffers.
    assert len(every) - len(got) < 300


def test_a_dispatcher_with_a_journal_is_started_again(cluster: Service, save: Save) -> None:
    """The job goes on, and no batch comes twice."""
    options = ("--port", free_port(), "--work-dir", cluster.folder / "journal")
    dispatcher = cluster.start_dispatcher(*options)
    cluster.start_workers(2, "--heartbeat", 0.5)
    made = graph(save(np.arange(30_000)), 10, True, seed=1, epochs=1)
    batches = iter(cluster.distribute(made, "distributed_epoch", max_outstanding_requests=4))
    got = rows_of(itertools.islice(batches, 200))
    dispatcher.kill()
    dispatcher.wait(processes.TIMEOUT)
    cluster.start_dispatcher(*options)
    got += rows_of(batches)
    every = counted(expected.iteration(30_000, batch_size=10, seed=1))
    assert counted(got) <= every
    # A dispatcher that is killed after it has written a batch's number to its journal, and before
    # it has answered, has given that batch away. Each worker waits for one answer at a time.
    assert len(every) - len(got) <= 2


@pytest.mark.parametrize("ops", [False, True])
def test_a_worker_of_ones_own(cluster: Service, save: Save, ops: bool) -> None:
    cluster.start_dispatcher()
    worker = cluster.start(
        processes.PROGRAMS / "worker_server.py", cluster.address, "ops" if ops else "none"
    )
    cluster.ready(worker)
    made = cluster.distribute(graph(save(Y), 10, True, seed=1, epochs=1), "distributed_epoch")
    if ops:
        assert rows_of(made) == rows_of(expected.iteration(1003, batch_size=10, seed=1))
    else:
        with pytest.raises(tf.errors.OpError, match="NpyfastBatch"):
            list(made)


class TestCommand:
    """`python -m npyfast.service`."""

    @pytest.mark.usefixtures("interruptible")
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_ends_at_a_signal(self, cluster: Service, number: signal.Signals) -> None:
        dispatcher = cluster.start_dispatcher()
        (worker,) = cluster.start_workers(1)
        for process in (worker, dispatcher):
            process.send_signal(number)
            assert process.wait(processes.TIMEOUT) == 0, cluster.log(process)
            assert "Traceback" not in cluster.log(process)

    def test_listens_where_it_says(self, cluster: Service) -> None:
        port = free_port()
        cluster.start_dispatcher("--port", port)
        assert cluster.address == f"localhost:{port}"
        command = ("-m", "npyfast.service", "worker", "--dispatcher", cluster.address)
        worker = cluster.start(*command, "--address", "127.0.0.2")
        host, found = cluster.ready(worker).split(":")
        assert host == "127.0.0.2"
        socket.create_connection((host, int(found)), timeout=SECONDS).close()
        # A dispatcher and a worker refuse a port that is taken, which gRPC would share.
        taken = ("--port", port)
        for process in (
            cluster.start("-m", "npyfast.service", "dispatcher", *taken),
            cluster.start(*command, *taken),
        ):
            assert process.wait(processes.TIMEOUT) == 1
            assert self.last_line(cluster, process).endswith(
                f"error: cannot listen on port {port}: Address already in use"
            )

    def last_line(self, cluster: Service, process: subprocess.Popen[str]) -> str:
        return cluster.log(process).strip().splitlines()[-1]

    def test_waits_for_the_dispatcher(self, cluster: Service, save: Save) -> None:
        port = free_port()
        worker = cluster.start(
            *("-m", "npyfast.service", "worker", "--dispatcher", f"localhost:{port}")
        )
        cluster.start_dispatcher("--port", port)
        cluster.ready(worker)
        made = cluster.distribute(graph(save(Y), 10, epochs=1), "parallel_epochs")
        assert rows_of(made) == rows_of(expected.iteration(1003, batch_size=10))

    def test_no_dispatcher(self, cluster: Service) -> None:
        address = f"localhost:{free_port()}"
        worker = cluster.start(
            *("-m", "npyfast.service", "worker", "--dispatcher", address, "--wait", 0.5)
        )
        assert worker.wait(processes.TIMEOUT) == 1
        assert self.last_line(cluster, worker).endswith(
            f"no dispatcher can be reached at {address} (Connection refused): start it first, or "
            "check --dispatcher"
        )

    def test_no_library(self, cluster: Service) -> None:
        package = Path(npyfast.__file__).parent
        shutil.copytree(
            package, cluster.folder / "npyfast", ignore=shutil.ignore_patterns("_tensorflow.so")
        )
        dispatcher = cluster.start(
            "-m", "npyfast.service", "dispatcher", PYTHONPATH=str(cluster.folder)
        )
        assert dispatcher.wait(processes.TIMEOUT) == 1
        assert self.last_line(cluster, dispatcher).endswith(
            "error: the graph engine is not available: npyfast was installed without _tensorflow.so"
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "the following arguments are required: dispatcher|worker"),
            ("worker", "the following arguments are required: --dispatcher"),
            (
                "worker --dispatcher here",
                "--dispatcher: the port is missing: HOST:PORT, not 'here'",
            ),
            ("worker --dispatcher here:x", "an address is HOST:PORT, such as"),
            ("worker --dispatcher here:70000", "an address is HOST:PORT, such as"),
            ("worker --dispatcher grpc://here:1", "an address is HOST:PORT, such as"),
            ("dispatcher --port 70000", "--port: a port is an integer from 0 to 65535"),
            (
                "worker --dispatcher here:1 --wait 0",
                "a time is a number of seconds above 0, not '0'",
            ),
        ],
    )
    def test_wrong_arguments(self, arguments: str, message: str) -> None:
        process = processes.start_python("-m", "npyfast.service", *arguments.split())
        out, err = processes.finish(process, status=2)
        assert out == ""
        assert message in err.splitlines()[-1]
