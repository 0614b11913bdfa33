"""Trains without an end in sight. Each printed line is a batch of rows, or the number of batches
before the checkpoint just written."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import tensorflow as tf

import npyfast

path, folder, epochs = sys.argv[1:]
made = npyfast.dataset(path, 10, True, seed=1, epochs=json.loads(epochs), engine="graph")
iterator = iter(made)
steps = tf.Variable(0, dtype=tf.int64)
epoch = tf.Variable(0, dtype=tf.int64)
checkpoint = tf.train.Checkpoint(iterator=iterator, steps=steps, epoch=epoch)
manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
manager.restore_or_initialize()
print(json.dumps({"from": int(steps)}), flush=True)
while epoch < 4:
    for batch in iterator:
        print(json.dumps(batch.numpy().tolist()), flush=True)
        steps.assign_add(1)
        if steps % 4 == 0:
            manager.save()
            print(json.dumps({"saved": int(steps)}), flush=True)
    epoch.assign_add(1)
    # With epochs=None a new iterator is the next epoch, of which the checkpoint is to know.
    checkpoint.iterator = iterator = iter(made)
