"""An iterator over `npyfast.dataset` is saved and restored by tf.train.Checkpoint: no batch is
lost, none comes twice, and no other rows come than the interrupted run would have read.
"""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import expected
import keras  # type: ignore[import-untyped]
import numpy as np
import processes
import pytest
import tensorflow as tf
from expected import RUNS, epoch_batches
from samples import Save
from tensors import rows_of

import npyfast
from npyfast._engines.indexes import make_indexes
from npyfast._order import full as _order

pytestmark = pytest.mark.usefixtures("native")

Y = np.arange(103)


def graph(path: str, *arguments: Any, **options: Any) -> Any:
    return npyfast.dataset(path, *arguments, **options, engine="graph")


def with_symbolic_checkpoints(made: Any) -> Any:
    options = tf.data.Options()
    options.experimental_symbolic_checkpoint = True
    return made.with_options(options)


def write(folder: Path, **parts: Any) -> str:
    return str(tf.train.Checkpoint(**parts).write(str(folder / "checkpoint")))


def restored(made: Any, prefix: str) -> Any:
    """A new iterator over the dataset, at the saved position."""
    iterator = iter(made)
    tf.train.Checkpoint(iterator=iterator).read(prefix).assert_consumed()
    return iterator


def read(iterator: Any, count: int | None = None) -> list[list[int]]:
    return rows_of(itertools.islice(iterator, count))


KINDS = pytest.mark.parametrize(
    "kind", [lambda made: made, with_symbolic_checkpoints], ids=["default", "symbolic"]
)


@KINDS
@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(3, 20)], ids=repr)
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_goes_on_where_it_was_saved(
    save: Save, tmp_path: Path, kind: Any, shuffle: Any, run: dict[str, Any]
) -> None:
    path = save(Y)
    seed = 1 if shuffle else None
    blocks = None if isinstance(shuffle, bool) else (3, 20)
    wanted = expected.iteration(103, batch_size=10, seed=seed, blocks=blocks, **run)
    rows = rows_of(itertools.islice(wanted, 40))
    # Before the first batch, in the middle, before the last of an epoch, behind it; at the end.
    for done in sorted({0, 4, 10, 11, len(rows)}):
        iterator = iter(kind(graph(path, 10, shuffle, seed=1, **run)))
        assert read(iterator, done) == rows[:done]
        prefix = write(tmp_path, iterator=iterator)
        again = restored(kind(graph(path, 10, shuffle, seed=1, **run)), prefix)
        assert read(again, len(rows) - done) == rows[done:]
        if run["epochs"] != -1:
            assert next(again, None) is None
        # Saving disturbs nobody.
        assert read(iterator, len(rows) - done) == rows[done:]


@KINDS
def test_an_iterator_that_has_been_read_is_restored(save: Save, tmp_path: Path, kind: Any) -> None:
    iterator = iter(kind(graph(save(Y), 10, True, seed=1, epochs=2)))
    first = read(iterator, 3)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    prefix = checkpoint.write(str(tmp_path / "checkpoint"))
    then = read(iterator, 12)
    checkpoint.read(prefix).assert_consumed()
    assert read(iterator, 12) == then
    assert first + then == rows_of(expected.iteration(103, batch_size=10, seed=1, epochs=2))[:15]


@KINDS
@pytest.mark.parametrize("done", [1, 4, 10, 11])
@pytest.mark.parametrize("start_epoch", [0, 5])
def test_the_epoch_after_the_restored_one_is_the_next(
    save: Save, tmp_path: Path, kind: Any, start_epoch: int, done: int
) -> None:
    path = save(Y)
    epochs = [
        rows_of(epoch_batches(103, batch_size=10, seed=1, epoch=start_epoch + k)) for k in range(6)
    ]
    made = kind(graph(path, 10, True, seed=1, start_epoch=start_epoch))
    for k in range(3):
        assert rows_of(made) == epochs[k]
    iterator = iter(made)
    assert read(iterator, done) == epochs[3][:done]
    iter(made)  # not read, and so no epoch
    prefix = write(tmp_path, iterator=iterator)

    again = kind(graph(path, 10, True, seed=1, start_epoch=start_epoch))
    assert read(restored(again, prefix)) == epochs[3][done:]
    assert rows_of(again) == epochs[4]
    assert rows_of(again) == epochs[5]


