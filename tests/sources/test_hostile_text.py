"""Names that would control the terminal they are shown on, and nests without an end."""

import glob
import os

import numpy as np
import processes
import pytest

import npyfast
from npyfast._commands import main

EVIL = "a\x1b[31m\x9b1m\u202eb\n\x7f"
SHOWN = "a\\x1b[31m\\x9b1m\\u202eb\\x0a\\x7f"


def is_harmless(text):
    return all(each.isprintable() for each in text.split("\n"))


def test_names_of_fields_in_errors(backend, tmp_path):
    path = tmp_path / "x.npy"
    descr = f"[({EVIL!r}, '<f4'), ({EVIL!r}, '<f4')]"
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (0,)}}\n".encode()
    path.write_bytes(b"\x93NUMPY\x03\x00" + len(text).to_bytes(4, "little") + text)
    with pytest.raises(npyfast.NpyFormatError) as caught:
        npyfast.open(path)
    assert is_harmless(str(caught.value))


def test_names_of_files_in_errors(backend, tmp_path):
    path = os.path.join(tmp_path, EVIL + os.fsdecode(b"\xff") + ".npy")
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x09\x00")
    with pytest.raises(npyfast.NpyFormatError) as caught:
        npyfast.open(path)
    assert is_harmless(str(caught.value))
    assert SHOWN + "\\xff.npy" in str(caught.value)
    os.remove(path)
    with pytest.raises(FileNotFoundError) as missing:
        npyfast.open(path)
    assert missing.value.filename == path
    assert is_harmless(str(missing.value))


def test_info_shows_no_control_characters(backend, tmp_path, capsys):
    path = os.path.join(tmp_path, EVIL + ".npy")
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.zeros(2, [(EVIL, "<f4")]), version=(3, 0))
    assert main(["info", path]) == 0
    shown = capsys.readouterr().out
    assert SHOWN in shown
    assert is_harmless(shown)


def nest_of(depth):
    nest = np.zeros((4, 1))
    for _ in range(depth):
        nest = (nest,)
    return nest


@pytest.mark.parametrize("depth", [201, 10_000])
def test_a_nest_without_an_end(backend, depth):
    with pytest.raises(ValueError, match="deep"):
        npyfast.batches(nest_of(depth), batch_size=2)
    assert next(iter(npyfast.batches(nest_of(90), batch_size=2))) is not None


def test_a_nest_that_contains_itself(backend):
    nest = {}
    nest["a"] = nest
    with pytest.raises(ValueError, match="contains itself"):
        npyfast.batches(nest, batch_size=2)


@pytest.mark.parametrize(
    "arrays",
    [
        (np.zeros(2), np.zeros(3, "f4")),
        (np.zeros((2, 1)), np.zeros((2, 2))),
        (np.zeros(()), np.zeros(())),
        (np.array([None]), np.array([None])),
    ],
)
def test_names_of_files_that_do_not_fit_each_other(backend, tmp_path, arrays):
    paths = [os.path.join(tmp_path, f"{i}{EVIL}.npy") for i in range(2)]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    with pytest.raises((TypeError, ValueError)) as caught:
        npyfast.open(paths)
    assert SHOWN in str(caught.value)
    assert is_harmless(str(caught.value))
    with pytest.raises((TypeError, ValueError)) as caught:
        npyfast.batches((paths[0], np.zeros((7, 1))), batch_size=2)
    assert SHOWN in str(caught.value)
    assert is_harmless(str(caught.value))


def test_names_of_files_in_what_is_refused(backend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir(EVIL)
    evil = os.path.join(EVIL, "x")
    np.save(f"{evil}.npy", np.zeros(3))
    np.savez(f"{evil}.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez_compressed(f"{evil}-c.npz", a=np.zeros(3))
    np.save(f"{evil}-00001-of-00002.npy", np.zeros(3))
    np.save(f"{evil}-0.npy", np.array(0))
    np.save(f"{evil}-f.npy", np.zeros((4, 2), "f4"))
    with open(f"{evil}.bin", "wb") as file:
        file.write(b"abc")
    refused = [
        lambda: npyfast.open(npyfast.source(f"{evil}.npy", key="a")),
        lambda: npyfast.open(f"{evil}.npz"),
        lambda: npyfast.open(npyfast.source(f"{evil}.npz", key="\x1b")),
        lambda: npyfast.open(f"{evil}-c.npz"),
        lambda: npyfast.open(f"{glob.escape(evil)}-0000*.npy"),
        lambda: npyfast.open(f"{evil}-0.npy"),
        lambda: npyfast.open([f"{evil}.npy", f"{evil}-f.npy"]),
        lambda: npyfast.open([f"{evil}.npy", f"{evil}.npz"]),
        lambda: npyfast.batches((f"{evil}.npy", f"{evil}-f.npy")),
        lambda: npyfast.open(npyfast.source(f"{evil}.bin", dtype="f8")),
        lambda: npyfast.open(npyfast.source(f"{evil}.npy", dtype="f8")),
        lambda: npyfast.open(npyfast.source(f"{evil}.npy", row_shape=2)),
        lambda: npyfast.pack(f"{evil}.npy", f"{evil}.npy", overwrite=True),
    ]
    # Too large to be inflated.
    monkeypatch.setattr(npyfast._backends.backend(), "usable_memory", lambda: 0)
    for call in refused:
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        assert is_harmless(str(caught.value))
        assert SHOWN in str(caught.value)


def test_a_folder_beyond_the_longest_path(backend, tmp_path):
    """A relative path may lead to a file that has no absolute one that the system would take."""
    process = processes.start("path_beyond_the_longest.py", tmp_path, backend=backend)
    out, _ = processes.finish(process)
    assert out in ("[0, 1, 2, 3, 4] [0 1 2 3 4]",) or "File name too long" in out


@pytest.mark.parametrize("path", ["a\0b.npy", "a\ud800.npy", "x" * 5000])
def test_paths_that_no_file_can_have(backend, path):
    for call in (npyfast.open, npyfast.batches, npyfast.read_header, npyfast.split):
        with pytest.raises((ValueError, OSError)) as caught:
            call(path)
        assert is_harmless(str(caught.value))
