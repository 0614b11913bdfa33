"""`npyfast.build_info`."""

from __future__ import annotations

from typing import Any

from npyfast._backends import backend, backend_reason
from npyfast._engines import default_engine
from npyfast._order.blocks import BLOCK_ORDER_VERSION
from npyfast._order.full import ORDER_VERSION


def build_info(version: str) -> dict[str, Any]:
    """What `npyfast.build_info` returns."""
    engine, engine_reason = default_engine()
    info: dict[str, Any] = {
        "version": version,
        "backend": backend().NAME,
        "backend_reason": backend_reason(),
        "engine": engine,
        "engine_reason": engine_reason,
        "order_version": ORDER_VERSION,
        "block_order_version": BLOCK_ORDER_VERSION,
    }
    try:
        from npyfast import _core
    except ImportError:
        return info
    info.update(
        compiler=_core.COMPILER,
        flags=_core.FLAGS,
        build_type=_core.BUILD_TYPE,
        usable_cpus=_core.usable_cpus(),
        direct_reads=_core.direct_reads(),
    )
    return info
