"""Other loaders: torch, FFCV, Grain, Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from harness.contender import CONTENDERS, Array, Loop, Run, UnavailableError, contender
from harness.workloads import Case

from contenders.arrays import load

# Grain's default is 500 batches ahead, up to 19 GB here. As many as there are threads are as fast,
# and soon used up before a turn.
_GRAIN_THREADS = 16


class _Rows:
    """An array as torch's DataLoader takes it, by lists of rows, and FFCV's writer, row by row."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: int) -> tuple[Array]:
        return (np.asarray(self._array[row]),)

    def __getitems__(self, rows: list[int]) -> Any:
        import torch

        return torch.from_numpy(self._array[rows])


def _as_is(batch: Any) -> Any:
    return batch


@contender("torch", "torch DataLoader, memmap, 0 workers", "torch")
def _torch(case: Case, workers: int = 0) -> Run:
    import torch
    from torch.utils.data import DataLoader

    torch.manual_seed(case.seed)
    loader: Any = DataLoader(
        _Rows(load(case, mapped=True)),
        batch_size=case.batch,
        shuffle=bool(case.shuffle),
        num_workers=workers,
        collate_fn=_as_is,
    )
    return Loop(lambda: iter(loader))


@contender("torch-8", "torch DataLoader, memmap, 8 workers", "torch")
def _torch_workers(case: Case) -> Run:
    return _torch(case, 8)


def _write_beton(source: str, target: str) -> None:
    from ffcv.fields import NDArrayField
    from ffcv.writer import DatasetWriter

    array = np.load(source, mmap_mode="r")
    fields = {"x": NDArrayField(array.dtype, array.shape[1:])}
    DatasetWriter(target, fields, num_workers=1).from_indexed_dataset(_Rows(array), chunksize=1000)


@contender("ffcv", "FFCV, RANDOM, os_cache", "ffcv", "torch", suffix=".beton", write=_write_beton)
def _ffcv(case: Case) -> Run:
    from ffcv.fields.decoders import NDArrayDecoder
    from ffcv.loader import Loader, OrderOption

    loader = Loader(
        str(CONTENDERS["ffcv"].file(case.path)),
        batch_size=case.batch,
        num_workers=case.threads,
        os_cache=True,
        order=OrderOption.RANDOM if case.shuffle else OrderOption.SEQUENTIAL,
        seed=case.seed,
        pipelines={"x": [NDArrayDecoder()]},
        drop_last=False,
    )
    running: list[Any] = []

    def stop() -> None:
        while running:
            running.pop().close()

    def iterate() -> Iterator[Any]:
        stop()
        running.append(iter(loader))
        return running[0]

    return Loop(iterate, ahead=4, to_numpy=lambda batch: batch[0], stop=stop)


@contender("grain", "Grain MapDataset, memmap", "grain")
def _grain(case: Case) -> Run:
    import grain

    rows = grain.MapDataset.source(load(case, mapped=True))
    if case.shuffle:
        rows = rows.shuffle(seed=case.seed)
    dataset = rows.batch(case.batch).repeat()
    options = grain.ReadOptions(num_threads=_GRAIN_THREADS, prefetch_buffer_size=_GRAIN_THREADS)
    return Loop(lambda: iter(dataset.to_iter_dataset(options)), ahead=2 * _GRAIN_THREADS)


def _write_arrow(source: str, target: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    array = np.load(source)
    if array[0].nbytes > 64 << 10:
        raise UnavailableError("left out (rows above 64 KiB)")
    shape, element = array.shape[1:], array.dtype.name
    if len(shape) == 1:
        feature = datasets.Sequence(datasets.Value(element), length=shape[0])
    else:
        feature = getattr(datasets, f"Array{len(shape)}D")(shape, element)
    table = datasets.Dataset.from_dict({"x": array}, features=datasets.Features({"x": feature}))
    table.save_to_disk(target)


@contender(
    "huggingface",
    "Hugging Face to_tf_dataset",
    "datasets",
    "tensorflow",
    suffix=".arrow",
    write=_write_arrow,
)
def _hugging_face(case: Case) -> Run:
    import datasets
    import tensorflow as tf

    rows = datasets.load_from_disk(str(CONTENDERS["huggingface"].file(case.path)))
    tf.random.set_seed(case.seed)
    dataset = rows.to_tf_dataset(batch_size=case.batch, columns="x", shuffle=True).repeat()
    return Loop(lambda: iter(dataset), ahead=32)
