"""One ladder over many wallets: contiguous segments, fitted to what each wallet holds.

Invariants
- A level keeps the wallet whose order already stands at its price.
- A wallet is never given more orders, or more money's worth of them, than it can place.
- No order is larger than MAX_ORDER_%_OF_WALLET of its wallet's balance of the asset it spends.
- What nobody can place is returned as waiting, never dropped silently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bmv.config import Settings
from bmv.model import Level, LiveOrder, MarketSpec, Quote, Side, WalletIndex, WalletView
from bmv.units import BaseLots, Ticks, atoms_to_lots


@dataclass(slots=True)
class _Purse:
    """What one wallet can still spend on one side, in that side's own unit, and its largest order."""

    wallet: WalletIndex
    left: int
    largest: int
    quota: int = 0


def spendable(view: WalletView, side: Side, spec: MarketSpec) -> int:
    """Return what a wallet owns of the asset a side spends: lamports for bids, base lots for asks."""
    if side is Side.BID:
        return int(view.quote_total)
    return int(atoms_to_lots(view.base_total, spec.base_lot_size))


def cost(side: Side, price: Ticks, size: BaseLots, spec: MarketSpec) -> int:
    """Return what an order spends: lamports for a bid, base lots for an ask."""
    return int(size) if side is Side.ASK else int(price) * int(size) * spec.quote_lot_size


def assign(
    levels: Sequence[Level], views: Sequence[WalletView], spec: MarketSpec, settings: Settings
) -> tuple[tuple[Quote, ...], tuple[Level, ...]]:
    """Give every level a wallet.

    ``levels`` run from the inside outwards on each side. Returns (quotes, waiting); ``waiting`` holds the
    levels, or the parts of levels, that no wallet can place.
    """
    seats = {view.wallet: settings.orders_per_wallet for view in views}
    quotes: list[Quote] = []
    waiting: list[Level] = []
    for side in Side:
        wanted = [level for level in levels if level.side is side]
        standing = {order.price: order for view in views for order in view.orders if order.side is side}
        purses = _purses(views, side, spec, settings)
        given, left_over = _assign_side(wanted, standing, purses, seats, spec)
        quotes += given
        waiting += left_over
    return tuple(quotes), tuple(waiting)


def _purses(
    views: Sequence[WalletView], side: Side, spec: MarketSpec, settings: Settings
) -> dict[WalletIndex, _Purse]:
    purses = {}
    for view in views:
        owned = spendable(view, side, spec)
        purses[view.wallet] = _Purse(view.wallet, owned, owned * int(settings.max_order_of_wallet) // 10_000)
    return purses


def _assign_side(
    levels: Sequence[Level],
    standing: Mapping[Ticks, LiveOrder],
    purses: dict[WalletIndex, _Purse],
    seats: dict[WalletIndex, int],
    spec: MarketSpec,
) -> tuple[list[Quote], list[Level]]:
    quotes: dict[Ticks, Quote] = {}
    waiting: list[Level] = []
    homeless: list[Level] = []
    for level in levels:
        order = standing.get(level.price)
        if order is None or order.wallet not in purses:
            homeless.append(level)
        else:
            _give(level, purses[order.wallet], seats, quotes, waiting, spec)
    _set_quotas(homeless, purses, spec)
    ring = list(purses.values())
    for level in homeless:
        purse = _next_purse(level, ring, seats, spec)
        if purse is None:
            waiting.append(level)
        else:
            _give(level, purse, seats, quotes, waiting, spec)
    return [quotes[level.price] for level in levels if level.price in quotes], waiting


def _set_quotas(levels: Sequence[Level], purses: dict[WalletIndex, _Purse], spec: MarketSpec) -> None:
    """Share the levels' cost between the purses in proportion to what they have left."""
    total = sum(cost(level.side, level.price, level.size, spec) for level in levels)
    have = sum(purse.left for purse in purses.values())
    for purse in purses.values():
        purse.quota = -(-total * purse.left // have) if have else 0


def _next_purse(
    level: Level, ring: list[_Purse], seats: dict[WalletIndex, int], spec: MarketSpec
) -> _Purse | None:
    """Return the wallet whose segment this is, else the richest that can place a lot of it."""
    if ring[0].quota <= 0 and any(purse.quota > 0 for purse in ring):
        while ring[0].quota <= 0:
            ring.append(ring.pop(0))
    one_lot = cost(level.side, level.price, BaseLots(1), spec)
    able = [purse for purse in ring if seats[purse.wallet] > 0 and purse.left >= one_lot <= purse.largest]
    if not able:
        return None
    if able[0] is ring[0]:
        return able[0]
    return max(able, key=lambda purse: (purse.left, -purse.wallet))


def _give(
    level: Level,
    purse: _Purse,
    seats: dict[WalletIndex, int],
    quotes: dict[Ticks, Quote],
    waiting: list[Level],
    spec: MarketSpec,
) -> None:
    """Place as much of ``level`` with ``purse`` as funds, caps and seats allow; the rest waits."""
    one_lot = cost(level.side, level.price, BaseLots(1), spec)
    affordable = min(purse.left, purse.largest) // one_lot if seats[purse.wallet] > 0 else 0
    size = BaseLots(min(int(level.size), affordable))
    if size > BaseLots(0):
        quotes[level.price] = Quote(purse.wallet, level.side, level.point, level.price, size)
        spent = one_lot * int(size)
        purse.left -= spent
        purse.quota -= spent
        seats[purse.wallet] -= 1
    if size < level.size:
        waiting.append(Level(level.side, level.point, level.price, level.size - size))
