"""What this process holds in memory that is its own."""

from __future__ import annotations

from pathlib import Path


def anonymous_bytes() -> int:
    """RssAnon: resident memory that is no file's, so neither the page cache nor a mapped .npy."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon: Linux 4.5 or newer is needed")
