"""Counts how often archives are opened: once each."""

import contextlib
import io
import os
import sys
import zipfile

import npyfast
from npyfast._commands import main

made = zipfile.ZipFile.__init__
read = []


def counting(archive, file, *arguments, **options):
    read.append(file.name if hasattr(file, "name") else file)
    made(archive, file, *arguments, **options)


zipfile.ZipFile.__init__ = counting


def times(function):
    read.clear()
    function()
    return len(read)


a, b, compressed = (os.path.join(sys.argv[1], name) for name in ("a.npz", "b.npz", "c.npz"))
assert times(lambda: npyfast.batches(a)) == 1
leaves = {str(i): npyfast.source(a, key=f"x{i}") for i in range(50)}
assert times(lambda: npyfast.batches(leaves)) == 1
assert times(lambda: npyfast.batches([a, b])) == 2
with contextlib.redirect_stdout(io.StringIO()):
    assert times(lambda: main(["info", a, compressed])) == 2
assert times(lambda: npyfast.pack(npyfast.source([a, b], key="x7"), a + ".npy")) == 2
assert times(lambda: npyfast.pack(npyfast.source([a, compressed], key="x7"), b + ".npy")) == 2
