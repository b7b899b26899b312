"""What filled: how much, against whom, how much of what was offered, and what it was worth later."""

from collections.abc import Iterable
from typing import Any

from bmv.core.markouts import HORIZONS_S, Markout
from bmv.model import Side
from bmv.observe.figures import rounded, sol
from bmv.report.material import FillSeen, Later, Material
from bmv.report.quoting import share
from bmv.units import BaseLots, Ticks, notional

NAMES = {Side.BID: "bid", Side.ASK: "ask"}
UNKNOWN = "unknown"


def fills(material: Material) -> dict[str, Any]:
    """Return counts and amounts of our fills, and their share of the market."""
    spec = material.spec
    sides = {side: [fill for fill in material.fills if fill.side is side] for side in Side}
    value = {side: sum(_value(fill, spec.quote_lot_size) for fill in of) for side, of in sides.items()}
    market = sum(one.notional for one in material.traded) * spec.quote_lot_size
    own = sum(one.own for one in material.traded) * spec.quote_lot_size
    return {
        "count": len(material.fills),
        "bids": len(sides[Side.BID]),
        "asks": len(sides[Side.ASK]),
        "bought_sol": sol(value[Side.BID]),
        "sold_sol": sol(value[Side.ASK]),
        "rebates_sol": sol(sum(fill.rebate for fill in material.fills)),
        "fees_sol": sol(sum(fill.fee for fill in material.fills)),
        "counterparties": len({fill.counterparty for fill in material.fills}),
        "self_trades": sum(fill.self_trade for fill in material.fills),
        "market_trades": sum(one.trades for one in material.traded),
        "market_sol": sol(market),
        "share_of_market": share(own, market),
    }


def fill_ratio(material: Material) -> dict[str, Any]:
    """Return, per side, what became of the orders that ended, and the filled part of what they offered."""
    found: dict[str, Any] = {}
    for side, name in NAMES.items():
        ended = [one for one in material.ended if one.side is side]
        endings = {one.ending for one in ended}
        found[name] = {
            "orders": sum(one.orders for one in ended),
            "endings": {
                ending: sum(one.orders for one in ended if one.ending == ending) for ending in sorted(endings)
            },
            "filled_share": share(sum(one.filled for one in ended), sum(one.size for one in ended)),
            "filled_share_by_level": {
                level: share(sum(one.filled for one in of), sum(one.size for one in of))
                for level, of in _by_level(ended).items()
            },
        }
    return found


def markouts(material: Material) -> dict[str, Any]:
    """Return what fills were worth later: by side, and by side and level; positive is in our favour."""
    by_level = _by_level(material.fills)
    return {
        "by_side": {
            name: _curve([fill for fill in material.fills if fill.side is side], material)
            for side, name in NAMES.items()
        },
        "by_level": {
            name: {
                level: _curve([fill for fill in of if fill.side is side], material)
                for level, of in by_level.items()
            }
            for side, name in NAMES.items()
        },
    }


def bucket(level: int | None) -> str:
    """Return the group of a level that counts from 0 at the inside: 1, 2-3, 4-7, 8-15, ..."""
    if level is None:
        return UNKNOWN
    low = 1 << (level + 1).bit_length() - 1
    return str(low) if low == 1 else f"{low}-{2 * low - 1}"


def _by_level(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Return rows by the group of their level, from the inside."""
    ordered = sorted(rows, key=lambda row: (row.level is None, row.level or 0))
    groups: dict[str, list[Any]] = {}
    for row in ordered:
        groups.setdefault(bucket(row.level), []).append(row)
    return groups


def _curve(chosen: list[FillSeen], material: Material) -> dict[str, Any]:
    by_seq = {fill.seq: fill for fill in chosen}
    sums = {horizon: Markout() for horizon in HORIZONS_S}
    for one in material.later:
        if one.seq in by_seq and one.horizon in sums:
            _judge(sums[one.horizon], by_seq[one.seq], one, material.spec.quote_lot_size)
    return {f"{horizon}s": _told(markout) for horizon, markout in sums.items()}


def _judge(markout: Markout, fill: FillSeen, later: Later, quote_lot_size: int) -> None:
    markout.judge(fill.side, Ticks(fill.price), BaseLots(fill.size), later.price_fine, quote_lot_size)


def _told(markout: Markout) -> dict[str, Any]:
    mean = markout.bps()
    return {
        "fills": markout.fills,
        "gain_sol": sol(int(markout.gain)),
        "bps": None if mean is None else rounded(mean),
    }


def _value(fill: FillSeen, quote_lot_size: int) -> int:
    return int(notional(Ticks(fill.price), BaseLots(fill.size), quote_lot_size))
