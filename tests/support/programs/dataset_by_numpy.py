"""Reads with the NumPy backend; prints the batches and the reasons for the engine."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
import npyfast

path = sys.argv[1]
rows = [batch.numpy().tolist() for batch in npyfast.dataset(path, 60)]
info = npyfast.build_info()
try:
    npyfast.dataset(path, engine="graph")
except ValueError as e:
    print(json.dumps([rows, info["engine"], info["engine_reason"], str(e)]))
