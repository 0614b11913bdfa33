"""Trains with JAX on handwritten digits from two .npy files, on several devices.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python examples/jax_loop.py

Each batch is divided among all devices that JAX finds, and the next one is on its way to them while
the devices work on the last. The flag makes four devices of a CPU. Exits with status 1 if the
network has not learned to read digits. Requires JAX and scikit-learn, not TensorFlow.
"""

from __future__ import annotations

import collections
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

import npyfast

EPOCHS = 25
BATCH_SIZE = 32
WANTED_ACCURACY = 0.95


def on_devices(batches: Iterable[Any], sharding: NamedSharding, ahead: int = 2) -> Iterator[Any]:
    """The batches as arrays of JAX, with the transfer of `ahead` of them begun.

    jax.device_put returns at once. It may read a NumPy array later, and on a CPU use its memory as
    the array's: npyfast never writes to a batch again, so it may.
    """
    left = iter(batches)
    queue: collections.deque[Any] = collections.deque()
    while True:
        for batch in itertools.islice(left, ahead - len(queue)):
            queue.append(jax.device_put(batch, sharding))
        if not queue:
            return
        yield queue.popleft()


def initial_weights(sizes: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    keys = jax.random.split(jax.random.key(0), len(sizes) - 1)
    return [
        (jax.random.normal(key, (a, b)) * jnp.sqrt(2 / a), jnp.zeros(b))
        for key, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def logits(weights: Any, x: jax.Array) -> jax.Array:
    x = x.reshape(len(x), -1)
    for matrix, bias in weights[:-1]:
        x = jax.nn.relu(x @ matrix + bias)
    matrix, bias = weights[-1]
    return x @ matrix + bias


def mean_loss(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    likely = jax.nn.log_softmax(logits(weights, x))
    return -jnp.mean(jnp.take_along_axis(likely, y[:, None], axis=1))


@partial(jax.jit, donate_argnums=0)
def step(weights: Any, x: jax.Array, y: jax.Array) -> Any:
    gradients = jax.grad(mean_loss)(weights, x, y)
    return jax.tree.map(lambda weight, gradient: weight - 0.1 * gradient, weights, gradients)


@jax.jit
def right(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.sum(jnp.argmax(logits(weights, x), axis=1) == y)


def train(folder: Path) -> float:
    """Returns the accuracy on the held-out rows."""
    digits = load_digits()  # 1,797 real scans of 8 x 8 pixels from 0 to 16
    np.save(folder / "X.npy", digits.images.astype(np.uint8))
    np.save(folder / "y.npy", digits.target.astype(np.int32))

    # Pixels become float32 from 0 to 1 while the rows are copied.
    images = npyfast.source(folder / "X.npy", cast="float32", scale=1 / 16)
    source = images, folder / "y.npy"
    kept, held_out = npyfast.split(source, 0.8, seed=0)
    # Batches of one size are compiled once, and can be divided among the devices.
    training = npyfast.batches(
        source, BATCH_SIZE, shuffle=True, seed=0, rows=kept, drop_remainder=True
    )

    mesh = Mesh(np.array(jax.devices()), ("rows",))
    divided = NamedSharding(mesh, PartitionSpec("rows"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    weights = jax.device_put(initial_weights((64, 64, 10)), everywhere)
    for _ in range(EPOCHS):  # each in another order
        for x, y in on_devices(training, divided):
            weights = step(weights, x, y)
            # The devices that the flag makes share one pool of threads, in which two steps at once
            # can wait for each other's devices. Real devices need no such line.
            jax.block_until_ready(weights)
    print(f"a batch of {x.shape} on {len(x.sharding.device_set)} devices; {training.statistics}")

    testing = npyfast.batches(source, 256, rows=held_out)
    return sum(int(right(weights, x, y)) for x, y in testing) / len(held_out)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        accuracy = train(Path(folder))
    reached = accuracy >= WANTED_ACCURACY
    print(
        f"accuracy on held-out rows: {accuracy:.3f}, wanted: {WANTED_ACCURACY} "
        f"({'reached' if reached else 'MISSED'})"
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
