"""How the market was quoted: presence, spread and depth, each weighed by the time it held."""

from collections.abc import Sequence
from typing import Any

from bmv.model import DEPTH_BANDS
from bmv.observe.figures import rounded, sol
from bmv.state.rows import SampleRow

SIDES = ("bid", "ask")


def quotes(samples: Sequence[SampleRow], millis: int) -> dict[str, Any]:
    """Return presence, spread and depth over samples that tell of a stretch of ``millis``.

    ``uptime``: share of the time the engine quoted with enough within 2 % of P; ``of_all`` takes the whole
    stretch for the time, in which nobody may have been running.
    """
    quoting = sum(one.quoting for one in samples)
    present = {"bid": sum(o.present_bid for o in samples), "ask": sum(o.present_ask for o in samples)}
    weighted = sum(one.spread_weighted for one in samples)
    return {
        "quoting_share": share(quoting, millis),
        "uptime": {side: share(present[side], quoting) for side in SIDES},
        "uptime_of_all": {side: share(present[side], millis) for side in SIDES},
        "spread_bps": share(weighted, sum(one.spread_millis for one in samples)),
        "depth": depth(samples),
    }


def depth(samples: Sequence[SampleRow]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return mean depth by band and side: ours, everybody's, and our share."""
    millis = sum(one.depth_millis for one in samples)
    places = len(SIDES) * len(DEPTH_BANDS)
    sums = [sum(one.depth[number] for one in samples) for number in range(2 * places)]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for number, band in enumerate(DEPTH_BANDS):
        found[band_name(band)] = {}
        for offset, side in enumerate(SIDES):
            own = sums[offset * len(DEPTH_BANDS) + number]
            everybody = sums[places + offset * len(DEPTH_BANDS) + number]
            found[band_name(band)][side] = {
                "own_sol": sol(own // millis) if millis else None,
                "all_sol": sol(everybody // millis) if millis else None,
                "own_share": share(own, everybody),
            }
    return found


def band_name(bps: int) -> str:
    """Return a band as people write it."""
    return f"{bps / 100:g}%"


def share(part: int, whole: int) -> float | None:
    """Return a part of a whole; None of nothing."""
    return rounded(part / whole) if whole else None
