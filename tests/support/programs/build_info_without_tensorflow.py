"""Prints the engine, why it was chosen, and whether TensorFlow was imported."""

import json
import sys

import npyfast

info = npyfast.build_info()
imported = any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
print(json.dumps([info["engine"], info["engine_reason"], imported]))
