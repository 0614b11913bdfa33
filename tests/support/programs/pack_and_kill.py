"""Packs again and again, in children that are killed before the 1st, 2nd, ... of their calls that
change files, until one comes to its end."""

import errno
import itertools
import json
import os
import shutil
import signal
import sys

import numpy as np

import npyfast
from npyfast._packing import descriptor as _descriptor

folder, archives, changing, options = sys.argv[1:]
options = json.loads(options)
compressed, links = options.pop("compressed"), options.pop("links")
X = np.arange(24, dtype="i4").reshape(12, 2)
out = os.path.join(folder, "out.npy")


def end_at(number):
    left = itertools.count(1)

    def killing(function):
        def call(*arguments, **keywords):
            if next(left) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return call

    for name in json.loads(changing):
        setattr(os, name, killing(getattr(os, name)))
    rename = _descriptor._rename_no_replace

    def no_such_rename(*names):
        raise OSError(errno.EINVAL, "no such rename")

    _descriptor._rename_no_replace = no_such_rename if links else killing(rename)


def in_child(function, *arguments):
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def pack(rows, number=0):
    source = rows
    if compressed:
        source = os.path.join(archives, f"{rows[0, 0]}.npz")
        np.savez_compressed(source, rows)
    if number:
        end_at(number)
    npyfast.pack(source, out, **options)


def finals():
    return sorted(name for name in os.listdir(folder) if name.endswith(".npy"))


def begin():
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    if options["overwrite"]:
        assert in_child(pack, X + 100) == 0


begin()
all_names = None
kills = partly = 0
for number in itertools.count(1):
    begin()
    before = finals()
    status = in_child(pack, X, number)
    whole = [np.load(os.path.join(folder, name)) for name in finals()]  # each can be read
    if status == 0:
        break
    assert status == signal.SIGKILL, status
    kills += 1
    files = len(whole)
    if files and sum(map(len, whole)) == len(X) and not options["overwrite"]:
        rest = set(os.listdir(folder)) - set(finals())
        if not rest:  # nothing was left to do
            continue
        if links and finals() == ["out.npy"]:  # but to forget its other name
            assert os.path.samefile(out + ".partial", out)
            options["overwrite"] = True
            assert in_child(pack, X + 1) == 0
            options["overwrite"] = False
            assert os.listdir(folder) == ["out.npy"]
            continue
    partly += 0 < files < 3
    assert in_child(pack, X + 1) == 0
    assert (np.concatenate([np.load(os.path.join(folder, n)) for n in finals()]) == X + 1).all()
    assert len(os.listdir(folder)) == len(finals()), os.listdir(folder)
print(json.dumps({"kills": kills, "partly": partly, "files": finals()}))
