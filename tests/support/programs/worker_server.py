"""A worker of tf.data service, with the ops of npyfast or without."""

import sys

import tensorflow as tf

if sys.argv[2] == "ops":
    import npyfast.service  # noqa: F401
service = tf.data.experimental.service
worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=sys.argv[1]))
print("ready", flush=True)
worker.join()
