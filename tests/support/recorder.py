"""A Keras model that notes the rows it is trained and evaluated on, on every backend."""

from __future__ import annotations

from typing import Any

import keras  # type: ignore[import-untyped]

BACKEND = keras.backend.backend()


class Recorder(keras.Model):  # type: ignore[misc]
    """Learns nothing. The targets are the numbers of the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros")
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []
        self.weights_of_rows: list[list[float]] = []
        self.compile(loss="mse", run_eagerly=True, jit_compile=False)

    def call(self, x: Any) -> Any:
        return x * self.weight

    def _noted(self, into: list[list[int]], arguments: tuple[Any, ...]) -> Any:
        *state, data = arguments  # JAX's steps are given a state, and return it
        into.append([int(row) for row in keras.ops.convert_to_numpy(data[1])])
        if len(data) == 3:
            self.weights_of_rows.append(keras.ops.convert_to_numpy(data[2]).tolist())
        logs = {"loss": keras.ops.zeros(())}
        return (logs, state[0]) if state else logs

    def train_step(self, *arguments: Any) -> Any:
        return self._noted(self.trained, arguments)

    def test_step(self, *arguments: Any) -> Any:
        return self._noted(self.evaluated, arguments)
