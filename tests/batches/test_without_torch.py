"""npyfast without PyTorch."""

import processes


def test_pytorch_is_imported_on_demand_only(backend: str) -> None:
    assert processes.run("imports_no_torch.py", backend=backend) == (
        "npyfast.torch_dataset needs PyTorch: pip install 'npyfast[torch]'; npyfast.batches gives "
        "the same batches as NumPy arrays"
    )