PIPELINES: dict[str, Callable[[Any], Any]] = {
    "map": lambda made: made.map(lambda y: y * 2),
    "parallel map": lambda made: made.map(lambda y: y * 2, num_parallel_calls=4),
    "prefetch": lambda made: made.prefetch(3),
    "autotuned prefetch": lambda made: made.prefetch(tf.data.AUTOTUNE),
    "repeat": lambda made: made.repeat(2),
    "take": lambda made: made.take(9),
    "skip": lambda made: made.skip(2),
    "enumerate": lambda made: made.enumerate().map(lambda i, y: y + i),
    "rebatch": lambda made: made.unbatch().batch(7),
    "all": lambda made: made.map(lambda y: y + 1).repeat(3).take(25).prefetch(2),
}


@KINDS
@pytest.mark.parametrize("epochs", [None, 2])
@pytest.mark.parametrize("name", PIPELINES)
def test_with_what_a_user_puts_behind_it(
    save: Save, tmp_path: Path, kind: Any, epochs: int | None, name: str
) -> None:
    path = save(Y)

    def make() -> Any:
        return kind(PIPELINES[name](graph(path, 10, True, seed=1, epochs=epochs)))

    whole = rows_of(make())
    assert len(whole) >= 9
    for done in (0, 5, len(whole) - 1):
        iterator = iter(make())
        assert read(iterator, done) == whole[:done]
        assert read(restored(make(), write(tmp_path, iterator=iterator))) == whole[done:]


@KINDS
def test_two_datasets_zipped(save: Save, tmp_path: Path, kind: Any) -> None:
    paths = save(Y), save(Y)

    def make() -> Any:
        parts = tuple(graph(path, 10, True, seed=seed) for seed, path in enumerate(paths))
        return kind(tf.data.Dataset.zip(parts)).map(lambda a, b: tf.stack([a, b]))

    whole: Any = rows_of(make())
    assert whole == [
        [a, b]
        for a, b in zip(
            rows_of(epoch_batches(103, batch_size=10, seed=0)),
            rows_of(epoch_batches(103, batch_size=10, seed=1)),
            strict=True,
        )
    ]
    iterator = iter(make())
    assert read(iterator, 5) == whole[:5]
    assert read(restored(make(), write(tmp_path, iterator=iterator))) == whole[5:]


@pytest.mark.parametrize("rows", [slice(3, 90, 2), list(range(90, 0, -3))], ids=["slice", "list"])
def test_a_subset_and_a_shard(save: Save, tmp_path: Path, rows: Any) -> None:
    path = save(Y)
    options: dict[str, Any] = {"seed": 1, "rows": rows, "shard": (1, 2)}
    whole = [
        batch
        for k in range(2)
        for batch in rows_of(epoch_batches(103, batch_size=4, epoch=k, **options))
    ]
    iterator = iter(graph(path, 4, True, epochs=2, **options))
    assert read(iterator, 5) == whole[:5]
    prefix = write(tmp_path, iterator=iterator)
    assert read(restored(graph(path, 4, True, epochs=2, **options), prefix)) == whole[5:]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [None, 3, -1])
def test_in_a_new_process(save: Save, tmp_path: Path, epochs: int | None) -> None:
    path = save(Y)
    iterator = iter(graph(path, 10, True, seed=1, epochs=epochs))
    read(iterator, 4)
    prefix = write(tmp_path, iterator=iterator)
    out, _ = processes.finish(
        processes.start(
            "dataset_from_a_checkpoint.py",
            path,
            prefix,
            json.dumps(epochs),
            backend="native",
        )
    )
    rest, first = json.loads(out)
    epoch = rows_of(epoch_batches(103, batch_size=10, seed=1))
    assert rest == epoch[4:]
    following = rows_of(epoch_batches(103, batch_size=10, seed=1, epoch=1))
    assert first == (following if epochs is None else epoch)[0]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [None, 1])
