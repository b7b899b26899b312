"""How well the market is quoted at one moment: spread, depth near the middle, our part of it, our presence.

The middle is that of the whole book, ours and others'. A band counts every order within so many basis points
of it, in lamports at the order's price.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bmv.core.decay import FINE
from bmv.model import DEPTH_BANDS, ForeignBook, LiveOrder, Side
from bmv.units import Lamports, Ticks, notional

PRESENCE_BPS = 200
"""How near to P an order of ours must be to count as presence (SPEC 8)."""
BPS = 10_000


@dataclass(frozen=True, slots=True)
class Quality:
    """One moment: ``spread_bps`` of the whole book, depth by side and band in lamports, ours and everybody's.

    ``present`` is what our orders within 2 % of P come to. ``spread_bps`` is None while a side is empty; then
    no depth can be told either.
    """

    spread_bps: int | None
    own: dict[Side, tuple[Lamports, ...]]
    all: dict[Side, tuple[Lamports, ...]]
    present: dict[Side, Lamports]


def quality(
    orders: Iterable[LiveOrder], book: ForeignBook, price_fine: int | None, quote_lot_size: int
) -> Quality:
    """Measure our ``orders`` and the foreign book; ``price_fine`` is P in fine ticks."""
    own = list(orders)
    best = {side: _best(own, side, book) for side in Side}
    present = {side: Lamports(0) for side in Side}
    for order in own:
        if price_fine is not None and _within(int(order.price) * FINE, price_fine, PRESENCE_BPS):
            present[order.side] += notional(order.price, order.size, quote_lot_size)
    bid, ask = best[Side.BID], best[Side.ASK]
    nothing = {side: (Lamports(0),) * len(DEPTH_BANDS) for side in Side}
    if bid is None or ask is None:
        return Quality(None, nothing, nothing, present)
    twice_mid = int(bid) + int(ask)
    ours = {
        side: tuple(
            depth((order for order in own if order.side is side), twice_mid, band, quote_lot_size)
            for band in DEPTH_BANDS
        )
        for side in Side
    }
    foreign = {Side.BID: book.bid_depth, Side.ASK: book.ask_depth}
    everybody = {
        side: tuple(a + b for a, b in zip(ours[side], foreign[side] or nothing[side], strict=True))
        for side in Side
    }
    return Quality((int(ask) - int(bid)) * 2 * BPS // twice_mid, ours, everybody, present)


def depth(orders: Iterable[LiveOrder], twice_mid: int, band: int, quote_lot_size: int) -> Lamports:
    """Return what orders within ``band`` basis points of the middle come to."""
    return sum(
        (
            notional(order.price, order.size, quote_lot_size)
            for order in orders
            if _within(2 * int(order.price), twice_mid, band)
        ),
        Lamports(0),
    )


def _within(price: int, middle: int, band: int) -> bool:
    return abs(price - middle) * BPS <= band * middle


def _best(own: list[LiveOrder], side: Side, book: ForeignBook) -> Ticks | None:
    prices = [order.price for order in own if order.side is side]
    foreign = book.best_bid if side is Side.BID else book.best_ask
    prices += [foreign] if foreign is not None else []
    return (max if side is Side.BID else min)(prices, default=None)
