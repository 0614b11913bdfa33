"""Calls that are nearly right, and what their errors must say about the way out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from samples import Save

import npyfast

X = np.arange(40.0).reshape(10, 4)
Y = np.arange(10)


def save_all(save: Save) -> None:
    """The files that the calls name, in the folder that the test is in."""
    save(X, "X.npy")
    save(Y, "y.npy")
    save(Y[1:], "z.npy")
    for number in range(10):
        save(np.zeros(number + 2), f"lengths/{number}.npy")
        save(np.array(number), f"scalars/{number}.npy")
        save(np.zeros(4), f"classes/{'cats' if number % 2 else 'dogs'}/{number}.npy")


def of_two(x: Any, y: Any) -> Any:
    return x, y


@dataclass(frozen=True)
class NearlyRight:
    """A call of `npyfast.batches` or `npyfast.dataset`."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    says: str

    def check(self, made: Callable[..., Any]) -> None:
        with pytest.raises((ValueError, TypeError, OSError)) as caught:
            made(*self.arguments, **self.options)
        text = str(caught.value)
        assert self.says in text
        # Neither the zeros of files nor a run of numbers: no data of an array.
        assert not any(items in text for items in ("[0, 1,", "[0 1", "[0."))
        assert "array(" not in text.replace("np.asarray(", "")


def call(*arguments: Any, says: str, **options: Any) -> NearlyRight:
    return NearlyRight(arguments, options, says)


TUPLE = "several arrays are one tuple: ((x, y), batch_size=32)"

CALLS = {
    "a second path": call("X.npy", "y.npy", says=f"got 'y.npy'; {TUPLE}"),
    "a second array": call(X, Y, says=f"got ndarray of shape (10,) and dtype {Y.dtype}; {TUPLE}"),
    "a third path": call("X.npy", 32, "y.npy", says=f"got 'y.npy'; {TUPLE}"),
    "a third array": call("X.npy", 32, Y, says=TUPLE),
    "a list of unlike files": call(["X.npy", "y.npy"], says="for several arrays pass a tuple"),
    "a list of arrays": call([X, X], says="several arrays are a tuple or a dict, not a list"),
    "other lengths": call(
        ("X.npy", "z.npy"), says="a list of paths is one array, a tuple or dict is several"
    ),
    "a list of files that are too long": call(
        (["X.npy", "X.npy"], "y.npy"), says="has 20, y.npy has 10; npyfast.source(..., rows="
    ),
    "samples of other lengths": call(
        ("lengths", "y.npy"),
        says="if each of the 10 files is one row, pass npyfast.source(..., per_file='row')",
    ),
    "scalars": call(
        "scalars/*.npy",
        says="if each file is one row, pass npyfast.source(..., per_file='row')",
    ),
    "a folder of folders": call(
        "classes", says="npyfast.labeled takes each as a class, and the pattern 'classes/*/*.npy'"
    ),
    "a transform of two arrays": call(
        ("X.npy", "y.npy"),
        transform=of_two,
        says="transform is called with one argument, the batch, which of_two(x: 'Any', y: 'Any')",
    ),
    "a transform of nothing": call(
        "X.npy", transform=lambda: None, says="which <lambda>() does not take"
    ),
    "training and test rows": call(
        "X.npy", rows=(Y[:5], Y[5:]), says="pass one of them, such as rows=train of (train, test)"
    ),
    "folds": call("X.npy", rows=[(Y[:5], Y[5:]), (Y[5:], Y[:5])], says="pass one of them"),
    "two slices": call("X.npy", rows=[slice(3), slice(3, 5)], says="pass one of them"),
    "rows by a share": call("X.npy", rows=0.8, says="as npyfast.split(source, 0.8), got 0.8"),
    "rows of floats": call("X.npy", rows=X[:, 0], says="got ndarray of shape (10,) and dtype flo"),
    "a buffer": call(
        "X.npy",
        shuffle=1000,
        says="got 1000: there is no buffer whose size to choose, because True shuffles all rows",
    ),
    "a buffer of NumPy": call("X.npy", shuffle=np.int64(8), says="True shuffles all rows"),
    "no batches": call("X.npy", None, says="for single rows call .unbatch() on a dataset"),
    "mean": call("X.npy", mean=0.5, says="scale=1 / std, shift=-mean / std"),
    "an option of source": call(
        "X.npy", cast="float32", says="option of npyfast.source, which makes a leaf"
    ),
    "a buffer_size": call("X.npy", buffer_size=8, says="shuffle=True shuffles all rows"),
    "num_workers": call("X.npy", num_workers=8, says="the option threads"),
    "arrays as options": call("X.npy", epochs=X, says="got ndarray of shape (10, 4) and dtype"),
    "a name as seed": call("X.npy", seed=Y, says="got ndarray of shape (10,)"),
    "an unknown readahead": call("X.npy", readahead=Y, says="got ndarray of shape (10,)"),
}


def has_one_way_out(made: Callable[..., Any]) -> None:
    """What the errors advise works."""
    assert len(made(("X.npy", "y.npy"), batch_size=4)) == 3
    assert len(made((npyfast.source("scalars", per_file="row"), "y.npy"), 10)) == 1
    assert len(made(npyfast.source("classes/*/*.npy", per_file="row"), 10, shuffle=True)) == 1
    assert len(made(("X.npy", "y.npy"), 5, transform=lambda batch: of_two(*batch))) == 2
    assert os.path.isdir("classes")
