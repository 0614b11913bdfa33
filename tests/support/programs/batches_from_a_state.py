"""Prints the rest of an iteration that another process began, and the next iteration."""

import json
import sys

import npyfast

paths, state = map(json.loads, sys.argv[1:])
made = npyfast.batches(paths, 10, True, seed=1)
iterator = iter(made)
iterator.set_state(state)
print(json.dumps([[b.tolist() for b in iterator], [b.tolist() for b in made]]))
