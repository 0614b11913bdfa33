"""Casts rows to another number type, scales and shifts them: by NumPy, the specification."""

from __future__ import annotations

from typing import Any

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._backends.float_environment import default_float_environment
from npyfast._backends.header import make_dtype
from npyfast._errors import shown

TARGETS = (
    "bfloat16, float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64"
)
_TRANSFORM = "; a `transform` can convert in any way"


class Cast:
    """Converts rows to `dtype`, multiplies them by `scale`, then adds `shift`.

    Each step is NumPy's and rounds to `dtype`, which `scale` and `shift` have too. bfloat16 is the
    type of ml_dtypes.
    """

    def __init__(
        self, dtype: np.dtype[Any], scale: AnyArray | None = None, shift: AnyArray | None = None
    ) -> None:
        self.dtype = dtype
        self.scale = scale
        self.shift = shift

    @classmethod
    def make(
        cls,
        from_dtype: np.dtype[Any],
        row_shape: tuple[int, ...],
        cast: Any = None,
        scale: Any = None,
        shift: Any = None,
    ) -> Cast:
        """The cast of rows of a shape, from a dtype, that these options of `source` ask for.

        At least one of them is given. Raises TypeError if there is no such cast, and ValueError
        if the options do not fit each other or the rows.
        """
        source = _number_type(from_dtype)
        if source is None:
            raise TypeError(
                f"only numbers can be cast, scaled and shifted, not {from_dtype}{_TRANSFORM}"
            )
        dtype = source if cast is None else _target(cast)
        if cast is None and not _is_float(source):
            raise ValueError(
                f"scale and shift need a float result, and the rows are {source}: "
                "give cast='float32' as well"
            )
        if dtype.char == "g":
            raise TypeError(f"{dtype} rows need a cast: give cast='float64' as well")
        if _is_float(source) and not _is_float(dtype):
            raise TypeError(
                f"there is no cast from {source} to {dtype}, because it would have to round in one "
                f"of several ways{_TRANSFORM}"
            )
        return cls(
            dtype,
            _operand("scale", scale, dtype, row_shape),
            _operand("shift", shift, dtype, row_shape),
        )

    def __call__(self, rows: AnyArray) -> AnyArray:
        """The result for an array of rows of the row shape, as a fresh array."""
        with np.errstate(all="ignore"), default_float_environment():
            out = _as_numbers(rows).astype(self.dtype, order="C")
            if self.scale is not None:
                out *= self.scale
            if self.shift is not None:
                out += self.shift
        return out


def check_cast(cast: Any, scale: Any, shift: Any) -> None:
    """Raises as Cast.make() does for options that are wrong whatever the rows are."""
    dtype = None if cast is None else _target(cast)
    if dtype is not None and not _is_float(dtype) and not (scale is shift is None):
        raise ValueError(
            f"scale and shift need a float result, and cast is {dtype}: use cast='float32'"
        )
    for name, value in (("scale", scale), ("shift", shift)):
        if value is not None:
            _numbers(name, value)


def bfloat16() -> np.dtype[Any]:
    """The dtype bfloat16, which NumPy lacks. Raises ImportError naming the package."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 needs the package ml_dtypes: pip install ml-dtypes") from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether items are bfloat16: the type of ml_dtypes, or V2, as which .npy files store it."""
    if dtype.kind != "V" or dtype.itemsize != 2:
        return False
    # Any other two-byte type of this kind belongs to another package.
    plain = dtype.type is np.void and dtype.names is None and dtype.subdtype is None
    return plain or dtype.type.__name__ == "bfloat16"


def _number_type(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype as numbers in native byte order; None if it holds no numbers that can be cast."""
    if is_bfloat16(dtype):
        return bfloat16()
    # By type: other packages' types have kinds such as "f" too.
    if issubclass(dtype.type, (np.bool_, np.integer, np.floating)) and dtype.kind in "biuf":
        return dtype.newbyteorder("=")
    return None


def _as_numbers(array: AnyArray) -> AnyArray:
    dtype = array.dtype
    if is_bfloat16(dtype):
        return array.view(bfloat16())
    if dtype.kind == "b":
        # NumPy treats a byte other than 0 and 1 as true, ml_dtypes as that number.
        return array.astype(np.uint8)
    return array


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or is_bfloat16(dtype)


def _target(cast: Any) -> np.dtype[Any]:
    """The dtype that the option `cast` names."""
    cast = getattr(cast, "as_numpy_dtype", cast)  # of a TensorFlow type
    if isinstance(cast, str) and cast == "bfloat16":
        return bfloat16()
    try:
        dtype = make_dtype(cast)
    except ValueError as error:
        raise ValueError(f"cast must be one of {TARGETS}; got {shown(cast)}") from error
    found = _number_type(dtype)
    if found is None or found.kind == "b" or found.char == "g":
        raise TypeError(f"cast must be one of {TARGETS}; got {dtype}{_TRANSFORM}")
    return found


def _numbers(name: str, value: Any) -> AnyArray:
    """The option `scale` or `shift` as an array of numbers."""
    try:
        given = np.asarray(value)
        if _number_type(given.dtype) is not None:
            return given
    except ValueError:  # lists of different lengths
        pass
    hint = ": write it without quotes" if isinstance(value, str) else ""
    raise TypeError(f"{name} must be a number or an array of numbers; got {shown(value)}{hint}")


def _operand(
    name: str, value: Any, dtype: np.dtype[Any], row_shape: tuple[int, ...]
) -> AnyArray | None:
    """The option `scale` or `shift` in the result's dtype."""
    if value is None:
        return None
    given = _numbers(name, value)
    try:
        fits = np.broadcast_shapes(given.shape, row_shape) == row_shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must broadcast over a row: it has the shape {given.shape}, "
            f"a row has {row_shape}"
        )
    with np.errstate(all="ignore"), default_float_environment():
        return _as_numbers(given).astype(dtype, order="C")
