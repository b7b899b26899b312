"""The report as one JSON value: the whole stretch of time, and each UTC day of it.

Amounts ending in ``_sol`` are decimal strings, ``_lamports`` integers, shares numbers from 0 to 1; None where
there is nothing to measure.
"""

import datetime
from typing import Any

from bmv.core.ledger import Part
from bmv.observe.figures import sol
from bmv.report import money, trading
from bmv.report.material import DAY_MS, Material
from bmv.report.quoting import quotes
from bmv.units import Ticks


def report(material: Material) -> dict[str, Any]:
    """Return everything the report says."""
    return {
        "market": material.spec.address,
        "world": material.world,
        "period": _period(material),
        "pnl": money.pnl(material),
        "benchmarks": money.benchmarks(material),
        "quotes": quotes(material.samples, material.end - material.start),
        "fills": trading.fills(material),
        "fill_ratio": trading.fill_ratio(material),
        "markouts": trading.markouts(material),
        "inventory": money.inventory(material),
        "costs": money.costs(material),
        "conversions": money.conversions(material),
        "rent": money.rent(material),
        "days": days(material),
    }


def days(material: Material) -> list[dict[str, Any]]:
    """Return one flat row for each UTC day with a sample."""
    found = []
    for day in sorted({one.at // DAY_MS for one in material.settled}):
        begin = max(day * DAY_MS, material.start)
        end = min((day + 1) * DAY_MS, material.end)
        samples = [one for one in material.samples if one.at // DAY_MS == day]
        stretches = [one for one in material.stretches if one.day == day]
        told = quotes(samples, end - begin)
        parts = money.parts_of(stretches)
        last = [one for one in samples if one.settled][-1]
        traded = [one for one in material.traded if one.day == day]
        lot = material.spec.quote_lot_size
        found.append(
            {
                "day": datetime.datetime.fromtimestamp(day * 86_400, datetime.UTC).date().isoformat(),
                "equity_sol": sol(money.equity(last, material.spec)),
                "price": f"{material.spec.price(Ticks(last.mark)):f}",
                "change_lamports": money.change_of(stretches, material.spec),
                **{f"{part.value}_lamports": parts[part] for part in Part},
                "quoting_share": told["quoting_share"],
                "uptime_bid": told["uptime"]["bid"],
                "uptime_ask": told["uptime"]["ask"],
                "uptime_both": told["uptime"]["both"],
                "spread_bps": told["spread_bps"],
                **_depths(told["depth"]),
                "fills": sum(fill.at // DAY_MS == day for fill in material.fills),
                "own_sol": sol(sum(one.own for one in traded) * lot),
                "market_sol": sol(sum(one.notional for one in traded) * lot),
            }
        )
    return found


def _depths(depth: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        f"depth_{band.removesuffix('%')}pct_{side}_{key}": of[key]
        for band, sides in depth.items()
        for side, of in sides.items()
        for key in ("own_sol", "own_share")
    }


def _period(material: Material) -> dict[str, Any]:
    samples = material.samples
    return {
        "from_ms": material.start,
        "to_ms": material.end,
        "from": moment(material.start),
        "to": moment(material.end),
        "market_trades_from": moment(material.trades_from),
        "covered_ms": money.covered(samples),
        "runs": len({one.run for one in samples}),
        "samples": len(samples),
        "settled": len(material.settled),
    }


def moment(millis: int) -> str:
    """Return a time as people write it, UTC, to the second."""
    return datetime.datetime.fromtimestamp(millis // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
