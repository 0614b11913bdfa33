"""npyfast.pack in processes that are killed, and in ones that have little memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cgroups
import expected
import numpy as np
import processes
import pytest
from backends import BACKENDS
from cached import evict
from system_calls import CHANGING

import npyfast

pytestmark = pytest.mark.slow

MIB = 1 << 20

# Packs again and again, in children that are killed before the 1st, 2nd, ... of their calls that
# change files, until one comes to its end.
KILLED = """
import errno, itertools, json, os, shutil, signal, sys
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
"""


@pytest.mark.parametrize(
    ("max_file_size", "overwrite", "compressed", "links"),
    [
        (None, False, False, False),
        (None, False, False, True),  # a filesystem on which names are taken by links
        (None, True, True, False),
        (160, False, False, False),
        (160, False, False, True),
        (160, True, False, False),
    ],
)
def test_a_kill_at_any_point(
    tmp_path: Path, max_file_size: int | None, overwrite: bool, compressed: bool, links: bool
) -> None:
    options = {
        "max_file_size": max_file_size,
        "overwrite": overwrite,
        "compressed": compressed,
        "links": links,
        "verify": True,
    }
    folders = [tmp_path / "out", tmp_path / "archives"]
    for folder in folders:
        folder.mkdir()
    out = processes.run(
        KILLED, *folders, json.dumps(CHANGING), json.dumps(options), backend="numpy"
    )
    found = json.loads(out)
    if max_file_size is None:
        assert found["files"] == ["out.npy"]
        assert found["kills"] > 5
    else:
        assert len(found["files"]) == 3
        assert found["kills"] > 20
        assert overwrite or found["partly"] >= 2  # with one or two of them renamed


# Joins the group once all is imported, so that the limit is for packing alone.
SMALL = """
import json, sys
import numpy as np
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
"""


def pack_in_group(limit: int, backend: str, source: Any, out: Path, **options: Any) -> int:
    """Packs in a process that has so much memory, page cache and all; returns by how much it
    grew."""
    with cgroups.memory_cgroup(limit) as procs:
        process = processes.start(SMALL, procs, source, out, json.dumps(options), backend=backend)
        return int(processes.finish(process)[0])


# Not shuffled by the NumPy backend: nothing is read ahead there, and each row is waited for.
@pytest.mark.parametrize(
    ("backend", "shuffle"),
    [(b, s) for b, s in (("native", False), ("native", True), ("numpy", False)) if b in BACKENDS],
)
def test_more_than_there_is_memory(tmp_path: Path, backend: str, shuffle: bool) -> None:
    rows, width = 21 * 1024, 12 * 1024
    source, out = tmp_path / "in.npy", tmp_path / "out.npy"
    array = np.lib.format.open_memmap(source, "w+", np.int64, (rows, width // 8))
    for first in range(0, rows, 1024):
        array[first : first + 1024] = np.arange(first, first + 1024)[:, None]
    del array
    evict(str(source))
    grown = pack_in_group(
        64 * MIB, backend, source, out, verify=True, shuffle=shuffle, seed=1, max_file_size="150MB"
    )
    assert grown < 48 * MIB
    with npyfast.open(tmp_path / "out-*.npy") as packed:
        assert packed.shape == (rows, width // 8)
        numbers = np.concatenate(
            [packed[first : first + 1024][:, -1] for first in range(0, rows, 1024)]
        )
    assert (numbers == expected.epoch_rows(rows, seed=1 if shuffle else None)).all()
