"""Reads a file that it may no longer read; prints the error."""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
import tensorflow as tf

import npyfast

path = sys.argv[1]
made = npyfast.dataset(path, 10, engine="graph")
folder = os.path.dirname(path)
root = os.geteuid() == 0
os.chmod(folder, 0o700 if root else 0)
if root:  # which may read everything
    os.seteuid(65534)
try:
    next(iter(made))
except tf.errors.OpError as e:
    print(json.dumps([type(e).__name__, str(e)]))
if not root:
    os.chmod(folder, 0o700)
