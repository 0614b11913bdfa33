"""Batches from a file that is not in the page cache: the parts of larger_than_memory.py."""
