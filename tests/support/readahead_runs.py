"""Reading a file in a memory cgroup that it does not fit in, for both `batches` and `dataset`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cgroups
import numpy as np
import processes
from cached import evict

MIB = 1 << 20

# Rows of 12 KiB: some of them share pages.
WIDTH = 12 * 128


def make_file(path: Path, mib: int) -> int:
    """A file of so many MiB, row i the number i again and again; returns the number of rows."""
    rows = mib * MIB // (8 * WIDTH)
    array = np.lib.format.open_memmap(path, "w+", np.int64, (rows, WIDTH))
    for first in range(0, rows, 1024):
        numbers = np.arange(first, min(first + 1024, rows))
        array[first : first + len(numbers)] = numbers[:, None]
    del array
    evict(str(path))
    return rows


# Joins the group once all is imported, so that the limit is for reading alone.
SCRIPT = """
import json, sys
import numpy as np
import npyfast
procs, path, options, engine, tests = sys.argv[1:]
options = json.loads(options)
if isinstance(options["shuffle"], list):
    options["shuffle"] = npyfast.BlockShuffle(*options["shuffle"])
other = options.pop("read_first", None)
if engine != "batches":
    import tensorflow
open(procs, "w").write("0")
if other is not None:
    sys.path.append(tests)
    from cached import cached
    open(other, "rb").read()

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

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
print(json.dumps({
    "count": len(rows),
    "distinct": len(np.unique(rows)),
    "least": int(rows.min()),
    "most": int(rows.max()),
    "sorted": bool((np.diff(rows) > 0).all()),
    "grown": most - before,
    "needed": statistics.bytes_needed,
    "read": statistics.bytes_read,
    "other": None if other is None else float(cached(other).mean()),
}))
"""


def run(path: Path, limit_mib: int, *, engine: str = "batches", **options: Any) -> dict[str, Any]:
    """What one epoch gave, read by a process of its own with so much memory for file and all."""
    with cgroups.memory_cgroup(limit_mib * MIB) as procs:
        process = processes.start(
            "import warnings; warnings.simplefilter('ignore')\n" + SCRIPT,
            procs,
            path,
            json.dumps(options),
            engine,
            Path(__file__).parent,
            backend="native",
        )
        out, _ = processes.finish(process)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found
