"""Reads, describes and packs a file of no rows in little memory: 300 MiB more than the process
has begun with."""

import contextlib
import io
import resource
import sys
from pathlib import Path

import numpy as np

import npyfast
from npyfast._commands import main

path, backend = sys.argv[1:]
assert npyfast.backend == backend
pages = int(Path("/proc/self/statm").read_text().split()[5])
limit = pages * resource.getpagesize() + (300 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
rows = npyfast.open(path)
assert rows[[]].shape[0] == 0 and len(rows) == 0
assert list(npyfast.batches(path, batch_size=2, seed=1)) == []
str(rows), repr(npyfast.read_header(path))
with contextlib.redirect_stdout(io.StringIO()):
    main(["info", path])
out = path + ".out.npy"
npyfast.pack(path, out)
assert np.load(out, allow_pickle=False).dtype == npyfast.read_header(path).dtype.newbyteorder("=")
