"""`npyfast.DataWait` as a callback of `keras.Model.fit`, with whatever backend Keras uses."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
from samples import Save

import npyfast

BACKEND = keras.backend.backend()
ROWS, BATCH = 72, 16
X = np.linspace(0, 1, ROWS * 4, dtype=np.float32).reshape(ROWS, 4)
Y = X.sum(1, keepdims=True)
STEPS = 5  # the last one is short

pytestmark = [
    # On a busy machine even these may wait for long.
    pytest.mark.filterwarnings("ignore:training waited for data"),
    # Keras's own, of its variables on JAX and of its losses on PyTorch.
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning"),
]

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of Keras on TensorFlow")


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches that take some time each."""

    def __init__(self, seconds: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Any:
        time.sleep(self.seconds)
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return X[rows], Y[rows]


class Slow(keras.Model):  # type: ignore[misc]
    """A model whose steps take some time each. Compile it with run_eagerly."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.seconds = seconds

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, *arguments: Any) -> Any:
        time.sleep(self.seconds)
        return super().train_step(*arguments)


class Seen(keras.callbacks.Callback):  # type: ignore[misc]
    """The logs of steps, and what the model looked like meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.shares.append(logs["data_wait"])


def compiled(**options: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **options)
    return model


def fit(model: Any, data: Any, *callbacks: Any, **options: Any) -> tuple[npyfast.DataWait, Any]:
    wait = npyfast.DataWait()
    options = {"epochs": 3, "verbose": 0, "shuffle": False, **options}
    return wait, model.fit(data, callbacks=[wait, *callbacks], **options).history


def test_waits_for_slow_batches(tmp_path: Path) -> None:
    seen = Seen()
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    wait, history = fit(compiled(), Batches(0.02), seen, log)
    assert history["data_wait"] == wait.epochs
    assert len(wait.epochs) == 3
    assert all(0 < share <= 1 for share in wait.epochs)
    # With `seen`, which is called at each step, a step is done before the next one begins.
    assert wait.wait_seconds >= 0.02 * STEPS * 0.9
    assert wait.seconds >= wait.wait_seconds
    assert wait.steps == STEPS
    assert len(seen.shares) == 3 * STEPS
    assert all(0 <= share <= 1 for share in seen.shares)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["data_wait"]) for row in rows] == wait.epochs


def test_slow_steps_hardly_wait() -> None:
    model = Slow(0.02)
    model.compile("sgd", "mse", run_eagerly=True)
    wait, _ = fit(model, Batches(0.0))
    assert wait.seconds >= 0.02 * STEPS
    assert wait.seconds - wait.wait_seconds >= 0.02 * STEPS


def test_what_is_prefetched_is_not_waited_for() -> None:
    model = Slow(0.05)
    model.compile("sgd", "mse", run_eagerly=True)
    wait, _ = fit(model, Batches(0.03, workers=2, max_queue_size=4), epochs=2)
    assert wait.seconds >= 0.05 * STEPS
    # All fetches together take longer than that.
    assert wait.seconds - wait.wait_seconds >= 0.05 * STEPS


def test_the_training_is_the_same() -> None:
    plain, measured = compiled(), compiled()
    losses = plain.fit(Batches(), epochs=3, verbose=0, shuffle=False).history["loss"]
    _, history = fit(measured, Batches())
    assert history["loss"] == losses
    for one, other in zip(plain.get_weights(), measured.get_weights(), strict=True):
        assert (one == other).all()


def test_validation_is_not_included() -> None:
    wait, history = fit(compiled(), Batches(), validation_data=Batches(0.02), epochs=2)
    assert wait.steps == STEPS
    assert "val_loss" in history
    assert "val_data_wait" not in history
    assert len(history["data_wait"]) == 2


def generated(count: int, failing_at: int = -1) -> Iterator[Any]:
    for number in range(count):
        if number == failing_at:
            raise OSError("the disk is gone")
        yield X[:BATCH], Y[:BATCH]


def test_a_generator_that_ends() -> None:
    with pytest.warns(UserWarning, match="ran out of data"):
        wait, history = fit(compiled(), generated(7), epochs=1)
    assert wait.steps == 7
    assert len(history["data_wait"]) == 1


@pytest.mark.parametrize("steps", [3, 7])
def test_epochs_that_do_not_end_with_the_data(steps: int) -> None:
    wait, history = fit(compiled(), generated(3 * steps), steps_per_epoch=steps)
    assert wait.steps == steps
    assert len(history["data_wait"]) == 3


def test_arrays() -> None:
    wait, history = fit(compiled(), X, y=Y, batch_size=BATCH)
    assert wait.steps == STEPS
    assert len(history["data_wait"]) == 3


def test_a_fit_that_fails_leaves_nothing_behind() -> None:
    model = compiled()
    model.fit(Batches(), verbose=0)
    before = model.train_function
    wait = npyfast.DataWait()
    with pytest.raises(Exception, match="the disk is gone"):
        model.fit(generated(9, 5), steps_per_epoch=9, verbose=0, shuffle=False, callbacks=[wait])
    assert wait.epochs == []
    assert model.train_function is before
    assert "data_wait" not in model.fit(Batches(), verbose=0).history
    again = model.fit(Batches(), epochs=2, verbose=0, callbacks=[wait]).history
    assert again["data_wait"] == wait.epochs
    assert len(wait.epochs) == 2
    assert model.train_function is before


