"""How well the market is quoted at one moment: spread, depth near the middle, our part of it, our presence.

The middle is that of the whole book, ours and others'. A band counts every order within so many basis points
of it, in lamports at the order's price.
"""

from collections.abc import Callable, Iterable
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
    own = {side: list[LiveOrder]() for side in Side}
    for order in orders:
        own[order.side].append(order)
    near = (1, 0) if price_fine is None else _around(price_fine, FINE, PRESENCE_BPS)
    present = {side: _within(own[side], [near], quote_lot_size)[0] for side in Side}
    bid = _best(own[Side.BID], book.best_bid, max)
    ask = _best(own[Side.ASK], book.best_ask, min)
    nothing = (Lamports(0),) * len(DEPTH_BANDS)
    if bid is None or ask is None:
        return Quality(None, dict.fromkeys(Side, nothing), dict.fromkeys(Side, nothing), present)
    twice_mid = bid + ask
    bands = [_around(twice_mid, 2, band) for band in DEPTH_BANDS]
    ours = {side: _within(own[side], bands, quote_lot_size) for side in Side}
    foreign = {Side.BID: book.bid_depth or nothing, Side.ASK: book.ask_depth or nothing}
    everybody = {side: tuple(a + b for a, b in zip(ours[side], foreign[side], strict=True)) for side in Side}
    return Quality((ask - bid) * 2 * BPS // twice_mid, ours, everybody, present)


def _around(middle: int, scale: int, band: int) -> tuple[int, int]:
    """Return the lowest and the highest price in ticks within ``band`` of ``middle``, ``scale`` to a tick."""
    return -(-middle * (BPS - band) // (scale * BPS)), middle * (BPS + band) // (scale * BPS)


def _within(
    orders: list[LiveOrder], bands: list[tuple[int, int]], quote_lot_size: int
) -> tuple[Lamports, ...]:
    """Return what orders of one side come to in each band, from the narrowest to the widest."""
    sums = [Lamports(0)] * len(bands)
    lowest, highest = bands[-1]
    for order in orders:
        price = int(order.price)
        if lowest <= price <= highest:
            value = notional(order.price, order.size, quote_lot_size)
            for number, (low, high) in enumerate(bands):
                if low <= price <= high:
                    sums[number] += value
    return tuple(sums)


def _best(orders: list[LiveOrder], foreign: Ticks | None, best: Callable[[Iterable[int]], int]) -> int | None:
    prices = [int(order.price) for order in orders]
    if foreign is not None:
        prices.append(int(foreign))
    return best(prices) if prices else None
