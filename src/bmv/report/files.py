"""The report's tables as CSV files, for spreadsheets."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def write_csv(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write days, parts, depth, markouts and fill ratios as one file each, and return where."""
    tables = {
        "days": report["days"],
        "parts": [
            {"part": part, "lamports": amount} for part, amount in report["pnl"]["parts_lamports"].items()
        ],
        "depth": list(_depth(report["quotes"]["depth"])),
        "markouts": list(_markouts(report["markouts"])),
        "fill_ratio": list(_ratios(report["fill_ratio"])),
    }
    return [_written(folder / f"{name}.csv", rows) for name, rows in tables.items()]


def _depth(depth: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for band, sides in depth.items():
        for side, told in sides.items():
            yield {"band": band, "side": side, **told}


def _markouts(markouts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for side, curve in markouts["by_side"].items():
        for horizon, told in curve.items():
            yield {"side": side, "level": "all", "horizon": horizon, **told}
    for side, levels in markouts["by_level"].items():
        for level, curve in levels.items():
            for horizon, told in curve.items():
                yield {"side": side, "level": level, "horizon": horizon, **told}


def _ratios(ratios: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for side, told in ratios.items():
        yield {"side": side, "level": "all", "filled_share": told["filled_share"]}
        for level, share in told["filled_share_by_level"].items():
            yield {"side": side, "level": level, "filled_share": share}


def _written(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    found = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        if found:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    return path
