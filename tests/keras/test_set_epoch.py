"""`npyfast.SetEpoch` with `keras_dataset` and `torch_dataset`, on any backend of Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
from backends import PACKAGES
from samples import Save

import npyfast

pytestmark = [
    pytest.mark.usefixtures("backend"),
    # Keras' own.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
]

BATCHES = 11


class Stop(Exception):
    """The end of a process, without starting another one."""


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step = step
        self.made = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.made += 1
        if self.made == self.step:
            raise Stop


@pytest.fixture
def paths(save: Save) -> tuple[str, str]:
    random = np.random.default_rng(0)
    return save(random.random((103, 3), "f4")), save(random.random((103, 1), "f4"))


def of_keras(paths: Any, **options: Any) -> Any:
    made = npyfast.keras_dataset(paths, 10, **{"shuffle": True, "seed": 1, **options})
    return made, made


def of_torch(paths: Any, **options: Any) -> Any:
    from torch.utils.data import DataLoader

    made = npyfast.torch_dataset(paths, 10, **{"shuffle": True, "seed": 1, **options})
    return made, DataLoader(made, batch_size=None)


MADE = (
    [of_keras, of_torch]
    if "torch" in PACKAGES and keras.backend.backend() == "torch"
    else [of_keras]
)


def fit(made: Any, *callbacks: Any, stop: int | None = None, **options: Any) -> tuple[int, Any]:
    """The number of steps made, and the weights, of a new model that is trained until it is
    stopped."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    dataset, read = made
    counting = StopAt(stop)
    with contextlib.suppress(Stop):
        model.fit(
            read,
            **{"epochs": 4, "verbose": 0, **options},
            callbacks=[*callbacks, npyfast.SetEpoch(dataset), counting],
        )
    return counting.made, np.concatenate([w.ravel() for w in model.get_weights()])


def backup(folder: Path, save_freq: Any) -> Any:
    return keras.callbacks.BackupAndRestore(str(folder / "backup"), save_freq=save_freq)


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize(
    ("save_freq", "stops"), [("epoch", [25]), (7, [5, 25]), (3, [14, 5, 6]), (4, [11, 22])]
)
def test_goes_on_where_the_backup_was_made(
    make: Callable[..., Any], paths: Any, tmp_path: Path, save_freq: Any, stops: list[int]
) -> None:
    whole, weights = fit(make(paths))
    assert whole == 4 * BATCHES
    for stop in stops:
        fit(make(paths), backup(tmp_path, save_freq), stop=stop)
    made = make(paths)
    steps, resumed = fit(made, backup(tmp_path, save_freq))
    assert 0 < steps < whole
    np.testing.assert_array_equal(resumed, weights)


@pytest.mark.parametrize("make", MADE)
def test_initial_epoch_and_peeks(make: Callable[..., Any], paths: Any) -> None:
    _, weights = fit(make(paths), epochs=4, initial_epoch=2)
    made = make(paths)
    next(iter(made[1]))
    for _ in range(2):  # each fit begins at its initial epoch
        steps, again = fit(made, epochs=4, initial_epoch=2)
        assert steps == 2 * BATCHES
        np.testing.assert_array_equal(again, weights)


@pytest.mark.parametrize("make", MADE)
def test_what_is_refused(make: Callable[..., Any], paths: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a dataset with a seed"):
        npyfast.SetEpoch(make(paths, seed=None)[0])
    dataset, _ = make(paths)
    with pytest.raises(ValueError, match="fit makes 5 steps of an epoch"):
        fit(make(paths), steps_per_epoch=5)
    if make is of_keras:
        with pytest.raises(ValueError, match="a dataset that fit does not read"):
            fit((dataset, make(paths)[1]))
        fit(make(paths, shuffle=False), backup(tmp_path, 7), stop=15, shuffle=False)
        with pytest.raises(ValueError, match="fit permutes the batches by itself"):
            fit(make(paths, shuffle=False), backup(tmp_path, 7), shuffle=False)
