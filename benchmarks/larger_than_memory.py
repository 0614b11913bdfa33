"""Batches from a file several times larger than memory: npyfast and others against the disk.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --row-sizes 12KiB --contenders batches,from-generator

Needs root: each contender runs in a memory cgroup, with the page cache dropped. README.md beside
this file says how it is measured.
"""

import sys

# The measured processes import this file too: what draws tables has no place in their memory.
if __name__ == "__main__":
    from cold import command

    sys.exit(command.main(__doc__))
