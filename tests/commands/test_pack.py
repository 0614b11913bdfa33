"""`npyfast pack` and what all commands have in common."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import expected
import numpy as np
import processes
import pytest
from deadlines import wait_until
from samples import Save

import npyfast
from npyfast._commands import main

X = np.arange(24, dtype="i4").reshape(12, 2)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The command handles signals, as the process that it usually has of its own."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def packed(*arguments: Any) -> Any:
    """What a command line writes into out.npy."""
    assert main(["pack", *map(str, arguments), "-o", "out.npy"]) == 0
    return np.load("out.npy")


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command line which fails writes."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("npyfast: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("npyfast: error: ").strip()


def misused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command line that is wrong writes."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


# The options


def test_one_file(save: Save, backend: str) -> None:
    assert (packed(save(np.asfortranarray(X))) == X).all()


def test_several_sources_are_shards(save: Save) -> None:
    assert (packed(save(X[:5], "b.npy"), save(X[5:], "a.npy")) == X).all()


def test_options_of_the_source(save: Save) -> None:
    source = save(X, "in.npy")
    result = packed(source, "--cast", "float32", "--scale", "1/255", "--row-shape", "2,1")
    assert (result == (X.astype("f4") * np.float32(1 / 255)).reshape(12, 2, 1)).all()
    options = ["--scale", "2,3", "--shift", "-.5", "--cast", "float64", "--overwrite"]
    assert (packed(source, *options) == X * [2, 3] - 0.5).all()


def test_one_file_a_row(save: Save) -> None:
    for i, row in enumerate(X):
        save(row, f"in/{i}.npy")
    assert (packed("in", "--per-file", "row") == X).all()
    assert (packed("in/*.npy", "--per-file", "row", "--overwrite") == X).all()


def test_raw_numbers() -> None:
    X.astype(">i2").tofile("in.bin")
    result = packed("in.bin", "--dtype", ">i2", "--shape", "-1,3", "--offset", "6")
    assert (result == X.reshape(8, 3)[1:]).all()


def test_an_archive() -> None:
    np.savez_compressed("in.npz", x=X, y=X)
    assert (packed("in.npz", "--key", "x") == X).all()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("2:5", slice(2, 5)),
        (":", slice(None)),
        ("-3:", slice(-3, None)),
        ("::-1", slice(None, None, -1)),
        ("-1:0:-2", slice(-1, 0, -2)),
    ],
)
def test_rows(save: Save, text: str, rows: slice) -> None:
    assert (packed(save(X), "--rows", text) == X[rows]).all()


def test_a_shuffled_order(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(X, "in.npy")
    assert (packed(source, "--shuffle", "--seed", "7") == X[expected.epoch_rows(12, seed=7)]).all()
    assert "shuffled with seed 7" in capsys.readouterr().out
    drawn = packed(source, "--shuffle", "--overwrite")
    match = re.search(r"shuffled with seed (\d+)", capsys.readouterr().out)
    assert match
    assert (drawn == X[expected.epoch_rows(12, seed=int(match[1]))]).all()


def test_shards(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", save(X), "-o", "out.npy", "--max-file-size", "170B", "--verify"]) == 0
    assert (npyfast.open("out-*.npy")[:] == X).all()
    out, err = capsys.readouterr()
    assert err == ""
    assert re.fullmatch(
        r"packed 12 rows of \(2,\) int32, 96 B, into 3 files, out-00000-of-00003\.npy to "
        r"out-00002-of-00003\.npy, in \d+\.\d s, verified\n",
        out,
    )


def test_quiet(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    packed(save(X), "--quiet")
    assert capsys.readouterr() == ("", "")


# Errors


def test_errors(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(X, "in.npy")
    assert failing(capsys, "pack", "none.npy", "-o", "out.npy") == (
        "none.npy: No such file or directory"
    )
    assert "one of the inputs" in failing(capsys, "pack", source, "-o", source, "--overwrite")
    save(X, "there.npy")
    assert failing(capsys, "pack", source, "-o", "there.npy") == (
        "there.npy: exists already; --overwrite replaces it"
    )
    np.savez("in.npz", x=X, y=X)
    assert "'x', 'y'" in failing(capsys, "pack", "in.npz", "-o", "out.npy")
    assert "no array 'z'" in failing(capsys, "pack", "in.npz", "--key", "z", "-o", "out.npy")
    assert "--shuffle, which is missing" in failing(
        capsys, "pack", source, "-o", "out.npy", "--seed", "1"
    )
    Path("bad.npy").write_bytes(b"nonsense")
    assert "not a readable .npy" in failing(capsys, "pack", "bad.npy", "-o", "out.npy")
    assert sorted(os.listdir()) == ["bad.npy", "in.npy", "in.npz", "there.npy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pack|info|bench"),
        (["unpack"], "invalid choice"),
        (["pack", "in.npy"], "-o"),
        (["pack", "-o", "out.npy"], "SOURCE"),
        (["pack", "in.npy", "-o", "out.npy", "--rows", "3"], "A:B"),
        (["pack", "in.npy", "-o", "out.npy", "--rows", "::0"], "A:B"),
        (["pack", "in.npy", "-o", "out.npy", "--shape", "-1,x"], "a shape is integers"),
        (["pack", "in.npy", "-o", "out.npy", "--scale", "1/0"], "a number such as"),
        (["pack", "in.npy", "-o", "out.npy", "--seed", "-1"], "a seed is"),
        (["pack", "in.npy", "-o", "out.npy", "--offset", "1k"], "an offset is"),
        (["pack", "in.npy", "-o", "out.npy", "--max-file-size", "big"], "a size must be bytes"),
        (["pack", "in.npy", "-o", "out.npy", "--per-file", "column"], "invalid choice"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in misused(capsys, *arguments)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["pack", "--help"], ["info", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert capsys.readouterr().out.endswith(f"npyfast {npyfast.__version__}\n")


# The document


def without_measurements(text: str) -> list[str]:
    """The lines that do not depend on the machine, the installation and the time."""
    volatile = re.compile(r" +(memory|dataset|npyfast) ")
    return [
        re.sub(r"in \d+\.\d s", "", line).strip()
        for line in text.splitlines()
        if line.strip() and not volatile.match(line)
    ]


@pytest.mark.parametrize("name", ["pack.md", "command-line.md"])
def test_the_examples_of_the_documents(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / name).read_text()
    names: dict[str, Any] = {}
    printed: list[str] = []
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if kind == "python":
            exec(block, names)
        elif kind == "sh":
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "npyfast"
                assert main(arguments) == 0
                printed = without_measurements(capsys.readouterr().out)
        else:
            assert kind == "text"
            assert printed == without_measurements(block)
    assert printed
    if name == "pack.md":
        assert (np.load("X-from-archive.npy") == names["images"]).all()
        assert (np.load("X-from-samples.npy") == names["images"]).all()
        assert (np.load("X-from-raw.npy")[..., 0] == names["images"]).all()
        assert np.load("train.npy").shape == (150, 28, 28)


# In processes of their own


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_closed(save: Save, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    save(X, "in.npy")
    monkeypatch.setattr(sys, stream, None)
    assert main(["pack", "in.npy", "-o", "out.npy"]) == 0
    assert (np.load("out.npy") == X).all()


def test_as_a_module(save: Save, tmp_path: Path) -> None:
    source, out = save(X, "in.npy"), tmp_path / "out.npy"

    def start() -> subprocess.Popen[str]:
        command = ("-W", "error", "-m", "npyfast", "pack", source, "-o", out)
        return processes.start_python(*command, NPYFAST_BACKEND=npyfast.backend)

    written, err = processes.finish(start())
    assert written.startswith(f"packed 12 rows of (2,) int32, 96 B, into {out} in ")
    assert err == ""
    _, err = processes.finish(start(), status=1)
    assert err.startswith(f"npyfast: error: {out}: exists already")
    assert "\n" not in err


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out.npy"
    process = processes.start("pack_without_an_end.py", out, backend="numpy")
    partial = tmp_path / "out.npy.partial"
    try:
        wait_until(lambda: partial.exists() and partial.stat().st_size > 2)
    finally:
        process.send_signal(number)
    _, err = processes.finish(process, status=128 + number)
    assert err == ("npyfast: interrupted" if number == signal.SIGINT else "")
    assert os.listdir(tmp_path) == []


@pytest.mark.timeout(60)
def test_a_progress_bar_on_a_terminal(save: Save, tmp_path: Path) -> None:
    source = save(np.zeros((40, 1 << 20), np.uint8), "in.npy")
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "npyfast", "pack", source, "-o", "out.npy", "--verify"]
        path = os.pathsep.join(part for part in sys.path if part)
        subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            timeout=processes.TIMEOUT,
            check=True,
        )
        assert select.select([ours], [], [], 0)[0]
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"writing: .*0%.*/40\.0M.*B/s", shown)
    assert "verifying: " in shown


def test_files_that_a_shell_lists(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("samples")
    for number in range(12):
        np.save(f"samples/{number}.npy", number)
    listed = sorted(f"samples/{number}.npy" for number in range(12))
    assert packed("--per-file", "row", *listed).tolist() == [0, 1, 10, 11, *range(2, 10)]
    told = capsys.readouterr().err
    assert told.startswith(
        "npyfast: note: the list of 12 paths is sorted as text: 'samples/11.npy'"
    )
    assert "pass the pattern or the directory itself (in quotes, on a command line)" in told
    assert told.count("\n") == 1
    packed("--per-file", "row", "--overwrite", "--quiet", *listed)
    assert packed("--per-file", "row", "--overwrite", "samples/*.npy").tolist() == list(range(12))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--key", "x", "--key", "y"], "--key is given twice: one array is read at a time"),
        (["--cast", "float32", "--cast=float64"], "--cast is given twice"),
        (["-o", "a.npy", "--out", "b.npy"], "--out is given twice"),
    ],
)
def test_an_option_twice(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert says in misused(capsys, "pack", "x.npy", *arguments)
