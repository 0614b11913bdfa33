"""`npyfast.SetEpoch`: each epoch of `fit` is that epoch of the order, and an interrupted `fit` goes
on where it was, by every engine."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
from pathlib import Path
from typing import Any

import expected
import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from processes import finish, start
from samples import Dataset, Save
from tensors import rows_of

import npyfast

pytestmark = [
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored:UserWarning"),
]

ROWS = np.arange(103)
BATCHES = 11

Steps = list[list[int]]


class Recorder(keras.Sequential):  # type: ignore[misc]
    """Notes the rows that it is trained on."""

    def __init__(self) -> None:
        super().__init__([keras.Input((1,)), keras.layers.Dense(1)])
        self.trained: Steps = []

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.trained.append([int(row) for row in y.numpy()])
        return super().train_step((x, y))


class Stop(Exception):
    """The end of a process, without starting another one."""


class StopAfter(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, steps: int | None) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if len(self.model.trained) == self.steps:
            raise Stop


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) == self.step:
            raise Stop


def recorder(optimizer: Any = "sgd", **options: Any) -> Recorder:
    model = Recorder()
    model.compile(optimizer, "mse", run_eagerly=True, **options)
    return model


def pairs(ds: tf.data.Dataset) -> tf.data.Dataset:
    return ds.map(lambda row: (tf.cast(row, tf.float32)[:, None] / 1000, row))


def fit(ds: Any, *callbacks: Any, stop: int | None = None, **options: Any) -> Steps:
    """The rows of the steps that a new model makes until it is stopped."""
    model = options.pop("model", None) or recorder()
    before = len(model.trained)
    with contextlib.suppress(Stop):
        model.fit(
            ds,
            **{"epochs": 4, "verbose": 0, **options},
            callbacks=[*callbacks, StopAfter(None if stop is None else before + stop)],
        )
    return model.trained[before:]


def epochs_of(*epochs: int, batch_size: int = 10, seed: int | None = 1) -> Steps:
    return [
        batch.tolist()
        for epoch in epochs
        for batch in expected.epoch_batches(103, batch_size=batch_size, seed=seed, epoch=epoch)
    ]


WHOLE = epochs_of(0, 1, 2, 3)


def backup(folder: Path, save_freq: Any) -> Any:
    return keras.callbacks.BackupAndRestore(str(folder / "backup"), save_freq=save_freq)


@pytest.mark.parametrize(
    ("save_freq", "stops"), [("epoch", [25]), (7, [5, 25]), (3, [14, 5, 6]), (4, [11, 22])]
)
@pytest.mark.parametrize("prefetch", [0, 2])
def test_goes_on_where_the_backup_was_made(
    dataset: Dataset, save: Save, tmp_path: Path, save_freq: Any, stops: list[int], prefetch: int
) -> None:
    path = save(ROWS)
    for stop in [*stops, None]:
        ds = dataset(path, 10, True, seed=1)
        read = pairs(ds).prefetch(prefetch) if prefetch else pairs(ds)
        steps = fit(read, backup(tmp_path, save_freq), npyfast.SetEpoch(ds), stop=stop)
        assert steps == WHOLE[len(WHOLE) - len(steps) :] or stop is not None
    assert 0 < len(steps) < len(WHOLE)


@pytest.mark.slow  # three programs, each of which starts TensorFlow
@pytest.mark.parametrize(("epochs", "save_freq"), [(None, "epoch"), (None, 7), (-1, 7)])
def test_killed_and_started_again(
    engine: str, save: Save, tmp_path: Path, epochs: int | None, save_freq: Any
) -> None:
    paths = [save(np.random.default_rng(0).random((103, 3), "f4")), save(ROWS / 103), save(ROWS)]
    arguments = [json.dumps(paths), "", json.dumps([save_freq, engine, epochs])]

    def run(name: str, killed_after: int | None) -> list[Any]:
        arguments[1] = json.dumps(str(tmp_path / name))
        process = start(
            "fit_with_backup.py",
            *(*arguments, json.dumps(killed_after)),
            backend=npyfast.backend,
            CUDA_VISIBLE_DEVICES="-1",
        )
        out, _ = finish(process, 0 if killed_after is None else -signal.SIGKILL)
        return [json.loads(line) for line in out.splitlines()]

    whole = run("whole", None)
    run("killed", 26)
    if save_freq != "epoch":
        run("killed", 9)
    rest = run("killed", None)
    assert 1 < len(rest) < len(whole)
    assert rest == whole[len(whole) - len(rest) :]  # the weights are the last of these
    if epochs is None:
        assert whole[:-1] == WHOLE
    else:
        assert whole[:-1] == WHOLE[: 4 * 9]


@pytest.mark.parametrize("steps_per_epoch", [4, BATCHES, 25])
def test_an_endless_dataset(
    dataset: Dataset, save: Save, tmp_path: Path, steps_per_epoch: int
) -> None:
    path = save(ROWS)
    whole = epochs_of(*range(10))[: 4 * steps_per_epoch]
    for stop in (5, 6, None):
        ds = dataset(path, 10, True, seed=1, epochs=-1)
        callbacks = backup(tmp_path, 3), npyfast.SetEpoch(ds)
        steps = fit(pairs(ds), *callbacks, stop=stop, steps_per_epoch=steps_per_epoch)
    assert steps == whole[9:]


def test_a_repeated_dataset(dataset: Dataset, save: Save) -> None:
    ds = dataset(save(ROWS), 10, True, seed=1)
    read = pairs(ds).repeat().prefetch(3)
    assert fit(read, npyfast.SetEpoch(ds), steps_per_epoch=BATCHES) == WHOLE


def test_peeks_and_evaluations_do_not_shift_the_order(dataset: Dataset, save: Save) -> None:
    ds = dataset(save(ROWS), 10, True, seed=1)
    next(iter(ds))
    read = pairs(ds)

    class Peek(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            next(iter(ds))
            rows_of(ds)

    assert fit(read, npyfast.SetEpoch(ds), Peek(), validation_data=read) == WHOLE


def test_validation_data_is_left_alone(dataset: Dataset, save: Save) -> None:
    path = save(ROWS)
    ds, validation = (dataset(path, 10, True, seed=1) for _ in range(2))
    fit(pairs(ds), npyfast.SetEpoch(ds), validation_data=pairs(validation), epochs=2)
    assert rows_of(validation) == epochs_of(2)


def test_initial_epoch(dataset: Dataset, save: Save) -> None:
    ds = dataset(save(ROWS), 10, True, seed=1)
    assert fit(pairs(ds), npyfast.SetEpoch(ds), initial_epoch=2) == epochs_of(2, 3)


def test_each_fit_begins_at_its_first_epoch(dataset: Dataset, save: Save) -> None:
    ds = dataset(save(ROWS), 10, True, seed=1)
    callback, model = npyfast.SetEpoch(ds), recorder()
    for _ in range(2):
        assert fit(pairs(ds), callback, model=model, epochs=2) == epochs_of(0, 1)


def test_counts_again_after_fit(dataset: Dataset, save: Save) -> None:
    ds = dataset(save(ROWS), 10, True, seed=1)
    fit(pairs(ds), npyfast.SetEpoch(ds), epochs=2, initial_epoch=1)
    assert [rows_of(ds) for _ in range(2)] == [epochs_of(1), epochs_of(2)]


def test_a_model_saved_within_an_epoch(dataset: Dataset, save: Save, tmp_path: Path) -> None:
    path, saved = save(ROWS), str(tmp_path / "model.keras")
    ds = dataset(path, 10, True, seed=1)
    checkpoint = keras.callbacks.ModelCheckpoint(saved, save_freq=15)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    with pytest.raises(Stop):
        model.fit(pairs(ds), epochs=4, verbose=0, callbacks=[checkpoint, StopAt(20)])

    model = recorder()
    loaded = keras.saving.load_model(saved)
    model.set_weights(loaded.get_weights())
    model.optimizer.build(model.trainable_variables)
    model.optimizer.set_weights([v.numpy() for v in loaded.optimizer.variables])
    ds = dataset(path, 10, True, seed=1)
    callback = npyfast.SetEpoch(ds, first_step=0)
    assert fit(pairs(ds), callback, model=model, initial_epoch=1) == WHOLE[15:]
    model.optimizer.iterations.assign(15)
    with pytest.raises(ValueError, match=r"pass SetEpoch\(\.\.\., first_step=0\)"):
        fit(pairs(ds), npyfast.SetEpoch(ds), model=model, initial_epoch=1)


def test_gradient_accumulation(dataset: Dataset, save: Save, tmp_path: Path) -> None:
    path = save(ROWS)
    for stop in (25, None):
        ds = dataset(path, 10, True, seed=1)
        model = recorder(keras.optimizers.SGD(gradient_accumulation_steps=3))
        steps = fit(pairs(ds), backup(tmp_path, 5), npyfast.SetEpoch(ds), model=model, stop=stop)
    assert steps == WHOLE[25:]


def test_several_steps_at_once(engine: str, save: Save, tmp_path: Path) -> None:
    path = save(ROWS[:100])
    rows: list[int] = []

    class Noting(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            tf.py_function(lambda y: rows.extend(y.numpy().tolist()), [data[1]], [])
            return super().train_step(data)

    for stop in (25, None):
        rows.clear()
        ds = npyfast.dataset(path, 10, True, seed=1, engine=engine)  # type: ignore[arg-type]
        model = Noting([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", steps_per_execution=5)
        # BackupAndRestore counts one batch too few of the first in an epoch.
        callbacks = [backup(tmp_path, 4), npyfast.SetEpoch(ds), StopAt(stop)]
        with contextlib.suppress(Stop):
            model.fit(pairs(ds), epochs=4, verbose=0, callbacks=callbacks)
    wanted = [expected.epoch_batches(100, batch_size=10, seed=1, epoch=e) for e in range(4)]
    batches = [batch for batches in wanted for batch in batches]
    assert rows == np.concatenate(batches[25:]).tolist()


def test_another_callback_ends_training(dataset: Dataset, save: Save, tmp_path: Path) -> None:
    path = save(ROWS)

    class End(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    for first in (True, False):
        fit(pairs(ds := dataset(path, 10, True, seed=1)), backup(tmp_path, 7), stop=15)
        ds = dataset(path, 10, True, seed=1)
        callbacks = [End(), npyfast.SetEpoch(ds)] if first else [npyfast.SetEpoch(ds), End()]
        assert fit(pairs(ds), backup(tmp_path, 7), *callbacks) == WHOLE[14:22]


def test_before_the_backup_in_the_list(dataset: Dataset, save: Save, tmp_path: Path) -> None:
    path = save(ROWS)
    for stop in (25, 5):
        ds = dataset(path, 10, True, seed=1)
        steps = fit(pairs(ds), npyfast.SetEpoch(ds), backup(tmp_path, 3), stop=stop)
    assert steps == WHOLE[24:29]
    with pytest.raises(ValueError, match="SetEpoch must come after BackupAndRestore"):
        fit(pairs(ds), npyfast.SetEpoch(ds), backup(tmp_path, 3))


def test_another_batch_size(dataset: Dataset, save: Save, tmp_path: Path) -> None:
    path = save(ROWS)
    ds = dataset(path, 10, True, seed=1)
    fit(pairs(ds), backup(tmp_path, 3), npyfast.SetEpoch(ds), stop=28)
    ds = dataset(path, 20, True, seed=1)
    with pytest.raises(ValueError, match="batch size, rows and steps_per_epoch must be those"):
        fit(pairs(ds), backup(tmp_path, 3), npyfast.SetEpoch(ds))


def test_an_unshuffled_dataset(dataset: Dataset, engine: str, save: Save, tmp_path: Path) -> None:
    path = save(ROWS)
    for save_freq, begun in (("epoch", 22), (5, 25)):
        ds = dataset(path, 10)
        fit(pairs(ds), backup(tmp_path, save_freq), npyfast.SetEpoch(ds), stop=25)
        ds = dataset(path, 10)
        callbacks = backup(tmp_path, save_freq), npyfast.SetEpoch(ds)
        if engine == "graph" and save_freq == 5:
            with pytest.raises(ValueError, match="pass engine='generator'"):
                fit(pairs(ds), *callbacks)
        else:
            wanted = epochs_of(0, 1, 2, 3, seed=None)[begun:]
            assert fit(pairs(ds), *callbacks) == wanted


def test_datasets_that_are_refused(dataset: Dataset, save: Save) -> None:
    path = save(ROWS)
    for options, text in [
        ({}, r"needs a dataset with a seed.*pass seed="),
        ({"seed": 1, "epochs": 3}, "needs epochs=None, got a dataset with epochs=3"),
        ({"seed": 1, "start_epoch": 2}, "with start_epoch=2 and start_batch=0: omit them"),
        ({"seed": 1, "rows": slice(0)}, "with batches, got one with none"),
    ]:
        with pytest.raises(ValueError, match=text):
            npyfast.SetEpoch(dataset(path, 10, True, **options))
    one = dataset(path, 10, True, seed=1)
    with pytest.raises(ValueError, match="there are 2 datasets of npyfast"):
        npyfast.SetEpoch(tf.data.Dataset.zip((one, dataset(path, 10, True, seed=1))))
    with pytest.raises(ValueError, match=r"no npyfast\.dataset below"):
        npyfast.SetEpoch(tf.data.Dataset.range(3))
    for other in (ROWS, npyfast.batches(path), None, path):
        with pytest.raises(TypeError, match=r"SetEpoch takes what npyfast\.dataset"):
            npyfast.SetEpoch(other)
    with pytest.raises(ValueError, match="first_step must be an int"):
        npyfast.SetEpoch(one, first_step=-1)
    with pytest.raises(ValueError, match="whole_epochs must be"):
        npyfast.SetEpoch(one, whole_epochs=2)  # type: ignore[arg-type]


def test_fits_that_are_refused(dataset: Dataset, save: Save) -> None:
    path = save(ROWS)
    ds, other = (dataset(path, 10, True, seed=1) for _ in range(2))
    endless = dataset(path, 10, True, seed=1, epochs=-1)
    with pytest.raises(ValueError, match="fit makes 5 steps of an epoch, and the dataset has 11"):
        fit(pairs(ds), npyfast.SetEpoch(ds), steps_per_epoch=5)
    with pytest.raises(ValueError, match=r"pass fit\(steps_per_epoch="):
        fit(pairs(endless), npyfast.SetEpoch(endless))
    with pytest.raises(ValueError, match="does not know how many batches"):
        fit(pairs(ds.filter(lambda row: True)), npyfast.SetEpoch(ds))
    with pytest.raises(ValueError, match="a dataset that fit does not read"):
        fit(pairs(other), npyfast.SetEpoch(ds), validation_data=pairs(ds))
    with pytest.raises(ValueError, match="no optimizer of Keras"):
        fit(pairs(ds), npyfast.SetEpoch(ds), model=recorder(None))
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    with pytest.raises(ValueError, match="LossScaleOptimizer does not count"):
        fit(pairs(ds), npyfast.SetEpoch(ds), model=recorder(scaled))

    class Twice(Recorder):
        def train_step(self, data: Any) -> Any:
            super().train_step(data)
            return super().train_step(data)

    twice = Twice()
    twice.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="it made 2 of them in 1 batch: pass SetEpoch"):
        fit(pairs(ds), npyfast.SetEpoch(ds), model=twice)


def test_whole_epochs_of_any_model(dataset: Dataset, save: Save) -> None:
    class NoOptimizer(Recorder):
        def train_step(self, data: Any) -> Any:
            self.trained.append(data[1].numpy().tolist())
            return {"loss": tf.constant(0.0)}

    model = NoOptimizer()
    model.compile(None, None, run_eagerly=True)
    ds = dataset(save(ROWS), 10, True, seed=1)
    callback = npyfast.SetEpoch(ds, whole_epochs=True)
    for first, last in itertools.pairwise((0, 1, 3)):
        steps = fit(pairs(ds), callback, model=model, initial_epoch=first, epochs=last)
        assert steps == epochs_of(*range(first, last))


def test_on_two_devices(engine: str, save: Save) -> None:
    path = save(ROWS[:100])
    process = start("set_epoch_on_two_devices.py", path, engine, backend=npyfast.backend)
    out, _ = finish(process)
    assert json.loads(out) == [
        sorted(batch.tolist())
        for epoch in (1, 2, 3)
        for batch in expected.epoch_batches(100, batch_size=10, seed=1, epoch=epoch)
    ]


def test_is_a_callback_of_keras(dataset: Dataset, save: Save) -> None:
    callback = npyfast.SetEpoch(dataset(save(ROWS), seed=1))
    assert isinstance(callback, npyfast.SetEpoch)
    assert isinstance(callback, keras.callbacks.Callback)
    assert type(callback).__name__ == "SetEpoch"
