"""Reads one epoch in a control group, which it joins once all is imported, so that the limit is for
reading alone. Prints what it read, and by how much the process grew."""

import warnings

warnings.simplefilter("ignore")

import json
import sys
from pathlib import Path

import numpy as np

import npyfast

procs, path, options, engine = sys.argv[1:]
options = json.loads(options)
if isinstance(options["shuffle"], list):
    options["shuffle"] = npyfast.BlockShuffle(*options["shuffle"])
other = options.pop("read_first", None)
if engine != "batches":
    import tensorflow  # noqa: F401
with open(procs, "w") as group:
    group.write("0")
if other is not None:
    from cached import cached

    Path(other).read_bytes()


def anonymous():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


if engine == "batches":
    made = npyfast.batches(path, **options)
    elements = made
else:
    made = npyfast.dataset(path, engine=engine, **options)
    elements = (each.numpy() for each in made)
seen = []
before = most = None
for i, batch in enumerate(elements):
    assert (batch == batch[:, :1]).all()
    seen.append(batch[:, 0].copy())
    if i == 20:
        before = most = anonymous()
    if i > 20 and i % 20 == 0:
        most = max(most, anonymous())
rows = np.concatenate(seen)
statistics = npyfast.statistics(made)
print(
    json.dumps(
        {
            "count": len(rows),
            "distinct": len(np.unique(rows)),
            "least": int(rows.min()),
            "most": int(rows.max()),
            "sorted": bool((np.diff(rows) > 0).all()),
            "grown": most - before,
            "needed": statistics.bytes_needed,
            "read": statistics.bytes_read,
            "other": None if other is None else float(cached(other).mean()),
        }
    )
)
