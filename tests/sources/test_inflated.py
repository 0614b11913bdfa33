"""Compressed archives: inflated into memory once for all datasets of the process."""

from __future__ import annotations

import gc
import os
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from hostile_archives import npy
from samples import dtypes, in_order, random_array

import npyfast
from npyfast._backends import backend as current_backend
from npyfast._commands import main
from npyfast._sources.npz import Archive

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:.*was inflated into memory:RuntimeWarning"),
]

X = np.arange(24, dtype="i4").reshape(12, 2)
Y = np.arange(12)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the arrays that are inflated."""
    inflate, keys = Archive.inflate, []

    def counted(self: Archive, key: str, *rest: Any) -> None:
        keys.append(key)
        inflate(self, key, *rest)

    monkeypatch.setattr(Archive, "inflate", counted)
    return keys


def read(source: Any) -> Any:
    return np.asarray(npyfast.open(source))


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", dtypes(), ids=str)
def test_every_dtype(dtype: np.dtype[Any], order: str) -> None:
    array = in_order(random_array(dtype, (7, 3, 2)), order)
    with zipfile.ZipFile("a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(array))
    assert_same(read("a.npz"), expected.in_native_order(array, array.dtype))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("order", "CF")
def test_some_megabytes_by_each_method(method: int, order: str) -> None:
    array = in_order(np.arange(400_000).reshape(1000, 400) // 7, order)
    with zipfile.ZipFile("a.npz", "w", method) as archive:
        archive.writestr("x.npy", npy(array))
    assert_same(read("a.npz"), array)


def test_a_dict_of_arrays() -> None:
    np.savez_compressed("a.npz", x=X, y=Y)
    rows = expected.epoch_batches(12, batch_size=5, seed=3)
    made = npyfast.batches("a.npz", 5, shuffle=True, seed=3)
    assert_same_batches(made, {"x": X, "y": Y}, rows)


def test_with_all_options() -> None:
    np.savez_compressed("a.npz", x=X)
    leaf = npyfast.source("a.npz", key="x", cast="float32", scale=0.5, row_shape=(2, 1))
    options: dict[str, Any] = {"rows": slice(1, None), "seed": 5, "shard": (1, 2)}
    rows = expected.epoch_batches(12, batch_size=2, **options)
    wanted = X.astype("f4").reshape(12, 2, 1) * np.float32(0.5)
    assert_same_batches(npyfast.batches(leaf, 2, shuffle=True, **options), wanted, rows)
    blocks = npyfast.batches(leaf, 4, shuffle="block", seed=1)
    assert sorted(np.concatenate(list(blocks))[:, 0, 0].tolist()) == wanted[:, 0, 0].tolist()


def test_several_archives() -> None:
    """Some of them compressed, in different memory orders."""
    np.savez_compressed("0.npz", x=X[:5], y=Y[:5])
    np.savez("1.npz", x=X[5:7], y=Y[5:7])
    np.savez_compressed("2.npz", x=np.asfortranarray(X[7:]), y=Y[7:])
    assert_same(read(npyfast.source("*.npz", key="x")), X)
    (batch,) = npyfast.batches("*.npz")
    assert_same(batch, {"x": X, "y": Y})


def test_without_rows_or_items() -> None:
    np.savez_compressed("a.npz", x=X[:0], y=np.zeros((0, 3), "S2"))
    assert list(npyfast.batches("a.npz")) == []
    np.savez_compressed("b.npz", x=np.zeros((4, 0)))
    assert read("b.npz").shape == (4, 0)


def test_one_warning_for_each_archive() -> None:
    np.savez_compressed("a.npz", x=X, y=Y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = [npyfast.batches("a.npz"), npyfast.batches("a.npz")]
        npyfast.open(npyfast.source("a.npz", key="y"))
    (warning,) = caught
    message = str(warning.message)
    assert message.startswith("a.npz['x']: is compressed, so it was inflated into memory")
    assert f"({X.nbytes + Y.nbytes} bytes)" in message
    assert warning.filename == __file__
    # What it advises works.
    command = message[message.index("`npyfast ") + 9 : -1]
    assert main(command.split()) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(read("x.npy"), X)
    assert len(kept) == 2


def test_one_warning_for_each_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("train", "test"):
        os.mkdir(folder)
        np.savez_compressed(f"{folder}/a.npz", x=X)
        monkeypatch.chdir(folder)
        with pytest.warns(RuntimeWarning, match="was inflated into memory"):
            npyfast.batches("a.npz")
        monkeypatch.chdir("..")


def test_is_shared_as_long_as_it_is_used(calls: list[str]) -> None:
    np.savez_compressed("a.npz", x=X, y=Y)
    train = npyfast.batches("a.npz", rows=slice(8))
    test = npyfast.batches(os.path.abspath("a.npz"), rows=slice(8, None))
    assert sorted(calls) == ["x", "y"]
    one = npyfast.open(npyfast.source("a.npz", key="y"))
    assert sorted(calls) == ["x", "y"]
    assert_same(np.concatenate([*(b["y"] for b in train), *(b["y"] for b in test)]), Y)
    del train, test
    gc.collect()
    other = npyfast.open(npyfast.source("a.npz", key="y"))
    assert sorted(calls) == ["x", "y"]
    del one, other
    gc.collect()
    assert_same(read(npyfast.source("a.npz", key="y")), Y)
    assert sorted(calls) == ["x", "y", "y"]


def test_threads_inflate_once(calls: list[str]) -> None:
    np.savez_compressed("a.npz", x=np.arange(100_000), y=Y)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: npyfast.open(npyfast.source("a.npz", key="x")), range(8)))
    assert calls == ["x"]
    for rows in made:
        assert_same(rows[:], np.arange(100_000))


def test_a_failure_ends_the_other_members(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("a.npz", x=X, y=Y)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "inflate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            npyfast.batches("a.npz")
    (batch,) = npyfast.batches("a.npz", 12)  # nothing half-done is left, and no lock
    assert_same(batch, {"x": X, "y": Y})


def test_a_file_that_was_replaced_is_inflated_anew() -> None:
    np.savez_compressed("a.npz", x=X)
    before = npyfast.open("a.npz")
    np.savez_compressed("b.npz", x=X + 1)
    os.replace("b.npz", "a.npz")
    assert_same(read("a.npz"), X + 1)
    assert_same(before[:], X)


def test_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("a.npz", x=X, y=Y)
    monkeypatch.setattr(current_backend(), "usable_memory", lambda: 150)
    with pytest.raises(ValueError) as caught:
        npyfast.batches("a.npz")
    assert str(caught.value) == (
        f"a.npz['x']: is compressed (deflate), so its rows cannot be mapped, and inflated "
        f"({X.nbytes + Y.nbytes} bytes) it does not fit in the memory that can be used (150): "
        "write it into a plain file once, by `npyfast pack a.npz --key x -o x.npy`, or save the "
        "archive by np.savez, not np.savez_compressed"
    )
    assert_same(read(npyfast.source("a.npz", key="x")), X)  # alone it does
    monkeypatch.setattr(current_backend(), "usable_memory", lambda: None)
    assert_same(read(npyfast.source("a.npz", key="y")), Y)


def test_is_not_inflated_to_count_rows(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("a.npz", x=X, y=np.asfortranarray(X))
    monkeypatch.setattr(current_backend(), "usable_memory", lambda: 0)
    train, test = npyfast.split("a.npz", 0.75)
    assert (len(train), len(test)) == (9, 3)
    assert calls == []


@pytest.mark.parametrize("at", [60, -150])
def test_a_damaged_member(at: int) -> None:
    """One byte differs; the checksum tells."""
    array = np.random.default_rng(0).integers(0, 256, 1000, np.uint8)
    np.savez_compressed("a.npz", x=array)
    data = bytearray(Path("a.npz").read_bytes())
    data[len(data) + at if at < 0 else 60 + 400] ^= 1
    Path("a.npz").write_bytes(data)
    with pytest.raises(npyfast.NpyFormatError, match=r"a\.npz"):
        npyfast.batches("a.npz")


def test_a_wrong_checksum() -> None:
    np.savez_compressed("a.npz", x=X)
    data = Path("a.npz").read_bytes()
    with zipfile.ZipFile("a.npz") as archive:
        checksum = archive.infolist()[0].CRC.to_bytes(4, "little")
    Path("a.npz").write_bytes(data.replace(checksum, b"\1\2\3\4"))
    with pytest.raises(npyfast.NpyFormatError, match=r"a\.npz\['x'\]: is damaged: Bad CRC-32"):
        npyfast.batches("a.npz")


def test_files_that_do_not_fit_together() -> None:
    np.savez_compressed("0.npz", x=X)
    np.savez_compressed("1.npz", x=X[:, :1])
    with pytest.raises(ValueError, match=r"row shape: 0\.npz has \(2,\), 1\.npz has \(1,\)"):
        npyfast.open(["0.npz", "1.npz"])
    np.savez_compressed("2.npz", x=3)
    with pytest.raises(ValueError, match=r"2\.npz\['x'\]: holds a 0-dimensional array"):
        npyfast.open("2.npz")
    with pytest.raises(ValueError, match="has no array 'z'; it has 'x'"):
        npyfast.open(npyfast.source("2.npz", key="z"))
