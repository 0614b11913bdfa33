"""`npyfast bench`: what it reports, on tiny files and in short times."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from backends import TENSORFLOW
from deadlines import SECONDS

from npyfast._commands import main
from npyfast._commands.bench import contenders, disk
from npyfast._commands.bench.verdict import limit_of, verdict

X = np.arange(4000, dtype="u1").reshape(500, 8)
SHORT = ("--seconds", "0.2", "--quiet")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders.importlib.util, "find_spec", lambda name: None)


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["bench", *arguments, *SHORT, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def by_name(facts: Any) -> dict[str, Any]:
    return {each["name"]: each for each in facts["contenders"]}


@pytest.mark.filterwarnings("ignore:small.npz:RuntimeWarning")
@pytest.mark.usefixtures("no_tensorflow", "backend")
class TestWithoutTensorFlow:
    def test_the_facts(self, capsys: pytest.CaptureFixture[str], backend: str) -> None:
        facts = measured(capsys, "X.npy")
        assert facts["backend"] == backend
        assert facts["batch_size"] == 32
        source = facts["source"]
        assert (source["rows"], source["row_shape"], source["dtype"]) == (500, [8], "uint8")
        assert source["files"] == 1
        found = by_name(facts)
        assert found["npyfast.batches"]["rows_per_second"] > 0
        assert len(found["npyfast.batches"]["samples"]) == 5
        assert found["NumPy, memmap"]["rows_per_second"] > 0
        for name in ("npyfast.dataset, graph", "from_generator, memmap", "from_tensor_slices"):
            assert found[name]["rows_per_second"] is None
            assert found[name]["reason"] == "TensorFlow is not installed"
        assert "npyfast.batches delivers" in facts["verdict"]

    def test_the_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "X.npy", *SHORT]) == 0
        out = capsys.readouterr().out
        assert out.startswith("500 rows of (8,) uint8, ")
        assert "left out: TensorFlow is not installed" in out
        assert max(map(len, out.splitlines())) <= 100

    @pytest.mark.parametrize(
        ("arguments", "dtype", "shape"),
        [
            (["X.npy", "--cast", "float32", "--scale", "1/255", "--shift", "1"], "float32", [8]),
            (["X.npy", "--row-shape", "2,4"], "uint8", [2, 4]),
            (["raw.bin", "--dtype", "uint8", "--shape=-1,4"], "uint8", [4]),
            (["X.npy", "Y.npy"], "uint8", [8]),
            (["rows", "--per-file", "row"], "uint8", [8]),
            (["both.npz", "--key", "a"], "uint8", [8]),
            (["small.npz", "--key", "a"], "uint8", [8]),
            (["X.npy", "--batch-size", "100000"], "uint8", [8]),
        ],
        ids=str,
    )
    def test_each_option(
        self,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        dtype: str,
        shape: list[int],
    ) -> None:
        np.save("Y.npy", X[:100])
        np.savez("both.npz", a=X, b=X[:3])
        np.savez_compressed("small.npz", a=X)
        Path("raw.bin").write_bytes(X.tobytes())
        Path("rows").mkdir()
        for number in range(7):
            np.save(f"rows/{number}.npy", X[number])
        facts = measured(capsys, *arguments)
        assert (facts["source"]["dtype"], facts["source"]["row_shape"]) == (dtype, shape)
        assert by_name(facts)["npyfast.batches"]["rows_per_second"] > 0
        assert facts["batch_size"] <= facts["source"]["rows"]

    def test_the_files_stay_as_they_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = Path("X.npy").read_bytes()
        measured(capsys, "X.npy")
        assert Path("X.npy").read_bytes() == before
        assert [path.name for path in Path().iterdir()] == ["X.npy"]

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["absent.npy"], "absent.npy: No such file"),
            (["empty.npy"], "empty.npy: has no rows to measure"),
            (["bad.npy"], "bad.npy: "),
            (["X.npy", "--cast", "text"], "cast"),
            (["X.npy", "--plot", "absent/x.png"], "matplotlib"),
        ],
        ids=str,
    )
    def test_errors_are_one_line(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        text: str,
    ) -> None:
        def absent(name: str) -> Any:
            raise ImportError(name)

        monkeypatch.setattr(importlib, "import_module", absent)
        np.save("empty.npy", X[:0])
        Path("bad.npy").write_bytes(b"\x93NUMPY")
        assert main(["bench", *arguments, *SHORT]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert text in err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--batch-size", "0"],
            ["--batch-size", "-1"],
            ["--batch-size", "1.5"],
            ["--batch-size", "True"],
            ["--seconds", "0"],
            ["--seconds", "nan"],
            ["--seconds", "inf"],
            ["--seconds", "-3"],
            ["--seconds", "1e99"],
        ],
        ids=str,
    )
    def test_wrong_values(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as error:
            main(["bench", "X.npy", *arguments])
        assert error.value.code == 2
        assert arguments[0] in capsys.readouterr().err

    def test_a_disk_that_cannot_be_measured(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(disk, "_drop", lambda *_: False)
        facts = measured(capsys, "X.npy")
        assert facts["disk"]["random_rows_per_second"] is None
        assert "no read of them is cold" in facts["disk"]["reason"]

    def test_a_plot(self, capsys: pytest.CaptureFixture[str]) -> None:
        measured(capsys, "X.npy", "--plot", "x.png")
        assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_memory_maps_give_the_rows_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import npyfast

    np.save("Y.npy", X[:100])
    for paths in (["X.npy"], ["X.npy", "Y.npy"]):
        leaf = npyfast.source(paths, cast="float32", scale=0.5, shift=1, row_shape=(2, 4)).open()
        begin, reason = contenders._over_memmap(leaf, 50)
        assert reason is None
        assert begin is not None
        batches = begin()
        rows = np.concatenate([next(batches) for _ in range(len(leaf) // 50)])
        expected = leaf.take(np.arange(len(leaf)), None)
        assert rows.dtype == expected.dtype
        assert sorted(row.tobytes() for row in rows) == sorted(row.tobytes() for row in expected)


@pytest.mark.skipif(not TENSORFLOW, reason="NPYFAST_TEST_TENSORFLOW leaves TensorFlow out")
def test_with_tensorflow(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    found = by_name(measured(capsys, "X.npy", "--cast", "float32"))
    for name, contender in found.items():
        if name == "npyfast.dataset, graph" and engine != "graph" and contender["reason"]:
            assert "native backend" in contender["reason"]
        else:
            assert contender["rows_per_second"] > 0, contender


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_it_at_once() -> None:
    code = "import sys, importlib.util as u; f = u.find_spec; "
    code += "u.find_spec = lambda n, p=None: None if n == 'tensorflow' else f(n, p); "
    code += "from npyfast._commands import main; "
    code += "print('begun', flush=True); sys.exit(main(sys.argv[1:]))"
    options = ["-W", "ignore:npyfast copies with NumPy:RuntimeWarning"]
    run = subprocess.Popen(
        [sys.executable, *options, "-c", code, "bench", "X.npy", "--seconds", "3000", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    time.sleep(1.5)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 128 + signal.SIGINT
    assert (out, err) == ("", "npyfast: interrupted\n")


class TestVerdict:
    SOURCE: ClassVar[Any] = {
        "rows": 10**6, "row_shape": [100], "dtype": "uint8", "row_bytes": 100, "nbytes": 10**8,
        "files": 1, "usable_memory": 10**9, "fits_in_memory": True, "cached_share": 0.0,
    }  # fmt: skip
    DISK: ClassVar[Any] = {
        "sequential_bytes_per_second": 1e7, "random_rows_per_second": 1000.0, "reason": None
    }  # fmt: skip

    def contenders(self, batches: float, dataset: float | None) -> Any:
        rates = {"npyfast.batches": batches, "npyfast.dataset, graph": dataset}
        return [{"name": name, "rows_per_second": rate} for name, rate in rates.items()]

    @pytest.mark.parametrize(
        ("fits", "batches", "dataset", "limit", "text"),
        [
            (True, 1e6, 9e5, "cpu", "The limit is copying"),
            (True, 1e6, 1e5, "tensorflow", "Larger batches help"),
            (True, 1e6, None, "cpu", "npyfast.batches delivers 1,000,000 samples a second"),
            (False, 900.0, 900.0, "disk", "use shuffle='block'"),
            (False, 100.0, 100.0, "cpu", "The limit is copying"),
            (True, 1e6, 9e5, "cpu", "The first epoch reads 95.4 MiB from the disk"),
        ],
    )
    def test_limits(
        self, fits: bool, batches: float, dataset: float | None, limit: str, text: str
    ) -> None:
        source = {**self.SOURCE, "fits_in_memory": fits}
        several = self.contenders(batches, dataset)
        found = limit_of(source, self.DISK, several)
        assert found == limit
        assert text in verdict(source, self.DISK, several, found, 32, True)

    def test_nothing_measured(self) -> None:
        assert limit_of(self.SOURCE, self.DISK, []) is None
        assert verdict(self.SOURCE, self.DISK, [], None, 32, True) == "Nothing could be measured."
