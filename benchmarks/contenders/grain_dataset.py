"""Grain's MapDataset."""

from __future__ import annotations

from workloads import Case

from contenders.base import Contender, IteratorRun, Run, load

# Grain's default is 500 batches ahead, up to 19 GB here. As many as there are threads are as fast,
# and soon used up before a turn is timed.
_THREADS = 16


class Grain(Contender):
    key = "grain"
    label = "Grain MapDataset, memmap"
    does = (
        "grain.MapDataset.source(memmap).shuffle(seed).batch(B).repeat()"
        ".to_iter_dataset(ReadOptions(num_threads=16, prefetch_buffer_size=16))"
    )
    packages = ("grain",)

    def open(self, case: Case) -> Run:
        import grain

        rows = grain.MapDataset.source(load(case.path, mapped=True, cold=case.cold))
        if case.shuffle:
            rows = rows.shuffle(seed=case.seed)
        dataset = rows.batch(case.batch).repeat()
        options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_THREADS)
        return IteratorRun(lambda: iter(dataset.to_iter_dataset(options)), ahead=2 * _THREADS)
