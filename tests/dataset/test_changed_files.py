"""A file that changed since a dataset opened it is an error that names it, never a row."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from deadlines import wait_until
from file_changes import CHANGES, REPLACEMENTS, assert_tells, change, read_on
from samples import Dataset, Save

import npyfast

X = np.arange(1000, dtype="u4")

changed = pytest.mark.parametrize("how", CHANGES)
replaced = pytest.mark.parametrize("how", REPLACEMENTS)


@pytest.fixture
def graph(native: None) -> Callable[..., Any]:
    return lambda *arguments, **options: npyfast.dataset(*arguments, engine="graph", **options)


def rows_of(made: Any) -> Any:
    return np.concatenate([batch.numpy() for batch in made])


@changed
def test_between_two_epochs(dataset: Dataset, save: Save, how: str) -> None:
    path = save(X)
    made = dataset(path, 100)
    assert np.array_equal(rows_of(made), X)
    change(how, path)
    for _ in range(2):
        with pytest.raises(tf.errors.OpError) as caught:
            next(iter(made))
        assert path in str(caught.value)


@changed
def test_in_the_middle_of_an_epoch(dataset: Dataset, save: Save, how: str) -> None:
    path = save(X)
    iterator = iter(dataset(path, 100, epochs=-1))
    for wanted in (X[:100], X[100:200]):
        assert np.array_equal(next(iterator), wanted)
    change(how, path)
    with pytest.raises(tf.errors.OpError) as caught:
        read_on(iterator)
    assert_tells(caught.value, path)


@changed
def test_however_many_batches_lie_ready(graph: Callable[..., Any], save: Save, how: str) -> None:
    """A slow reader gets the error of the next batch once 0.1 s have gone by."""
    path = save(X)
    made = graph(path, 1, epochs=-1)
    iterator = iter(made)
    next(iterator)
    wait_until(lambda: npyfast.statistics(made).batches_ahead > 100)
    change(how, path)
    time.sleep(0.2)
    with pytest.raises(tf.errors.OpError) as caught:
        next(iterator)
    assert_tells(caught.value, path)


@replaced
def test_another_file_is_no_change(dataset: Dataset, save: Save, how: str) -> None:
    """The next epoch goes on with what this process has open."""
    path = save(X)
    made = dataset(path, 100)
    iterator = iter(made)
    begun = [next(iterator).numpy()]
    change(how, path)
    time.sleep(0.2)
    assert np.array_equal(np.concatenate([*begun, rows_of(iterator)]), X)
    for _ in range(2):
        assert np.array_equal(rows_of(made), X)


@pytest.mark.parametrize("how", REPLACEMENTS)
def test_what_is_not_open_any_more(graph: Callable[..., Any], save: Save, how: str) -> None:
    """It can't go on with what it had, and says so."""
    path, others = save(X), [save(X[:10]) for _ in range(12)]
    made = graph(path, 100)
    assert np.array_equal(rows_of(made), X)
    for other in others:
        rows_of(graph(other, 10))
    change(how, path)
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(made))
    assert path in str(caught.value)
    if how == "replaced":
        assert isinstance(caught.value, tf.errors.FailedPreconditionError)
        assert "was changed or replaced after the dataset was made of it; make the dataset" in str(
            caught.value
        )


def test_datasets_from_before_and_after_a_replacement(dataset: Dataset, save: Save) -> None:
    path = save(X)
    before = dataset(path, 100)
    assert np.array_equal(rows_of(before), X)
    change("replaced", path)
    after = dataset(path, 100)
    for _ in range(3):
        assert np.array_equal(rows_of(before), X)
        assert np.array_equal(rows_of(after), X + 1)


def test_made_again_it_has_the_new_rows(dataset: Dataset, save: Save) -> None:
    path = save(X)
    made = dataset(path, 100)
    assert np.array_equal(rows_of(made), X)
    change("saved over", path)
    with pytest.raises(tf.errors.OpError):
        next(iter(made))
    again = dataset(path, 100)
    for _ in range(2):
        assert np.array_equal(rows_of(again), X + 1)


@pytest.mark.parametrize("count", [3, 300])
def test_one_file_of_many(dataset: Dataset, save: Save, count: int) -> None:
    paths = [save(X[:10]) for _ in range(count)]
    made = dataset(paths, 10, epochs=-1)
    iterator = iter(made)
    next(iterator)
    change("time put back", paths[-1])
    with pytest.raises(tf.errors.OpError) as caught:
        read_on(iterator)
    assert paths[-1] in str(caught.value)
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(made))
    assert paths[-1] in str(caught.value)


def test_one_of_two_leaves(dataset: Dataset, save: Save) -> None:
    bad, good = save(X), save(X)
    made = dataset({"bad": bad, "good": good}, 100)
    assert len(list(made)) == 10
    change("saved over", bad)
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(made))
    assert_tells(caught.value, bad)
    assert np.array_equal(rows_of(dataset(good, 100)), X)


def test_errors_that_are_ignored_end_with_the_run(graph: Callable[..., Any], save: Save) -> None:
    path = save(X)
    made = graph(path, 10, epochs=1)
    assert len(list(made)) == 100
    change("saved over", path)
    assert list(made.ignore_errors()) == []


@changed
def test_by_number(graph: Callable[..., Any], save: Save, how: str) -> None:
    path = save(X)
    made = graph(path, 100, epochs=1)
    assert np.array_equal(tf.data.experimental.at(made, 3), X[300:400])
    change(how, path)
    for index in (5, 5, 0):
        with pytest.raises(tf.errors.OpError) as caught:
            tf.data.experimental.at(made, index)
        assert path in str(caught.value)


@replaced
def test_by_number_of_another_file(graph: Callable[..., Any], save: Save, how: str) -> None:
    path = save(X)
    made = graph(path, 100, epochs=1)
    assert np.array_equal(tf.data.experimental.at(made, 3), X[300:400])
    change(how, path)
    assert np.array_equal(tf.data.experimental.at(made, 5), X[500:600])


def test_a_directory_of_another_name(dataset: Dataset, save: Save) -> None:
    """Whoever has the files open has them whatever their folder is called."""
    path = save(X, "folder/x.npy")
    made = dataset(path, 100)
    assert np.array_equal(rows_of(made), X)
    os.rename(os.path.dirname(path), os.path.dirname(path) + ".away")
    assert np.array_equal(rows_of(made), X)


def test_a_container_is_another_machine(native: None) -> None:
    """Its files are others than those at the same paths outside, though the kernel is the same."""
    script = (
        "from npyfast._engines.op_library import library_text; "
        "print(library_text('npyfast_machine_id'))"
    )
    command = [sys.executable, "-c", script]

    def machine(*before: str) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        found = subprocess.run(
            [*before, *command], env=environment, cwd="/", capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
        return found.stdout.strip()

    private = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if private.returncode != 0:
        pytest.skip(f"private mounts are not available here: {private.stderr}")
    here = machine()
    assert here
    assert machine() == here
    assert machine("unshare", "--mount") != here
