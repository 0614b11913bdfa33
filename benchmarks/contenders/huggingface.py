"""Hugging Face datasets, through its tf.data bridge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from workloads import Case, Workload

from contenders.base import Contender, IteratorRun, Run, UnavailableError
from contenders.conversion import write_in_fresh_process

_LARGEST_ROW = 64 << 10


class HuggingFace(Contender):
    key = "huggingface"
    label = "Hugging Face to_tf_dataset"
    does = (
        "datasets.load_from_disk(folder).to_tf_dataset(batch_size=B, shuffle=True).repeat(); "
        "it hands unsigned bytes out as int64"
    )
    packages = ("datasets", "tensorflow")

    def converted(self, path: Path) -> Path:
        return path.with_suffix(".arrow")

    def convert(self, workload: Workload, path: Path) -> None:
        if workload.row_bytes <= _LARGEST_ROW:
            write_in_fresh_process(_write, path, self.converted(path), 2 * workload.nbytes)

    def open(self, case: Case) -> Run:
        if case.workload.row_bytes > _LARGEST_ROW:
            raise UnavailableError("left out (rows above 64 KiB)")
        import datasets
        import tensorflow as tf

        rows = datasets.load_from_disk(str(self.converted(case.path)))
        tf.random.set_seed(case.seed)
        dataset = rows.to_tf_dataset(batch_size=case.batch, columns="x", shuffle=True).repeat()
        return IteratorRun(lambda: iter(dataset), ahead=32)


def _write(source: str, target: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    array = np.load(source)
    element = array.dtype.name
    shape = array.shape[1:]
    if len(shape) == 1:
        feature = datasets.Sequence(datasets.Value(element), length=shape[0])
    else:
        feature = getattr(datasets, f"Array{len(shape)}D")(shape, element)
    table = datasets.Dataset.from_dict({"x": array}, features=datasets.Features({"x": feature}))
    table.save_to_disk(target)
