"""`npyfast.labeled`: a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expected import assert_same, assert_same_batches, epoch_batches
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

# In the order of sorted(), which is neither natural nor that of the file system.
NAMES = ["10", "2", "Zebra", "ant [1]"]


@pytest.fixture
def root(save: Save, tmp_path: Path) -> Path:
    """Sample s of class c is the array [[c, s]]; class c has c + 10 of them."""
    for label, name in enumerate(NAMES):
        for sample in range(label + 10):
            save(np.array([[label, sample]], "i2"), f"root/{name}/{sample}.npy")
    (tmp_path / "root/README.txt").write_text("ignored")
    (tmp_path / "root/.cache").mkdir()
    (tmp_path / "root/2/.hidden").write_text("ignored")
    return tmp_path / "root"


def test_samples_have_the_label_of_their_folder(root: Path) -> None:
    for directory in (root, str(root), f"{root}/"):
        found = npyfast.labeled(directory)
        assert found.class_names == NAMES
        samples = np.asarray(npyfast.open(found.source))
        assert found.labels.dtype == np.int64
        assert_same(found.labels, np.repeat(np.arange(4), [10, 11, 12, 13]))
        assert_same(samples[:, 0, 0].astype(np.int64), found.labels)
        assert list(samples[:10, 0, 1]) == list(range(10))  # 9 before 10
        assert [Path(path).parent.name for path in found.source.files[::11]] == [*NAMES, NAMES[3]]
    assert repr(found).startswith("npyfast.Labeled(46 samples of 4 classes: ")


def test_batches(root: Path) -> None:
    found = npyfast.labeled(root, cast="float32", scale=0.5, row_shape=2)
    samples = np.asarray(npyfast.open(npyfast.labeled(root).source)).reshape(46, 2)
    batches = npyfast.batches((found.source, found.labels), 8, shuffle=True, seed=3)
    expected = (samples.astype("f4") * np.float32(0.5), found.labels)
    assert_same_batches(batches, expected, epoch_batches(46, batch_size=8, seed=3))


def test_files_of_several_samples(root: Path, save: Save) -> None:
    save(np.empty((0, 2), "i2"), "root/2/empty.npy")
    found = npyfast.labeled(root, per_file=None, row_shape=2)
    assert_same(found.labels, np.repeat(np.arange(4), [10, 11, 12, 13]))
    samples = np.asarray(npyfast.open(found.source))
    assert_same(samples[:, 0].astype(np.int64), found.labels)


def test_a_folder_that_moves_with_the_working_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    found = npyfast.labeled("root")
    monkeypatch.chdir("/")
    assert len(np.asarray(npyfast.open(found.source))) == len(found.labels)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda root: (root / "birds").mkdir(), FileNotFoundError, "the class has no .npy files"),
        (
            lambda root: np.save(root / "lost.npy", np.zeros((1, 2), "i2")),
            ValueError,
            "lost.npy: lies beside the folders of the classes, so it has no label",
        ),
        (
            lambda root: (root / "2/more").mkdir(),
            ValueError,
            "2/more: is a folder, and the folder of a class holds the .npy files of its samples",
        ),
        (lambda root: (root / "2/a.npz").write_bytes(b""), ValueError, "2/a.npz: is not a .npy"),
        (
            lambda root: np.save(root / "Zebra/0.npy", np.zeros((2, 2), "i2")),
            ValueError,
            r"must have one shape: .*10/0.npy has \(1, 2\), .*Zebra/0.npy has \(2, 2\); each is "
            "one row: pad or crop them",
        ),
        (
            lambda root: np.save(root / "Zebra/0.npy", np.zeros((1, 2), "f4")),
            ValueError,
            "must have one dtype: .*10/0.npy has int16, .*Zebra/0.npy has float32",
        ),
        (
            lambda root: (root / "2/0.npy").write_bytes(b"no array"),
            npyfast.NpyFormatError,
            "2/0.npy",
        ),
    ],
)
def test_what_does_not_fit(
    root: Path, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    spoil(root)
    with pytest.raises(error, match=message):
        npyfast.labeled(root)


def test_folders_without_classes(tmp_path: Path, save: Save) -> None:
    with pytest.raises(FileNotFoundError, match="has no folders, one for each class"):
        npyfast.labeled(tmp_path)
    with pytest.raises(FileNotFoundError):
        npyfast.labeled(tmp_path / "nowhere")
    path = save(np.zeros(3), "X.npy")
    with pytest.raises(FileNotFoundError, match="has .npy files but no folder for each class"):
        npyfast.labeled(tmp_path)
    with pytest.raises(NotADirectoryError):
        npyfast.labeled(path)
    with pytest.raises(ValueError, match=re.escape("per_file must be None or 'row', got 'rows'")):
        npyfast.labeled(tmp_path, per_file="rows")  # type: ignore[arg-type]


def test_an_incomplete_set_of_files(tmp_path: Path, save: Save) -> None:
    save(np.zeros((3, 2)), "root/cats/part-00000-of-00002.npy")
    with pytest.raises(ValueError, match="part-00001-of-00002"):
        npyfast.labeled(tmp_path / "root", per_file=None)
