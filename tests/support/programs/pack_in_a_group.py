"""Packs in a control group, which it joins once all is imported, so that the limit is for packing
alone. Prints by how many bytes the process grew."""

import json
import sys

import npyfast

procs, source, out, options = sys.argv[1:]


def anonymous():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


before = anonymous()
most = 0


def look(progress):
    global most
    most = max(most, anonymous())


with open(procs, "w") as group:
    group.write("0")
npyfast.pack(source, out, progress=look, **json.loads(options))
print(most - before)
