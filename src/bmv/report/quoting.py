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
    stretch for the time, in which nobody may have been running. ``both``: both sides at once, None where a
    sample is from before that was kept.
    """
    quoting = sum(one.quoting for one in samples)
    present = {
        "bid": sum(one.present_bid for one in samples),
        "ask": sum(one.present_ask for one in samples),
        "both": _sum_of_known([one.present_both for one in samples]),
    }
    weighted = sum(one.spread_weighted for one in samples)
    return {
        "quoting_share": share(quoting, millis),
        "uptime": {sides: share(millis_of, quoting) for sides, millis_of in present.items()},
        "uptime_of_all": {sides: share(millis_of, millis) for sides, millis_of in present.items()},
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


def share(part: int | None, whole: int) -> float | None:
    """Return a part of a whole; None of nothing, or where the part is not known."""
    return rounded(part / whole) if whole and part is not None else None


def _sum_of_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
