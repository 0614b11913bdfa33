"""Reads with another library of ops; prints the batches and the reasons for the engine."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import npyfast
from npyfast._engines import op_library

path, op_library.LIBRARY = sys.argv[1:]
rows = [batch.numpy().tolist() for batch in npyfast.dataset(path, 60)]
try:
    npyfast.dataset(path, engine="graph")
    error = None
except ImportError as e:
    error = str(e)
info = npyfast.build_info()
print(json.dumps([rows, error, info["engine"], info["engine_reason"]]))
