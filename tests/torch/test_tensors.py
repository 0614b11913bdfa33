"""`npyfast.torch_dataset`: what its tensors are."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from samples import Save, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

# Every NumPy dtype that torch.from_numpy of the oldest supported release takes.
TYPES = {
    "?": torch.bool,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "c8": torch.complex64,
    "c16": torch.complex128,
}
NEWER = {text: getattr(torch, f"uint{8 * int(text[1])}", None) for text in ("u2", "u4", "u8")}
TYPES |= {text: type for text, type in NEWER.items() if type is not None}


@pytest.mark.parametrize("text", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type(save: Save, text: str, order: str) -> None:
    array = random_array(np.dtype(text).newbyteorder(order), (7, 3))
    found = list(npyfast.torch_dataset(save(array), 4))
    assert [tuple(batch.shape) for batch in found] == [(4, 3), (3, 3)]
    assert {batch.dtype for batch in found} == {TYPES[text]}
    joined = np.concatenate([batch.numpy() for batch in found])
    assert joined.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("shape", [(6,), (6, 0), (6, 2, 3), (0, 4)])
def test_every_shape(save: Save, shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, "f4", order="F")
    found = list(npyfast.torch_dataset(save(array), 4))
    assert [tuple(batch.shape) for batch in found] == [
        (rows, *shape[1:]) for rows in ([4, 2] if shape[0] else [])
    ]


@pytest.mark.parametrize("in_memory", [False, True])
def test_bfloat16(save: Save, in_memory: bool) -> None:
    array = np.arange(10).astype(ml_dtypes.bfloat16)
    (batch,) = npyfast.torch_dataset(array if in_memory else save(array))
    assert batch.dtype == torch.bfloat16
    assert batch.float().tolist() == list(range(10))
    cast = npyfast.source(save(np.arange(10)), cast=ml_dtypes.bfloat16)
    (batch,) = npyfast.torch_dataset(cast)
    assert batch.dtype == torch.bfloat16
    assert batch.float().tolist() == list(range(10))


def test_tensors_share_the_memory_of_the_batch(save: Save, monkeypatch: Any) -> None:
    from npyfast._torch import tensors

    addresses: list[int] = []

    def noted(array: Any) -> Any:
        assert array.flags.writeable
        addresses.append(array.__array_interface__["data"][0])
        return torch_from_numpy(array)

    ds = npyfast.torch_dataset((save(np.arange(100.0)), save(np.zeros((100, 5)))), 10)
    torch_from_numpy = torch.from_numpy
    monkeypatch.setattr(tensors.torch, "from_numpy", noted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns of arrays that cannot be written
        found = list(ds)
    assert [t.data_ptr() for batch in found for t in batch] == addresses
    assert len(set(addresses)) == 20  # all are kept, so none is used twice


def test_batches_are_the_callers_to_write(save: Save) -> None:
    array = np.arange(20.0)
    path = save(array)
    ds = npyfast.torch_dataset(path, 5)
    kept = []
    for batch in ds:
        kept.append(batch.clone())
        batch.mul_(-1)
    assert torch.cat(kept).tolist() == array.tolist()
    assert np.array_equal(np.load(path), array)
    memory = np.arange(20.0)
    for batch in npyfast.torch_dataset(memory, 5):
        batch.zero_()
    assert np.array_equal(memory, array)


def test_structures_are_dicts(save: Save) -> None:
    records = random_array(np.dtype([("a", ">i4"), ("b", [("c", "f4", (2,))])]), (5,))
    (batch,) = npyfast.torch_dataset({"r": save(records)})
    assert batch["r"]["a"].tolist() == records["a"].tolist()
    assert batch["r"]["b"]["c"].dtype == torch.float32
    assert batch["r"]["b"]["c"].numpy().tobytes() == records["b"]["c"].tobytes()


@pytest.mark.parametrize(
    ("dtype", "name", "advice"),
    [
        ("g", "longdouble|float128", "cast='float64'"),
        ("G", "clongdouble|complex256", "astype('complex128')"),
        ("M8[s]", r"datetime64\[s\]", "astype('int64')"),
        ("m8[D]", r"timedelta64\[D\]", "astype('int64')"),
        ("S5", r"\|?S5", "return_inverse"),
        ("U7", "<U7", "return_inverse"),
        ("V6", r"\|V6", "transform="),
    ],
)
def test_types_that_pytorch_lacks(save: Save, dtype: str, name: str, advice: str) -> None:
    path = save(random_array(np.dtype(dtype), (5,)), "lacking.npy")
    with pytest.raises(TypeError, match=f"lacking.npy: PyTorch has no type for ({name}): ") as info:
        npyfast.torch_dataset((save(np.arange(5)), path))
    assert advice in str(info.value)


def test_the_fields_that_pytorch_lacks_are_named(save: Save) -> None:
    path = save(np.zeros(3, [("a", "i4"), ("name", "U3")]), "records.npy")
    with pytest.raises(TypeError, match=r"records.npy\['name'\]: PyTorch has no type for <U3"):
        npyfast.torch_dataset(path)


def test_the_ways_out_work(save: Save) -> None:
    path = save(np.arange(5, dtype="g"))
    (batch,) = npyfast.torch_dataset(npyfast.source(path, cast="float64"))
    assert batch.tolist() == list(range(5))
    (batch,) = npyfast.torch_dataset(
        save(np.array(["b", "a"])), transform=lambda names: np.unique(names, return_inverse=True)[1]
    )
    assert batch.tolist() == [1, 0]
    times = save(np.array([3, 4], "M8[s]"))
    (batch,) = npyfast.torch_dataset(times, transform=lambda times: times.astype("int64"))
    assert batch.tolist() == [3, 4]


@pytest.mark.parametrize("threads", [1, 2])
def test_transforms_return_any_nest(save: Save, threads: int) -> None:
    def transform(batch: Any) -> Any:
        read_only = batch.copy()
        read_only.flags.writeable = False
        return {
            "array": batch * 2,
            "backwards": batch[::-1],
            "swapped": batch.astype(">f4"),
            "read-only": read_only,
            "scalar": np.float32(2.5),
            "tensor": torch.ones(2),
            "rest": ("text", 3, None),
        }

    ds = npyfast.torch_dataset(save(np.arange(3.0)), transform=transform, transform_threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (batch,) = ds
    assert batch["array"].tolist() == [0, 2, 4]
    assert batch["backwards"].tolist() == [2, 1, 0]
    assert batch["swapped"].tolist() == [0, 1, 2]
    assert batch["read-only"].add_(1).tolist() == [1, 2, 3]
    assert batch["scalar"].item() == 2.5
    assert batch["tensor"].tolist() == [1, 1]
    assert batch["rest"] == ("text", 3, None)


@pytest.mark.parametrize(
    "returned", [np.array(["a"]), np.array([None]), np.zeros(1, [("a", "i4")]), np.longdouble(1)]
)
def test_transforms_that_return_other_types(save: Save, returned: Any) -> None:
    ds = npyfast.torch_dataset(save(np.arange(3)), transform=lambda batch: returned)
    with pytest.raises(TypeError, match="the transform returned .*: PyTorch has no type for it"):
        next(iter(ds))


def test_masked_items(save: Save) -> None:
    ds = npyfast.torch_dataset(save(np.arange(3)), transform=lambda b: np.ma.masked_equal(b, 1))
    with pytest.raises(TypeError, match="masked items: return array.filled"):
        next(iter(ds))
