"""Draws the JSON of warm.py, cast.py or larger_than_memory.py.

python benchmarks/plot.py benchmarks/results/warm.json warm.png
"""

import argparse
import json
from pathlib import Path

from harness.plot import plot

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the JSON of a benchmark.")
    parser.add_argument("json", type=Path)
    parser.add_argument("png", type=Path)
    options = parser.parse_args()
    plot(json.loads(options.json.read_text()), options.png)
