"""Keras trains on what `npyfast.dataset` gives, epoch by epoch, by every engine."""

from __future__ import annotations

import itertools
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches
from samples import Dataset, Save

import npyfast

# fit's default, for every tf.data.Dataset.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`shuffle=True` was passed, but will be ignored:UserWarning"
)

X = np.arange(60, dtype="f4").reshape(60, 1)
Y = np.arange(60)


class Recorder(keras.Model):  # type: ignore[misc]
    """Learns nothing, and notes the rows that it is trained on and evaluated on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros")
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []

    def call(self, x: Any) -> Any:
        return x * self.weight

    def train_step(self, data: Any) -> dict[str, Any]:
        self.trained.append(data[1].numpy().tolist())
        return {"loss": tf.constant(0.0)}

    def test_step(self, data: Any) -> dict[str, Any]:
        self.evaluated.append(data[1].numpy().tolist())
        return {"loss": tf.constant(0.0)}


@pytest.fixture
def model() -> Recorder:
    made = Recorder()
    made.compile(run_eagerly=True)
    return made


@pytest.fixture
def paths(save: Save) -> tuple[str, str]:
    return save(X), save(Y)


def lists(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def epochs(*numbers: int, **options: Any) -> list[list[int]]:
    return [
        batch
        for k in numbers
        for batch in lists(epoch_batches(60, batch_size=7, seed=1, epoch=k, **options))
    ]


def test_each_epoch_of_fit_is_the_next(dataset: Dataset, paths: Any, model: Recorder) -> None:
    made = dataset(paths, 7, True, seed=1)
    history = model.fit(made, epochs=3, verbose=0)
    assert model.trained == epochs(0, 1, 2)
    assert len(history.history["loss"]) == 3
    model.fit(made, epochs=2, verbose=0)
    assert model.trained == epochs(0, 1, 2, 3, 4)


def test_resuming_a_later_epoch(dataset: Dataset, paths: Any, model: Recorder) -> None:
    made = dataset(paths, 7, True, seed=1, start_epoch=5)
    model.fit(made, initial_epoch=5, epochs=7, verbose=0)
    assert model.trained == epochs(5, 6)


def test_endless_with_steps_per_epoch(dataset: Dataset, paths: Any, model: Recorder) -> None:
    made = dataset(paths, 7, True, seed=1, epochs=-1)
    model.fit(made, epochs=4, steps_per_epoch=5, verbose=0)
    assert model.trained == epochs(0, 1, 2)[:20]


def test_repeat_with_steps_per_epoch(dataset: Dataset, paths: Any, model: Recorder) -> None:
    made = dataset(paths, 7, True, seed=1).repeat()
    model.fit(made, epochs=4, steps_per_epoch=5, verbose=0)
    assert model.trained == epochs(0, 1, 2)[:20]


def test_validation_and_evaluation_see_every_row(
    dataset: Dataset, paths: Any, model: Recorder
) -> None:
    train = dataset(paths, 7, True, seed=1, rows=slice(0, 50))
    valid = dataset(paths, 7, rows=slice(50, None))
    model.fit(train, validation_data=valid, epochs=2, verbose=0)
    assert model.trained == epochs(0, 1, rows=slice(0, 50))
    assert model.evaluated == [Y[50:57].tolist(), Y[57:].tolist()] * 2
    model.evaluated.clear()
    model.evaluate(valid, verbose=0)
    assert list(itertools.chain(*model.evaluated)) == Y[50:].tolist()


def test_training_on_one_part_of_a_split(dataset: Dataset, paths: Any, model: Recorder) -> None:
    first, rest = npyfast.split(paths, 0.8, seed=1)
    train = dataset(paths, 7, True, seed=1, rows=first)
    valid = dataset(paths, 7, rows=rest)
    model.fit(train, validation_data=valid, epochs=2, verbose=0)
    assert model.trained == epochs(0, 1, rows=first)
    assert list(itertools.chain(*model.evaluated)) == [*rest, *rest]
    seen = set(itertools.chain(*model.trained, *model.evaluated))
    assert seen == set(Y.tolist())
    assert seen - set(itertools.chain(*model.trained)) == set(rest)


def test_predict(dataset: Dataset, save: Save) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(2.0)])
    assert model.predict(dataset(save(X), 7), verbose=0).tolist() == (X * 2).tolist()


def test_a_model_learns(dataset: Dataset, save: Save) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((2000, 8), dtype="f4")
    y = (x @ random.standard_normal(8) > 0).astype("i4")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    made = dataset((save(x), save(y)), 50, True, seed=1)
    history = model.fit(made, epochs=4, verbose=0).history
    assert history["accuracy"][-1] > 0.9


@pytest.mark.usefixtures("backend")
def test_an_unbuilt_model_takes_the_first_epoch_too(paths: Any) -> None:
    seen: list[int] = []

    def transform(element: Any) -> Any:
        seen.append(int(element[1][0]))
        return element

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    made = npyfast.dataset(paths, 60, True, seed=1, transform=transform)
    seen.clear()  # the shapes were found from a batch
    model.fit(made, epochs=3, verbose=0)
    firsts = [int(epoch_batches(60, batch_size=60, seed=1, epoch=k)[0][0]) for k in range(4)]
    # Keras may look at a batch to build the model; that must not cost an epoch of training.
    assert seen[-3:] in (firsts[:3], firsts[1:4])


def test_an_unbuilt_model_trains_on_epochs_in_a_row(dataset: Dataset, paths: Any) -> None:
    class Unbuilt(Recorder):
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.layer = keras.layers.Dense(1)
            self.trained = []

        def call(self, x: Any) -> Any:
            return self.layer(x)

    model = Unbuilt()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(dataset(paths, 7, True, seed=1), epochs=3, verbose=0)
    # Keras may look at a batch to build the model, which is an iteration.
    assert model.trained in (epochs(0, 1, 2), epochs(1, 2, 3))


def test_a_compiled_training_step(dataset: Dataset, paths: Any) -> None:
    """Keras' own loop, inside a tf.function, of several steps at a time."""

    class Noted(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen = tf.Variable(tf.zeros([0], tf.int64), shape=[None], trainable=False)

        def train_step(self, data: Any) -> dict[str, Any]:
            self.seen.assign(tf.concat([self.seen, data[1]], 0))
            return {"loss": tf.constant(0.0)}

    model = Noted()
    model.built = True
    model.compile(steps_per_execution=3)
    model.fit(dataset(paths, 7, True, seed=1), epochs=3, verbose=0)
    assert model.seen.numpy().tolist() == list(itertools.chain(*epochs(0, 1, 2)))


@pytest.mark.usefixtures("backend")
def test_an_error_inside_training_names_the_exception(paths: Any, model: Recorder) -> None:
    calls = itertools.count()

    def transform(element: Any) -> Any:
        if next(calls) == 4:
            raise ArithmeticError("the reason")
        return element

    made = npyfast.dataset(paths, 7, transform=transform)
    with pytest.raises(tf.errors.OpError, match="ArithmeticError: the reason"):
        model.fit(made, epochs=2, verbose=0)
    assert len(model.trained) < 9
