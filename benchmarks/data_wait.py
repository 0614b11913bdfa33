"""What `npyfast.DataWait` costs: steps with it and without it, in turns.

    KERAS_BACKEND=tensorflow python benchmarks/data_wait.py

The model is tiny, so that a step is as short as a step of Keras can be. CPU time is shown as well,
which other processes disturb less. Needs Keras with one of its backends.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import keras
import numpy as np

import npyfast

_BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15, help="of each; default: 15")
    parser.add_argument("--steps", type=int, default=1000, help="of a turn; default: 1000")
    options = parser.parse_args()
    rows = options.steps * _BATCH
    x, y = np.zeros((rows, 8), np.float32), np.zeros((rows, 1), np.float32)
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def fit(callbacks: list[Any]) -> None:
        model.fit(x, y, batch_size=_BATCH, shuffle=False, verbose=0, callbacks=callbacks)

    def loop(measured: bool) -> None:
        wait = npyfast.DataWait()
        for _ in wait(range(options.steps)) if measured else range(options.steps):
            pass

    def measured_fit() -> None:
        fit([npyfast.DataWait()])

    runs = {
        f"fit, {keras.backend.backend()}": (lambda: fit([]), measured_fit),
        "a loop that does nothing": (lambda: loop(False), lambda: loop(True)),
    }
    print(
        f"Keras {keras.version()}, {options.steps} steps a turn; medians of {options.turns} turns"
    )
    for name, pair in runs.items():
        for kind, without, with_it in zip(
            ("time", "CPU time"), *_in_turns(pair, options), strict=True
        ):
            by_pair = [after - before for before, after in zip(without, with_it, strict=True)]
            print(
                f"{name}, {kind}: {statistics.median(without):.2f} us a step, with DataWait "
                f"{statistics.median(with_it):.2f}; by pairs {statistics.median(by_pair):+.2f}"
            )


def _in_turns(pair: tuple[Any, Any], options: argparse.Namespace) -> list[Any]:
    """Microseconds a step of each turn, and those of CPU time; without and with it."""
    found: list[tuple[list[float], list[float]]] = [([], []), ([], [])]
    for turn in range(options.turns + 1):
        for samples, run in zip(found, pair, strict=True):
            begin = time.perf_counter(), time.process_time()
            run()
            if turn:  # the first one compiles
                samples[0].append((time.perf_counter() - begin[0]) / options.steps * 1e6)
                samples[1].append((time.process_time() - begin[1]) / options.steps * 1e6)
    return found


if __name__ == "__main__":
    main()
