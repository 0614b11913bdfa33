"""Ends while TensorFlow's threads read an endless dataset of the generator engine."""

import sys
import warnings

warnings.simplefilter("ignore")
import numpy as np
import tensorflow as tf

import npyfast

path, transform = sys.argv[1:]
made = npyfast.dataset(
    path,
    8,
    True,
    epochs=-1,
    engine="generator",
    transform=np.copy if transform == "transform" else None,
)
made = made.map(lambda x: x + 1, num_parallel_calls=2).prefetch(tf.data.AUTOTUNE)
iterators = [iter(made) for _ in range(3)]
for iterator in iterators:
    next(iterator)
print("reading", flush=True)
