"""Prints what each of two devices reads."""

import warnings

warnings.simplefilter("ignore")

import json
import sys

import tensorflow as tf

import npyfast

path, engine, how = sys.argv[1:]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2


def made(context=None):
    size = context.get_per_replica_batch_size(12) * 2 if context else 12
    return npyfast.dataset(path, size, True, seed=1, shard=context, engine=engine)


if how == "function":
    distributed = strategy.distribute_datasets_from_function(made)
else:
    distributed = strategy.experimental_distribute_dataset(made())
for epoch in range(2):
    for batch in distributed:
        parts = strategy.experimental_local_results(batch)
        print(json.dumps([part.numpy().tolist() for part in parts]))
    print(json.dumps("epoch"))