def test_killed_and_started_again(save: Save, tmp_path: Path, epochs: int | None) -> None:
    arguments = ("train_with_checkpoints.py", save(Y), tmp_path / "checkpoints", json.dumps(epochs))
    uninterrupted = [
        batch
        for k in range(4)
        for batch in rows_of(
            epoch_batches(103, batch_size=10, seed=1, epoch=k if epochs is None else 0)
        )
    ]
    seen: list[list[int]] = []
    # In the first epoch, in the second, and just after an epoch's end.
    for kill_after in (6, 20, 34):
        process = processes.start(*arguments, backend="native")
        assert process.stdout is not None
        for line in process.stdout:
            value = json.loads(line)
            if isinstance(value, list):
                seen.append(value)
            elif "from" in value:
                # What came after the checkpoint was lost with the process.
                seen = seen[: value["from"]]
            if len(seen) >= kill_after:
                break
        process.send_signal(signal.SIGKILL)
        processes.finish(process, -signal.SIGKILL)
        assert seen == uninterrupted[: len(seen)]
    out, _ = processes.finish(processes.start(*arguments, backend="native"))
    values = [json.loads(line) for line in out.splitlines()]
    assert values[0]["from"] > 20
    seen = seen[: values[0]["from"]] + [value for value in values if isinstance(value, list)]
    assert seen == uninterrupted


