"""Precision and recall of a scan against labels, by row and by ring, with intervals.

A planted ring is found if at least half of its rows are flagged; a flagged group is right if at least half of
its rows were planted. ``python -m tests.integrity.measuring TAPE ...`` prints the table of docs/integrity.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl

from bmv.integrity.evidence import FLAG_ABOVE
from bmv.integrity.reading import tape_of
from bmv.integrity.scan import scan

Z_95 = 1.959964


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """Return the share; that of nothing is 1."""
        return self.part / self.whole if self.whole else 1.0

    def wilson(self) -> tuple[float, float]:
        """Return the 95 % interval of Wilson (1927)."""
        if not self.whole:
            return 0.0, 1.0
        share, square = self.value, Z_95**2 / self.whole
        middle = (share + square / 2) / (1 + square)
        half = Z_95 / (1 + square) * sqrt(share * (1 - share) / self.whole + square / self.whole / 4)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.wilson()
        return f"{self.part}/{self.whole} ({low:.2f}-{high:.2f})"


@dataclass(frozen=True)
class Measured:
    """Recall by label and precision of one tape."""

    rows_found: dict[str, Share]
    rings_found: dict[str, Share]
    rows_right: Share
    rings_right: Share
    natural_flagged: Share


def measure(table: pl.DataFrame, labels: list[str] | None = None) -> Measured:
    """Scan a labelled table and compare; without ``labels`` they are the ring's names up to the last _."""
    tape = tape_of(table, "tape")
    findings = scan(tape)
    rings = np.array(table["ring_id"].fill_null("").to_list())[tape.row]
    given = labels or [ring.rsplit("_", 1)[0] for ring in table["ring_id"].fill_null("").to_list()]
    label = np.array(given)[tape.row]
    flag, planted = findings.score > FLAG_ABOVE, rings != ""
    rows_found, rings_found = {}, {}
    for one in sorted(set(label[planted].tolist())):
        own = planted & (label == one)
        found = [flag[rings == ring].mean() >= 0.5 for ring in sorted(set(rings[own].tolist()))]
        rows_found[one] = Share(int((flag & own).sum()), int(own.sum()))
        rings_found[one] = Share(sum(map(bool, found)), len(found))
    right = [planted[group.rows].mean() >= 0.5 for group in findings.flagged]
    return Measured(
        rows_found,
        rings_found,
        Share(int((flag & planted).sum()), int(flag.sum())),
        Share(sum(map(bool, right)), len(right)),
        Share(int((flag & ~planted).sum()), int((~planted).sum())),
    )


def table_lines(name: str, it: Measured) -> Iterator[str]:
    """Return lines of a Markdown table."""
    for label, rows in it.rows_found.items():
        yield f"| {name} | {label} | found | {rows} | {it.rings_found[label]} |"
    yield f"| {name} | all flagged | right | {it.rows_right} | {it.rings_right} |"
    yield f"| {name} | natural | flagged | {it.natural_flagged} | |"


def main(files: list[str]) -> None:
    """Print the table of labelled tapes."""
    for file in files:
        table = pl.read_parquet(file)
        name = Path(file).stem.split("_with_")[0]
        print("\n".join(table_lines(name, measure(table, table["label"].to_list()))))


if __name__ == "__main__":
    main(sys.argv[1:])
