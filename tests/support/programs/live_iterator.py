"""Ends while an iterator of a dataset is alive."""

import sys
import warnings

warnings.simplefilter("ignore")
import npyfast

path, batch_size, engine = sys.argv[1:]
made = npyfast.dataset(path, int(batch_size), True, epochs=-1, engine=engine)
iterator = iter(made)
next(iterator)
kept = list(made.take(3))
print("reading", flush=True)
