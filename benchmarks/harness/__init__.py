"""What all benchmarks share: data, timing in turns, checks, and reports."""
