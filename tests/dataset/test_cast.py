"""Rows cast, scaled and shifted on their way into a dataset, by every engine."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from expected import cast, epoch_batches
from samples import Dataset, Save, in_order
from tensors import assert_same_dataset

import npyfast

BFLOAT16 = np.dtype(tf.bfloat16.as_numpy_dtype)
NUMBERS = np.random.default_rng(0)


@pytest.mark.parametrize("to", [tf.float16, tf.bfloat16, tf.float32, tf.float64], ids=str)
def test_images(dataset: Dataset, save: Save, to: tf.DType) -> None:
    images = NUMBERS.integers(0, 256, (45, 8, 6, 3), dtype=np.uint8)
    labels = NUMBERS.integers(0, 10, 45)
    scale, shift = [1 / 255, 0.5, 2.0], [[[0.1]]]
    made = dataset(
        (
            npyfast.source(save(in_order(images, "F")), cast=to, scale=scale, shift=shift),
            npyfast.source(save(labels), cast=tf.int32),
        ),
        batch_size=10,
        shuffle=True,
        seed=3,
    )
    assert made.element_spec[0] == tf.TensorSpec((None, 8, 6, 3), to)
    assert made.element_spec[1] == tf.TensorSpec((None,), tf.int32)
    wanted = (cast(images, to.as_numpy_dtype, scale, shift), cast(labels, np.dtype("i4")))
    for epoch in range(2):
        rows = epoch_batches(45, batch_size=10, seed=3, epoch=epoch)
        assert_same_dataset(made, wanted, rows)


def test_denormals_are_kept(dataset: Dataset, save: Save) -> None:
    """TensorFlow's threads flush them, and so would ours that they start."""
    values = np.ldexp(np.float64(1), np.arange(-150, -120)).repeat(3)
    path = save(values)
    for to in (tf.float32, tf.float16, tf.bfloat16):
        for scale in (None, 0.5):
            made = dataset(npyfast.source(path, cast=to, scale=scale), batch_size=90)
            assert_same_dataset(made, cast(values, to.as_numpy_dtype, scale), [np.arange(90)])


def test_bfloat16_as_it_is_in_a_file(dataset: Dataset, save: Save) -> None:
    array = np.arange(2**16, dtype="u2").view(BFLOAT16).reshape(-1, 64)
    path = save(array.view("V2"))
    every = [np.arange(len(array))]
    assert_same_dataset(dataset(path, batch_size=len(array)), array, every)
    scaled = npyfast.source(path, scale=0.3)
    assert_same_dataset(dataset(scaled, batch_size=len(array)), cast(array, BFLOAT16, 0.3), every)


def test_casts_in_a_saved_position(dataset: Dataset, save: Save) -> None:
    images = NUMBERS.integers(0, 256, (45, 7), dtype=np.uint8)
    source = npyfast.source(save(images), cast="float32", scale=1 / 255, row_shape=(7, 1))
    made = dataset(source, batch_size=10, shuffle=True, seed=3, epochs=2, start_batch=3)
    wanted = cast(images, np.dtype("f4"), 1 / 255).reshape(45, 7, 1)
    first, second = (epoch_batches(45, batch_size=10, seed=3, epoch=epoch) for epoch in (0, 1))
    assert_same_dataset(made, wanted, [*first[3:], *second])
