"""Keras trains on what `npyfast.keras_dataset` gives, epoch by epoch, on any of its backends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
from expected import epoch_batches
from recorder import BACKEND, Recorder
from samples import Save

import npyfast

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

X = np.arange(60, dtype="f4").reshape(60, 1)
Y = np.arange(60)

Made = Callable[..., Any]


@pytest.fixture
def paths(save: Save) -> tuple[str, str]:
    return save(X), save(Y)


@pytest.fixture
def model() -> Recorder:
    return Recorder()


def epochs(*numbers: int, batch_size: int = 7, **options: Any) -> list[list[int]]:
    options = {"seed": 1, **options}
    return [
        batch.tolist()
        for k in numbers
        for batch in epoch_batches(60, batch_size=batch_size, epoch=k, **options)
    ]


@pytest.mark.parametrize("batch_size", [7, 20, 30, 60, 100])
@pytest.mark.parametrize("options", [{}, {"workers": 3}, {"transform": lambda batch: batch}])
def test_each_epoch_of_fit_is_the_next(
    paths: Any, model: Recorder, batch_size: int, options: Any
) -> None:
    # Of few batches, those that Keras looks at before it trains are all.
    made = npyfast.keras_dataset(paths, batch_size, True, seed=1, **options)
    model.fit(made, epochs=3, verbose=0)
    assert model.trained == epochs(0, 1, 2, batch_size=batch_size)
    model.fit(made, epochs=2, shuffle=False, verbose=0)
    assert model.trained == epochs(0, 1, 2, 3, 4, batch_size=batch_size)


def test_the_order_is_that_of_the_other_front_ends(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, "block", seed=5, shard=(1, 2), drop_remainder=True)
    batches = npyfast.batches(paths, 7, "block", seed=5, shard=(1, 2), drop_remainder=True)
    model.fit(made, epochs=3, verbose=0)
    assert model.trained == [y.tolist() for _ in range(3) for _, y in batches]


def test_batches_in_keras_own_order_have_each_row_once(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7)
    keras.utils.set_random_seed(0)
    model.fit(made, epochs=3, verbose=0)  # shuffle=True is fit's default
    each = [model.trained[9 * k : 9 * k + 9] for k in range(3)]
    assert each[0] != each[1]
    for epoch in each:
        assert sorted(epoch) == epochs(0, seed=None)


def test_files_in_their_order(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7)
    model.fit(made, epochs=2, shuffle=False, verbose=0)
    assert model.trained == epochs(0, 0, seed=None)


def test_resuming_a_later_epoch(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1, start_epoch=5)
    model.fit(made, initial_epoch=5, epochs=7, verbose=0)
    assert model.trained == epochs(5, 6)


def test_resuming_in_the_middle_of_an_epoch(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    made.set_epoch(3, 4)
    model.fit(made, initial_epoch=3, epochs=6, verbose=0)
    assert model.trained == epochs(3)[4:] + epochs(4, 5)


def test_a_callback_may_set_each_epoch(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    set_epoch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: made.set_epoch(epoch, 6 if epoch == 3 else 0)
    )
    model.fit(made, initial_epoch=3, epochs=6, callbacks=[set_epoch], verbose=0)
    assert model.trained == epochs(3)[6:] + epochs(4, 5)


def test_validation_and_evaluation_see_every_row(paths: Any, model: Recorder) -> None:
    train = npyfast.keras_dataset(paths, 7, True, seed=1, rows=slice(0, 50))
    valid = npyfast.keras_dataset(paths, 7, rows=slice(50, None))
    model.fit(train, validation_data=valid, epochs=2, verbose=0)
    assert model.trained == epochs(0, 1, rows=slice(0, 50))
    assert model.evaluated == [Y[50:57].tolist(), Y[57:].tolist()] * 2
    model.evaluated.clear()
    model.evaluate(valid, verbose=0)
    assert list(itertools.chain(*model.evaluated)) == Y[50:].tolist()


@pytest.mark.parametrize("batch_size", [7, 30, 100])
def test_each_evaluation_is_the_next_epoch(paths: Any, model: Recorder, batch_size: int) -> None:
    train = npyfast.keras_dataset(paths, 7, True, seed=1)
    valid = npyfast.keras_dataset(paths, batch_size, True, seed=2)
    model.fit(train, validation_data=valid, epochs=2, verbose=0)
    model.evaluate(valid, verbose=0)
    assert model.evaluated == epochs(0, 1, 2, batch_size=batch_size, seed=2)


@pytest.mark.parametrize("steps", [3, 4])  # 9 batches: whole epochs of 3, and a short one of 4
def test_steps_per_epoch_go_on_in_the_data(paths: Any, model: Recorder, steps: int) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    model.fit(made, epochs=6, steps_per_epoch=steps, verbose=0)
    assert model.trained == epochs(0, 1)


def test_some_steps_of_validation_are_of_the_next_epoch(paths: Any, model: Recorder) -> None:
    train = npyfast.keras_dataset(paths, 30, True, seed=1)
    valid = npyfast.keras_dataset(paths, 7, True, seed=2)
    model.fit(train, validation_data=valid, validation_steps=4, epochs=3, verbose=0)
    expected = [epochs(k, seed=2)[:4] for k in range(3)]
    assert model.evaluated == list(itertools.chain(*expected))


def test_a_second_fit_begins_a_new_epoch(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    model.fit(made, epochs=1, steps_per_epoch=5, verbose=0)
    model.fit(made, epochs=2, verbose=0)
    assert model.trained == epochs(0)[:5] + epochs(1, 2)


def test_an_epoch_that_was_broken_off_comes_again(paths: Any, model: Recorder) -> None:
    def interrupt(batch: int, logs: Any) -> None:
        if batch == 4:
            raise KeyboardInterrupt

    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    broken = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(made, callbacks=[broken], verbose=0)
    model.fit(made, epochs=2, verbose=0)
    assert model.trained == epochs(0)[:5] + epochs(0, 1)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras takes one step at a time on PyTorch")
@pytest.mark.parametrize("batch_size", [7, 20, 60])
def test_several_steps_per_execution(paths: Any, model: Recorder, batch_size: int) -> None:
    made = npyfast.keras_dataset(paths, batch_size, True, seed=1)
    model.compile(loss="mse", run_eagerly=True, jit_compile=False, steps_per_execution=2)
    model.fit(made, epochs=3, verbose=0)
    assert model.trained == epochs(0, 1, 2, batch_size=batch_size)


@pytest.mark.skipif(BACKEND != "jax", reason="of Keras on JAX")
def test_a_distribution_of_jax(paths: Any) -> None:
    distribution = keras.distribution
    devices = distribution.list_devices()
    distribution.set_distribution(distribution.DataParallel(devices=devices))
    try:
        model = Recorder()
        model.fit(npyfast.keras_dataset(paths, 20, True, seed=1), epochs=2, verbose=0)
        assert model.trained == epochs(0, 1, batch_size=20)
    finally:
        distribution.set_distribution(None)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_a_strategy_of_tensorflow(paths: Any) -> None:
    import tensorflow as tf

    seen: list[int] = []

    class Noting(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = self.add_weight(shape=(), initializer="zeros")

        def call(self, x: Any) -> Any:
            return x * self.weight

        def train_step(self, data: Any) -> Any:
            def note(rows: Any) -> Any:
                seen.extend(rows.tolist())
                return np.float32(0)

            return {"loss": tf.numpy_function(note, [data[1]], tf.float32)}

    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = Noting()  # such models are built from a batch before fit begins
        model.compile(loss="mse")
    made = npyfast.keras_dataset(paths, 20, True, seed=1)
    model.fit(made, epochs=3, verbose=0)
    assert seen == list(itertools.chain(*epochs(0, 1, 2, batch_size=20)))


def test_sample_weights_are_the_third_leaf(paths: Any, model: Recorder) -> None:
    weights = np.linspace(0, 1, 60, dtype="f4")
    made = npyfast.keras_dataset((*paths, weights), 7, True, seed=1)
    model.fit(made, verbose=0)
    assert model.trained == epochs(0)
    assert model.weights_of_rows == [weights[rows].tolist() for rows in epochs(0)]


def test_class_weights(paths: Any, model: Recorder) -> None:
    made = npyfast.keras_dataset(paths, 7, True, seed=1)
    model.fit(made, class_weight={row: row / 2 for row in range(60)}, verbose=0)
    assert model.weights_of_rows == [[row / 2 for row in rows] for rows in epochs(0)]


def test_training_is_that_on_arrays_in_memory(paths: Any) -> None:
    def trained(*data: Any, **options: Any) -> list[Any]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
        model.compile(loss="mse", optimizer=keras.optimizers.SGD(1e-5))
        model.fit(*data, shuffle=False, epochs=2, verbose=0, **options)
        return list(model.get_weights())

    made = npyfast.keras_dataset((paths[0], npyfast.source(paths[1], cast="float32")), 7)
    expected = trained(X, Y.astype("f4"), batch_size=7)
    for mine, theirs in zip(trained(made), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_inputs_and_targets_by_name(paths: Any) -> None:
    left, right = (keras.layers.Input((1,), name=name) for name in ("left", "right"))
    joined = keras.layers.Concatenate()([left, right])
    model = keras.Model(
        {"left": left, "right": right}, {"sum": keras.layers.Dense(1, name="sum")(joined)}
    )
    model.compile(loss={"sum": "mse"}, optimizer="sgd")
    made = npyfast.keras_dataset(
        ({"left": paths[0], "right": X}, {"sum": npyfast.source(paths[0], scale=1 / 60)}), 7, True
    )
    history = model.fit(made, epochs=2, validation_data=made, verbose=0)
    assert len(history.history["val_loss"]) == 2


@pytest.mark.parametrize("batch_size", [7, 100])
def test_predictions_are_in_the_order_of_the_rows(paths: Any, batch_size: int) -> None:
    model = keras.Sequential([keras.layers.Rescaling(2.0)])
    made = npyfast.keras_dataset(paths[0], batch_size)
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(made, verbose=0), 2 * X)


def test_an_error_reaches_fit(paths: Any, model: Recorder) -> None:
    def transform(batch: Any) -> Any:
        if 59 in batch[1]:
            raise ValueError("row 59 is bad")
        return batch

    made = npyfast.keras_dataset(paths, 7, transform=transform)
    with pytest.raises(Exception, match="row 59 is bad"):
        model.fit(made, shuffle=False, verbose=0)


def test_it_learns_to_read_digits(save: Save) -> None:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    digits = load_digits()
    source = (
        npyfast.source(save(digits.images.astype("u1")), cast="float32", scale=1 / 16),
        save(digits.target.astype("i4")),
    )
    kept, held_out = npyfast.split(source, 0.8, seed=0)
    train = npyfast.keras_dataset(source, 32, True, seed=0, rows=kept)
    valid = npyfast.keras_dataset(source, 256, rows=held_out)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train, epochs=20, validation_data=valid, verbose=0)
    _, accuracy = model.evaluate(valid, verbose=0)
    assert accuracy > 0.95
    assert train.epoch == 20