@pytest.mark.parametrize("epochs", [None, 2, -1])
def test_a_checkpoint_is_small(save: Save, tmp_path: Path, epochs: int | None) -> None:
    # Batches of 1 MiB, many of them made ahead.
    path = save(np.zeros((512, 1 << 15), "u1"))
    iterator = iter(graph(path, 32, True, seed=1, epochs=epochs))
    for _ in range(3):
        next(iterator)
    write(tmp_path, iterator=iterator)
    files = list(tmp_path.glob("checkpoint*"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 16 << 10


class TestAnotherDataset:
    """A checkpoint of it is refused: its position would mean other rows."""

    BASE: ClassVar[dict[str, Any]] = {"batch_size": 10, "shuffle": True, "seed": 1}

    @pytest.mark.parametrize("epochs", [None, 3, -1])
    @pytest.mark.parametrize(
        "other",
        [
            {"seed": 2},
            {"seed": None},
            {"shuffle": False},
            {"shuffle": "block"},
            {"batch_size": 11},
            {"batch_size": 9},
            {"drop_remainder": True},
            {"rows": slice(0, 100)},
            {"rows": slice(1, None)},
            {"rows": list(range(102, -1, -1))},
            {"shard": (0, 2)},
            {"start_epoch": 1},
        ],
        ids=str,
    )
    def test_of_other_options(
        self, save: Save, tmp_path: Path, epochs: int | None, other: dict[str, Any]
    ) -> None:
        path = save(Y)
        iterator = iter(graph(path, **self.BASE, epochs=epochs))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        # Without a shuffle, epochs=None takes another form, which TensorFlow itself refuses.
        errors = tf.errors.FailedPreconditionError
        if epochs is None and other == {"shuffle": False}:
            errors = (errors, tf.errors.NotFoundError)
        with pytest.raises(errors) as caught:
            next(restored(graph(path, **{**self.BASE, **other}, epochs=epochs), prefix))
        if isinstance(caught.value, tf.errors.FailedPreconditionError):
            assert "checkpoint of another dataset" in str(caught.value)
            assert path in str(caught.value)

    @pytest.mark.parametrize("epochs", [None, 3, -1])
    @pytest.mark.parametrize("other", [(3, 40), (4, 20), (20, 3), None], ids=repr)
    def test_of_other_block_sizes(
        self, save: Save, tmp_path: Path, epochs: int | None, other: tuple[int, int] | None
    ) -> None:
        path = save(Y)
        iterator = iter(graph(path, 10, npyfast.BlockShuffle(3, 20), seed=1, epochs=epochs))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        shuffle = npyfast.BlockShuffle(*other) if other else True
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            next(restored(graph(path, 10, shuffle, seed=1, epochs=epochs), prefix))

    @pytest.mark.parametrize("start", [({}, {"start_batch": 2}), ({"start_batch": 2}, {})])
    def test_of_another_start(self, save: Save, tmp_path: Path, start: Any) -> None:
        path = save(Y)
        iterator = iter(graph(path, **self.BASE, epochs=2, **start[0]))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            next(restored(graph(path, **self.BASE, epochs=2, **start[1]), prefix))

    @pytest.mark.parametrize("epochs", [None, 3, -1])
    def test_of_another_length_or_dtype(
        self, save: Save, tmp_path: Path, epochs: int | None
    ) -> None:
        iterator = iter(graph(save(Y), **self.BASE, epochs=epochs))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        for other in (np.arange(104), np.arange(102), np.arange(103, dtype="i4"), Y[:, None]):
            with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
                next(restored(graph(save(other), **self.BASE, epochs=epochs), prefix))

    @KINDS
    @pytest.mark.parametrize("epochs", [None, 3, -1])
    @pytest.mark.parametrize(
        "other",
        [
            {"batch_size": 50},
            {"batch_size": 103},
            {"batch_size": 1},
            {"rows": slice(0, 10)},
            {"rows": [5]},
            {"shard": (0, 10)},
            {"seed": 2},
            {"drop_remainder": True},
        ],
        ids=str,
    )
    def test_wherever_it_was(
        self, save: Save, tmp_path: Path, kind: Any, epochs: Any, other: dict[str, Any]
    ) -> None:
        """Also where the other dataset has fewer batches, and would be at its end by number."""
        path = save(Y)
        for done in (1, 10, *((17, 32) if epochs else ())):
            iterator = iter(kind(graph(path, **self.BASE, epochs=epochs)))
            read(iterator, done)
            prefix = write(tmp_path, iterator=iterator)
            again = kind(graph(path, **{**self.BASE, **other}, epochs=epochs))
            with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
                read(restored(again, prefix), 1)

    @pytest.mark.parametrize("epochs", [None, 2])
    def test_of_other_files(self, save: Save, tmp_path: Path, epochs: Any) -> None:
        parts = [save(Y[:40], "d/1.npy"), save(Y[40:80], "d/2.npy"), save(Y[80:], "d/3.npy")]
        iterator = iter(graph(parts, **self.BASE, epochs=epochs))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        for others in (
            [parts[1], parts[0], parts[2]],
            [save(Y[:39], "e/1.npy"), save(Y[39:80], "e/2.npy"), save(Y[80:], "e/3.npy")],
            save(Y),
        ):
            with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
                read(restored(graph(others, **self.BASE, epochs=epochs), prefix), 1)
        copies = [save(Y[:40], "f/1.npy"), save(Y[40:80], "f/2.npy"), save(Y[80:], "f/3.npy")]
        again = restored(graph(copies, **self.BASE, epochs=epochs), prefix)
        assert read(again) == read(iterator)

    @pytest.mark.parametrize("epochs", [None, 2])
    def test_of_another_version_of_the_order(self, save: Save, tmp_path: Path, epochs: Any) -> None:
        path = save(Y)
        iterator = iter(graph(path, **self.BASE, epochs=epochs))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        with mock.patch.object(_order, "ORDER_VERSION", 2):
            again = graph(path, **self.BASE, epochs=epochs)
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            read(restored(again, prefix), 1)

    def test_every_listed_row_counts(self, save: Save, tmp_path: Path) -> None:
        path, rows = save(Y), np.arange(150_000) % 103
        options = {**self.BASE, "batch_size": 1000, "epochs": 1}
        iterator = iter(graph(path, **options, rows=rows))
        read(iterator, 4)
        prefix = write(tmp_path, iterator=iterator)
        rows[1] += 1
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            read(restored(graph(path, **options, rows=rows), prefix), 1)

    def test_at_its_very_end(self, save: Save, tmp_path: Path) -> None:
        """Where the iterator that is restored has nothing left to refuse it by."""
        path = save(Y)
        iterator = iter(graph(path, **self.BASE, epochs=2))
        read(iterator)
        prefix = write(tmp_path, iterator=iterator)
        for other in ({"seed": 2}, {"batch_size": 5}, {"batch_size": 20}):
            again = restored(graph(path, **{**self.BASE, **other}, epochs=2), prefix)
            try:
                rows = read(again)
            except tf.errors.FailedPreconditionError:
                continue
            assert rows == []  # at the end as well: no row is wrong


def layout(made: Any) -> tuple[int, int, int]:
    """Start, stop and step of the range that is below a dataset of explicit epochs."""
    found: list[Any] = []
    with mock.patch.object(tf.data.Dataset, "range", side_effect=lambda *a: found.append(a)):
        make_indexes(made)
    return found[0]  # type: ignore[no-any-return]


def test_no_place_lies_behind_the_end_of_another_dataset(save: Save) -> None:
    """Of as many epochs, whatever the options: where the op doesn't see it, nothing refuses it."""
    path = save(np.zeros(3_000, "u1"))
    layouts = [
        (
            epochs,
            *layout(
                npyfast.batches(path, size, True, rows=slice(0, rows), epochs=epochs)._batching
            ),
        )
        for epochs in (1, 2, 100, 1024, 2000)
        for size in (1, 2, 3, 64, 1000, 3000)
        for rows in (1, 2, 999, 1000, 3000)
    ]
    for (epochs, start, stop, step), (others, _, other_stop, _) in itertools.product(
        layouts, layouts
    ):
        if epochs == others:
            last = start + (stop - start - 1) // step * step
            assert last < other_stop


@KINDS
def test_moved_files_are_the_same_dataset(save: Save, tmp_path: Path, kind: Any) -> None:
    iterator = iter(kind(graph(save(Y), 10, True, seed=1, epochs=2)))
    read(iterator, 4)
    prefix = write(tmp_path, iterator=iterator)
    again = restored(kind(graph(save(Y, "elsewhere/y.npy"), 10, True, seed=1, epochs=2)), prefix)
    whole = rows_of(expected.iteration(103, batch_size=10, seed=1, epochs=2))
    assert read(again) == whole[4:]


@KINDS
def test_threads_and_readahead_may_differ(save: Save, tmp_path: Path, kind: Any) -> None:
    path = save(Y)
    iterator = iter(kind(graph(path, 10, True, seed=1, threads=1)))
    read(iterator, 4)
    prefix = write(tmp_path, iterator=iterator)
    again = restored(kind(graph(path, 10, True, seed=1, threads=3, readahead="off")), prefix)
    assert read(again) == rows_of(epoch_batches(103, batch_size=10, seed=1))[4:]


@KINDS
@pytest.mark.parametrize("done", [4, 15, 22])
def test_more_epochs_than_before(save: Save, tmp_path: Path, kind: Any, done: int) -> None:
    path = save(Y)
    iterator = iter(kind(graph(path, 10, True, seed=1, epochs=2)))
    read(iterator, done)
    prefix = write(tmp_path, iterator=iterator)
    whole = rows_of(expected.iteration(103, batch_size=10, seed=1, epochs=4))
    again = restored(kind(graph(path, 10, True, seed=1, epochs=4)), prefix)
    assert read(again) == whole[done:]


class Training:
    """A model of one weight that the order of the rows shows in; Keras' optimizer has a state."""

    def __init__(self, dataset: Any, folder: Path) -> None:
        self.weight = tf.Variable(0.0)
        self.optimizer = keras.optimizers.SGD(0.01, momentum=0.5)
        self.optimizer.build([self.weight])
        self.iterator = iter(dataset)
        self.manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                weight=self.weight,
                optimizer=tf.train.Checkpoint(variables=list(self.optimizer.variables)),
                iterator=self.iterator,
            ),
            str(folder),
            max_to_keep=1,
        )
        self.manager.restore_or_initialize()

    def run(self, steps: int | None = None) -> float:
        for y in itertools.islice(self.iterator, steps):
            with tf.GradientTape() as tape:
                target = tf.reduce_mean(tf.cast(y, tf.float32)) / 100
                loss = (self.weight - target) ** 2
            self.optimizer.apply_gradients([(tape.gradient(loss, self.weight), self.weight)])
        return float(self.weight)


