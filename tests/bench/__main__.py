"""Run every benchmark beside this file, in the order of names, and print one JSON line for each.

A benchmark is a module with ``run() -> dict``: it times our way and a plain baseline in the same process and
names both, so that a figure says something on any machine. ``python -m tests.bench slots`` runs one alone.
"""

import importlib
import json
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def main(chosen: list[str]) -> int:
    """Run the benchmarks ``chosen`` by name, or all; return the exit code."""
    if unknown := [name for name in chosen if name not in NAMES]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in chosen or NAMES:
        print(json.dumps(importlib.import_module(f"tests.bench.{name}").run()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
