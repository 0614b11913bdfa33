"""Prints the rest of an epoch from a checkpoint, and the batch after it."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import tensorflow as tf

import npyfast

path, prefix, epochs = sys.argv[1:]
# Another program may have another seed of its own.
tf.random.set_seed(99)
options = {"seed": 1, "epochs": json.loads(epochs), "engine": "graph"}
made = npyfast.dataset(path, 10, True, **options)
iterator = iter(made)
tf.train.Checkpoint(iterator=iterator).read(prefix).assert_consumed()
rest = [next(iterator).numpy().tolist() for _ in range(7)]
print(json.dumps([rest, next(iter(made)).numpy().tolist()]))
