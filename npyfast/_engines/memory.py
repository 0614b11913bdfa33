"""Arrays in memory as tensors of bytes, which a graph captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header, header_bytes
from npyfast._batches.batching import Batching
from npyfast._batches.next_place import NextPlace
from npyfast._engines.tensors import import_tensorflow
from npyfast._sources.formats import has_header

if TYPE_CHECKING:
    import tensorflow as tf

    from npyfast._backends.native import NativeLeaf

# Header of a .npy file with dtype and shape; byte where the first item begins; strides.
Layout = tuple[bytes, int, tuple[int, ...]]

# Up to this many bytes are copied: less than what making a dataset costs.
_COPIED_BYTES = 1 << 20

# TensorFlow aborts the process when it is to send a graph of 2 GiB. The rest of it fits besides.
_MOST_BYTES = (1 << 31) - (1 << 24)


class SharedArray(NamedTuple):
    """A tensor of bytes, and where an array lies in it."""

    layout: Layout
    tensor: tf.Tensor


def arrays_in_memory(batching: Batching) -> list[AnyArray]:
    """The leaves that are arrays in memory. REQUIRES: the native backend has opened them."""
    opened = cast("list[NativeLeaf]", batching.leaves)
    return [np.asarray(leaf.memory) for leaf in opened if leaf.memory is not None]


def obstacle(batching: Batching) -> str | None:
    """Why a graph cannot hold the arrays in memory, if it cannot."""
    memory = arrays_in_memory(batching)
    if not all(has_header(array.dtype) for array in memory):
        return "an array in memory has fields that overlap or are out of order"
    listed = batching.plan.selection.list
    held = sum(map(_tensor_bytes, memory)) + (0 if listed is None else listed.nbytes)
    if memory and held > _MOST_BYTES:
        return "a graph of TensorFlow holds no more than 2 GiB of arrays in memory (np.save them)"
    tf = import_tensorflow()
    if memory and not (tf.executing_eagerly() or tf.inside_function()):
        return "a graph of TensorFlow 1 would hold a copy of an array in memory"
    return None


def share(array: AnyArray) -> SharedArray:
    """The bytes of an array as a tensor, without a copy unless that is cheap.

    A process that the tensor is sent to gets all bytes from the first item to the last one. If most
    of them belong to other items, as in `array[:, :3]`, those of the array are copied, too.
    """
    from npyfast._core import share_memory  # missing where the NumPy backend is in use

    tf = import_tensorflow()
    offset = 0
    with tf.device("CPU:0"):
        if _is_copied(array):
            buffer = np.zeros(array.nbytes, np.uint8)
            if array.nbytes:
                copied: Any = np.ndarray(array.shape, array.dtype, buffer)
                copied[...] = array
                array = copied
            tensor = tf.constant(buffer)
        else:
            capsule, offset = share_memory(array)
            with tf.init_scope():  # a tf.function that is being traced captures it
                tensor = tf.experimental.dlpack.from_dlpack(capsule)
    header = header_bytes(Header((3, 0), array.shape, array.dtype, False, 0))
    return SharedArray((header, offset, array.strides), tensor)


def share_place(place: NextPlace) -> tf.Tensor | None:
    """The memory of a place as a tensor of one int64, which changes with it; None where tensors
    cannot share it."""
    tf = import_tensorflow()
    if not (tf.executing_eagerly() or tf.inside_function()):
        return None
    # __dlpack__() takes a reference, so the memory lives as long as the tensor.
    with tf.init_scope(), tf.device("CPU:0"):
        return tf.experimental.dlpack.from_dlpack(place.memory.__dlpack__())


def _is_copied(array: AnyArray) -> bool:
    return array.nbytes <= _COPIED_BYTES or _spanned(array) > 2 * array.nbytes


def _tensor_bytes(array: AnyArray) -> int:
    return array.nbytes if _is_copied(array) else _spanned(array)


def _spanned(array: AnyArray) -> int:
    """Bytes from the first item to the last one, or one item more."""
    sizes = zip(array.shape, array.strides, strict=True)
    return int(array.itemsize + sum((count - 1) * abs(stride) for count, stride in sizes))
