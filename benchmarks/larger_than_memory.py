"""Batches from a file several times larger than memory: npyfast and others against the disk.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --row-sizes 12KiB --contenders batches,from-generator

Needs root: each contender runs in a memory cgroup, with the page cache dropped. README.md beside
this file says how it is measured.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The measured processes are this program too, without what draws tables in their memory.
    if sys.argv[1:2] == ["--child"]:
        from cold import child

        child.main(sys.argv[2])
    else:
        from cold import command

        sys.exit(command.main())
