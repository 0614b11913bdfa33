"""Arrays to test with: every dtype, every layout, every bit pattern that is a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# What the fixture `save` gives: save(array) or save(array, name) saves it and returns the path.
Save = Callable[..., str]

# What the fixture `dataset` gives: npyfast.dataset by the engine of this run.
Dataset = Callable[..., Any]

# One of each kind and size that NumPy saves without a pickle.
PLAIN = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
    *("f2", "f4", "f8", "g", "c8", "c16", "G"),
    *("S1", "S5", "U1", "U7", "V1", "V2", "V6", "M8[ns]", "M8[25s]", "m8[D]", "m8"),
]

SIZELESS = ["S0", "U0", "V0"]

STRUCTURED = [
    [("a", "i4"), ("b", "f8")],
    [("a", "u1"), ("b", ">i2"), ("c", "<f4")],
    [("one", "f4")],
    [("box", "f4", (2, 2)), ("label", "i8")],
    [("matrix", ">c8", (2, 3)), ("name", "U3"), ("when", ">M8[s]")],
    [("outer", [("inner", ">u4"), ("flag", "?")]), ("last", "S4")],
    [("outer", [("deep", ">f8", (3,))], (2,)), ("x", "i1")],
    [("nothing", "V0"), ("empty", "f4", (0,)), ("x", "i2")],
    {"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [3, 8], "itemsize": 24},
    {"names": ["a"], "formats": [">i4"], "offsets": [2], "itemsize": 10},
]

# np.save refuses it: only arrays in memory have it.
OUT_OF_ORDER = {"names": ["b", "a"], "formats": ["f8", ">i2"], "offsets": [2, 0], "itemsize": 10}


def dtypes() -> list[np.dtype[Any]]:
    """All that a file can have, the plain ones in both byte orders."""
    found = []
    for text in PLAIN:
        native = np.dtype(text)
        found.append(native)
        if native.newbyteorder() != native:
            found.append(native.newbyteorder())
    return found + [np.dtype(spec) for spec in (*SIZELESS, *STRUCTURED)]  # type: ignore[call-overload]


def random_array(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int = 0) -> Array:
    """Items of random bits, as far as these are values of the dtype."""
    # Not by np.zeros, which makes "S1" of "S0".
    array = np.ndarray(shape, dtype, buffer=bytearray(max(1, math.prod(shape) * dtype.itemsize)))
    _fill(array, np.random.default_rng(seed))
    return array


def _fill(array: Array, random: np.random.Generator) -> None:
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            _fill(array[name], random)
    elif array.size == 0 or dtype.itemsize == 0:
        pass
    elif dtype.kind == "b":
        array[...] = random.integers(0, 2, array.shape)
    elif dtype.kind in "SU":
        length = dtype.itemsize // (1 if dtype.kind == "S" else 4)
        letters = list("abcXYZ é\U0001f600" if dtype.kind == "U" else "abcXYZ ~!")
        words = ["".join(random.choice(letters, length)) for _ in range(array.size)]
        array[...] = np.array(words, f"{dtype.kind}{length}").reshape(array.shape)
    elif dtype.char in "gG":
        array[...] = random.standard_normal(array.shape)
    else:
        raw = random.integers(0, 256, array.size * dtype.itemsize, dtype=np.uint8)
        array[...] = raw.view(dtype).reshape(array.shape)


def in_order(array: Array, order: str) -> Array:
    """The same array, laid out in C or Fortran order."""
    return np.asfortranarray(array) if order == "F" else np.ascontiguousarray(array)