def test_a_training_loop_with_a_checkpoint_manager(save: Save, tmp_path: Path) -> None:
    path = save(Y)

    def training(folder: str) -> Training:
        return Training(graph(path, 10, True, seed=1, epochs=3), tmp_path / folder)

    whole = training("whole").run()
    for steps in (7, 11, 9):
        part = training("part")
        part.run(steps)
        part.manager.save()
    assert training("part").run() == whole


# fit's default, for every tf.data.Dataset.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored:UserWarning")
def test_keras_goes_on_with_the_epoch_that_it_was_interrupted_in(
    save: Save, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((103, 4), dtype="f4")
    paths = save(x), save(x.sum(axis=1))

    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 26:
                raise KeyboardInterrupt

    def fit(folder: str, interrupted: bool) -> list[Any]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        backup = tmp_path / folder / "training_metadata.json"
        # What the callback is going to restore.
        start = json.loads(backup.read_text())["epoch"] if backup.exists() else 0
        made = npyfast.dataset(paths, 10, True, seed=1, start_epoch=start, engine="graph")
        callbacks = [keras.callbacks.BackupAndRestore(str(tmp_path / folder))]
        if interrupted:
            callbacks.append(Stop())
        model.fit(made, epochs=5, callbacks=callbacks, verbose=0)
        return list(model.get_weights())

    whole = fit("whole", False)
    with pytest.raises(KeyboardInterrupt):
        fit("part", True)
    for a, b in zip(fit("part", False), whole, strict=True):
        np.testing.assert_array_equal(a, b)
