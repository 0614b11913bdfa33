"""`npyfast.torch_dataset`: batches of tensors for PyTorch's DataLoader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npyfast._batches.options import Options
from npyfast._batches.transform import Transform
from npyfast._nest import Nest
from npyfast._options import Readahead
from npyfast._order.plan import Shard
from npyfast._order.selection import RowChoice
from npyfast._order.shuffle import Shuffle
from npyfast._unknown_options import BATCHES, explaining

if TYPE_CHECKING:
    from npyfast._torch.batch_dataset import TorchBatches

_OF_OTHERS = {
    **dict.fromkeys(("prefetch", "engine"), "it is an option of npyfast.dataset only"),
    **dict.fromkeys(
        ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor"),
        "it is an option of DataLoader(npyfast.torch_dataset(...), batch_size=None)",
    ),
}


@explaining(BATCHES | _OF_OTHERS)
def torch_dataset(
    source: Nest,
    batch_size: int = 32,
    shuffle: Shuffle = False,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    drop_remainder: bool = False,
    shard: Shard = None,
    rows: RowChoice = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    start_batch: int = 0,
    threads: int | None = None,
    readahead: Readahead = "auto",
) -> TorchBatches:
    """Batches of rows as a `torch.utils.data.IterableDataset`, for PyTorch.

    Pass it to `torch.utils.data.DataLoader` with `batch_size=None`, because its items are batches
    already, or iterate over it. The options are those of `npyfast.dataset`, which documents them,
    and so are the batches and their order.

    - **Tensors** share the memory of the batch, which is new each time and yours to write. bfloat16
      (`V2` in `.npy` files) is `torch.bfloat16`; a structured dtype gives a dict of its fields.
      `transform` is called with NumPy arrays, and tensors are made of the arrays that it returns.
    - **Order**: the same with any `num_workers`. Worker w of n makes the batches w, w + n, ... of
      the pass, and the DataLoader takes them from the workers in turn (with `in_order=True`, its
      default). npyfast makes batches by threads, so 0 workers are usually enough: a worker process
      copies each batch once more. Workers pay off for a `transform` that holds the GIL. With start
      method "spawn" or "forkserver" they open the source again, so `transform` must be picklable.
    - **Epochs**: the k-th pass is epoch `start_epoch + k`, whether the process or workers make it,
      persistent ones too. `set_epoch` chooses another. (Passes of one dataset are counted together,
      so a DataLoader for validation needs a dataset of its own.)
    - **Processes**: where `torch.distributed` is initialized when a pass begins, and no `shard` is
      given, its rank and world size are the shard; shuffling then needs a `seed`. `batch_size` is
      per process, and each has the same number of batches.
    - **Resuming**: torchdata's `StatefulDataLoader` resumes exactly, with as many workers as
      before. Without workers, `state_dict` and `load_state_dict` do.

    Returns:
        `TorchBatches`, an `IterableDataset` with `len()`, `set_epoch`, `state_dict`,
        `load_state_dict`, `seed` and `statistics`. It can be pickled. Each element has the nest of
        `source`, each tensor the shape `(batch, *row_shape)`. A DataLoader turns tuples into lists.

    Raises:
        ImportError: PyTorch is not installed.
        TypeError: PyTorch has no type for a dtype (strings, dates and times, longdouble; unsigned
            integers of more than 8 bits before 2.3); the message names the leaf and a way out. Also
            as `npyfast.dataset`.
        NpyFormatError, ValueError, IndexError, OSError: as `npyfast.dataset`.

    Example:
        ```python
        ds = npyfast.torch_dataset(("X.npy", "y.npy"), batch_size=32, shuffle=True, seed=0)
        loader = torch.utils.data.DataLoader(ds, batch_size=None)
        for epoch in range(10):  # each in another order
            for x, y in loader:
                ...
        ```
    """
    try:
        from npyfast._torch.batch_dataset import TorchBatches
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != "torch":
            raise
        raise ImportError(
            "npyfast.torch_dataset needs PyTorch: pip install 'npyfast[torch]'; npyfast.batches "
            "gives the same batches as NumPy arrays"
        ) from error
    return TorchBatches(
        source,
        Options(
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            epochs=epochs,
            drop_remainder=drop_remainder,
            shard=shard,
            rows=rows,
            transform=transform,
            transform_threads=transform_threads,
            start_epoch=start_epoch,
            start_batch=start_batch,
            threads=threads,
            readahead=readahead,
        ),
    )
