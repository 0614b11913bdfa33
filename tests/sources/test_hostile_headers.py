"""Headers of files that promise what no memory holds: nothing is allocated on their word."""

import contextlib
import os
import struct
import subprocess
import sys

import processes
import pytest

import npyfast

DTYPES = {
    "words in records": "[('a', [('x', '>u2'), ('y', '|u1')], (700000000,))]",
    "records in records": "[('a', [('x', '>u2'), ('y', [('u', '|u1'), ('v', '>u4')], (99,))], "
    "(4000000,))]",
    "holes": "[('a', [('x', '<u2'), ('', '|V1'), ('y', '>u1')], (500000000,))]",
    "empty dimensions": "[('a', [('x', '>u2')], (0, 2147483647, 2147483647))]",
    "no bytes": "[('a', [], (2147483647,)), ('b', '>u2')]",
    "strings": "[('a', [('x', '>U2'), ('y', 'S1')], (100000000,))]",
}


def write_header(path, descr, shape="(0,)"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)


@pytest.mark.parametrize("name", DTYPES)
def test_what_a_header_promises_takes_no_memory(backend, tmp_path, name):
    path = tmp_path / "x.npy"
    write_header(path, DTYPES[name])
    program = [sys.executable, processes.PROGRAMS / "read_in_little_memory.py", path, backend]
    environment = os.environ | {"NPYFAST_BACKEND": backend}
    done = subprocess.run(
        program,
        capture_output=True,
        text=True,
        timeout=processes.TIMEOUT,
        check=False,
        env=environment,
        cwd=tmp_path,  # not the source tree
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("depth", [150, 2_000, 4_900])
@pytest.mark.parametrize(
    "descr",
    [
        lambda n: "[" * n + "]" * n,
        lambda n: "(" * n + "'<f4'" + ", (1,))" * (n // 8),
        lambda n: "[('a', " * (n // 4) + "'<f4'" + ")]" * (n // 4),
        lambda n: repr("(" * n + "1" + ")" * n + "f4"),
        lambda n: "{1: " * (n // 3) + "1" + "}" * (n // 3),
        lambda n: "-" * n + "1",
    ],
)
def test_nests_of_brackets_are_a_format_error_or_read(backend, tmp_path, depth, descr):
    path = tmp_path / "x.npy"
    write_header(path, descr(depth))
    with contextlib.suppress(npyfast.NpyFormatError):
        npyfast.open(path)
        assert depth == 150
