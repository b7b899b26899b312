"""Findings for people and files: who is suspected of what, and what the suspicion consists of."""

from pathlib import Path
from typing import Any

import numpy as np

from bmv.integrity.evidence import FLAG_ABOVE
from bmv.integrity.scan import Findings
from bmv.integrity.tape import Tape


def ring_names(findings: Findings) -> list[str]:
    """Return a name for each group, of its kind and its place among the groups of that kind."""
    names: list[str] = []
    counts: dict[str, int] = {}
    for group in findings.groups:
        counts[group.kind] = counts.get(group.kind, 0) + 1
        names.append(f"{group.kind}_{counts[group.kind]}")
    return names


def summary(tape: Tape, findings: Findings, source: str) -> dict[str, Any]:
    """Return plain values for JSON; shares are of trades and, by market, of tokens."""
    flagged = findings.score > FLAG_ABOVE
    volume = np.where(np.isfinite(tape.size), tape.size, 0.0)
    groups = [
        {
            "ring_id": name,
            "kind": group.kind,
            "market": group.market,
            "accounts": list(group.accounts),
            "rows": len(group.rows),
            "score": round(group.score, 4),
            "flag": group.flagged,
            "parts": [
                {"name": part.name, "value": round(part.value, 4), "says": part.says} for part in group.parts
            ],
        }
        for name, group in zip(ring_names(findings), findings.groups, strict=True)
    ]
    markets = {
        tape.markets[number]: round(float(volume[own & flagged].sum() / total), 6)
        for number in np.unique(tape.market[flagged]).tolist()
        if (total := volume[own := tape.market == number].sum()) > 0
    }
    return {
        "tape": source,
        "rows": len(tape.row),
        "flagged_rows": int(flagged.sum()),
        "flagged_share": round(float(flagged.mean()), 6) if len(flagged) else 0.0,
        "flagged_volume_share": markets,
        "rings": [group for group in groups if group["flag"]],
        "below": [group for group in groups if not group["flag"]],
    }


def write_rows(tape: Tape, findings: Findings, file: Path) -> None:
    """Write one row a trade, in the order of the input: input_row, score, flag, kind, ring_id.

    ``kind`` and ``ring_id`` stand where ``flag`` does.
    """
    import polars  # noqa: PLC0415  (an optional extra)

    names = ring_names(findings)
    flag = findings.score > FLAG_ABOVE
    chosen = [int(group) if told else None for group, told in zip(findings.group, flag, strict=True)]
    polars.DataFrame(
        {
            "input_row": tape.row,
            "score": findings.score,
            "flag": flag,
            "kind": [None if group is None else findings.groups[group].kind for group in chosen],
            "ring_id": [None if group is None else names[group] for group in chosen],
        },
        schema_overrides={"kind": polars.String, "ring_id": polars.String},
    ).sort("input_row").write_parquet(file)
