"""One of two processes of torch.distributed: prints the rows of each of its batches as JSON."""

import json
import sys
import warnings

import torch
from torch.utils.data import DataLoader

import npyfast

rank, store, path, workers, method = sys.argv[1:]


def main():
    ds = npyfast.torch_dataset(path, 5, True, seed=1)
    undivided = len(ds)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=2
    )
    started = {"multiprocessing_context": method} if int(workers) else {}
    loader = DataLoader(ds, batch_size=None, num_workers=int(workers), **started)
    passes = [[batch.tolist() for batch in loader] for _ in range(2)]
    whole = [batch.tolist() for batch in npyfast.torch_dataset(path, 50, shard=(0, 1))]
    try:
        list(npyfast.torch_dataset(path, 5, True))
        refused = ""
    except ValueError as error:
        refused = str(error)
    length = len(loader)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    print(json.dumps([undivided, length, passes, whole, refused]))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