def test_two_of_them() -> None:
    first, second = npyfast.DataWait(), npyfast.DataWait()
    compiled().fit(Batches(0.01), verbose=0, callbacks=[first, second])
    assert first.steps == second.steps == STEPS
    assert first.wait_seconds > 0
    assert second.wait_seconds > 0


def test_stopping_early() -> None:
    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    wait, history = fit(compiled(), Batches(), Stop())
    assert wait.steps == 3
    assert len(history["data_wait"]) == 1


def test_evaluate_and_predict_take_it() -> None:
    wait = npyfast.DataWait()
    model = compiled()
    model.evaluate(Batches(), verbose=0, callbacks=[wait])
    model.predict(Batches(), verbose=0, callbacks=[wait])
    assert wait.share is None


def test_outside_of_fit_it_says_so() -> None:
    several = keras.callbacks.CallbackList([npyfast.DataWait()], model=compiled())
    with pytest.warns(RuntimeWarning, match="in a loop of your own, iterate over `wait"):
        several.on_train_begin()
    several.on_epoch_begin(0)
    several.on_train_batch_begin(0)
    several.on_train_batch_end(0, {"loss": 1.0})
    logs: dict[str, float] = {}
    several.on_epoch_end(0, logs)
    several.on_train_end()
    assert logs == {}


@pytest.mark.skipif(BACKEND == "torch", reason="Keras on PyTorch refuses it itself")
def test_several_steps_in_one_call_are_left_out() -> None:
    with pytest.warns(RuntimeWarning, match="compile with steps_per_execution=1 to measure"):
        wait, history = fit(compiled(steps_per_execution=2), Batches())
    assert "data_wait" not in history
    assert wait.share is None


def test_batches_of_npyfast(save: Save, backend: str) -> None:
    paths = save(X), save(Y)

    class Indexed(Batches):
        def __init__(self) -> None:
            super().__init__()
            self.batches = list(npyfast.batches(paths, BATCH))

        def __getitem__(self, index: int) -> Any:
            return self.batches[index]

    wait, history = fit(compiled(), Indexed())
    assert wait.steps == STEPS
    assert history["data_wait"] == wait.epochs


def test_a_generator() -> None:
    batches = Batches()
    with pytest.warns(UserWarning, match="ran out of data"):
        wait, history = fit(compiled(), (batches[i] for i in range(STEPS)), epochs=1)
    assert wait.steps == STEPS
    assert history["data_wait"] == wait.epochs


class OwnFunction(keras.Sequential):  # type: ignore[misc]
    """Takes batches in a way of its own."""

    def make_train_function(self, force: bool = False) -> None:
        def alone(iterator: Any) -> Any:
            return {"loss": float(len(next(iterator)))}

        def with_state(state: Any, iterator: Any) -> Any:
            return alone(iterator), state

        def of_batch(batch: Any) -> Any:
            return {"loss": float(len(batch))}

        takes = {"tensorflow": alone, "jax": with_state, "torch": of_batch}
        self.train_function = takes[BACKEND]


def test_a_train_function_of_another_kind() -> None:
    model = OwnFunction([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    if BACKEND == "tensorflow":  # which takes batches within what it compiles
        with pytest.warns(RuntimeWarning, match="train_function that takes batches in a way of"):
            _, history = fit(model, Batches())
        assert "data_wait" not in history
    else:
        wait, history = fit(model, Batches(0.02))
        assert history["data_wait"] == wait.epochs
        assert wait.wait_seconds >= 0.02 * STEPS * 0.9


@only_tensorflow
class TestTensorFlow:
    @pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
    def test_a_dataset(self, save: Save, options: dict[str, Any], backend: str) -> None:
        made = npyfast.dataset((save(X), save(Y)), BATCH, True, seed=0)
        expected = compiled(**options).fit(made, epochs=3, verbose=0, shuffle=False).history
        made = npyfast.dataset((save(X), save(Y)), BATCH, True, seed=0)
        wait, history = fit(compiled(**options), made)
        assert wait.steps == STEPS
        assert history["data_wait"] == wait.epochs
        assert history["loss"] == expected["loss"]

    def test_a_dataset_of_unknown_length(self) -> None:
        import tensorflow as tf

        made = tf.data.Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: True).batch(BATCH)
        with pytest.warns(UserWarning, match="ran out of data"):
            wait, history = fit(compiled(), made)
        assert wait.steps == STEPS
        assert len(history["data_wait"]) == 3

    def test_a_strategy(self) -> None:
        import tensorflow as tf

        made = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = compiled()
        wait, history = fit(model, made)
        assert wait.steps == STEPS
        assert len(history["data_wait"]) == 3

    def test_tensorboard(self, tmp_path: Path) -> None:
        board = keras.callbacks.TensorBoard(tmp_path, update_freq=1)
        fit(compiled(), Batches(), board)
        events = b"".join(path.read_bytes() for path in tmp_path.rglob("events*"))
        assert b"epoch_data_wait" in events
        assert b"batch_data_wait" in events
