"""Prints what one of several workers reads."""

import warnings

warnings.simplefilter("ignore")

import json
import sys

import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
import npyfast

path, engine = sys.argv[1:]
assert strategy.num_replicas_in_sync == 2


def made(context):
    assert context.num_input_pipelines == 2
    size = context.get_per_replica_batch_size(12)
    return npyfast.dataset(path, size, True, seed=1, shard=context, engine=engine)


distributed = strategy.distribute_datasets_from_function(made)
for epoch in range(2):
    for batch in distributed:
        (part,) = strategy.experimental_local_results(batch)
        print(json.dumps(part.numpy().tolist()))
    print(json.dumps("epoch"))
