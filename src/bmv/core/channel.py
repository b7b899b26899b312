"""The two zones of the channel: where bids and asks may stand (SPEC 3.3).

Rules of this file
- Inertia lives in F alone; the borders are functions of F, Pivot and P without a second filter.
- Follow: the BUY zone always reaches below P and the SELL zone above it, so the market is two-sided.
- Pivot: the zones are those of the Pivot and bind every order; a side may find no price in its zone.
- All prices are fine ticks; divisions round down.
"""

from dataclasses import dataclass

import msgspec

from bmv.config import Settings
from bmv.core.decay import BPS, FINE, ema_step
from bmv.model import BID, SIDES, ForeignBook, Side
from bmv.units import Millis, Ticks

_WIDE_BITS = 40
_NO_LIMIT = FINE << 64


@dataclass(slots=True)
class Inertia:
    """F: the exponential moving average of P in time; the first P it sees is its start.

    P counts from the reading that showed it to the next one, so asking more often changes nothing. F is held
    with 40 more bits than a fine price, or short steps would be lost in rounding.
    """

    at: Millis = Millis(0)
    price_fine: int = 0
    wide: int = 0

    @property
    def value_fine(self) -> int:
        """Return F in fine ticks (0 before the first step)."""
        return self.wide >> _WIDE_BITS

    def step(self, price_fine: int, now: Millis, half_life: Millis) -> int:
        """Let the price that held until ``now`` act on F, take over the new one, return F in fine ticks."""
        if self.price_fine == 0:
            self.wide, self.at = price_fine << _WIDE_BITS, now
        elif now > self.at:
            self.wide = ema_step(self.wide, self.price_fine << _WIDE_BITS, now - self.at, half_life)
            self.at = now
        self.price_fine = price_fine
        return self.value_fine


class Channel(msgspec.Struct, frozen=True):
    """The borders of both zones and the anchor, in fine ticks.

    ``binding``: no order may stand outside its zone, not even the first one of a side (pivot mode).
    """

    buy_low: int
    buy_high: int
    sell_low: int
    sell_high: int
    anchor: int
    binding: bool = False

    def passed(self, side: Side, price: Ticks) -> bool:
        """Say whether the Pivot has passed a price: an ask below it, a bid above it (pivot mode)."""
        fine = int(price) * FINE
        return self.binding and (fine > self.anchor if side is BID else fine < self.anchor)

    def borders(self, side: Side) -> tuple[int, int]:
        """Return the lower and upper border of a side's zone."""
        return (self.buy_low, self.buy_high) if side is BID else (self.sell_low, self.sell_high)

    def standable(self, side: Side, price_fine: int, book: ForeignBook) -> tuple[int, int]:
        """Return the lowest and the highest tick where an order of ours may stand, see ``standable``."""
        opposite = book.best_ask if side is BID else book.best_bid
        return standable(side, price_fine, opposite, self.borders(side) if self.binding else None)

    def closed_sides(self, price_fine: int, book: ForeignBook) -> tuple[Side, ...]:
        """Return the sides whose zone has no price at which an order could stand now (pivot mode)."""
        if not self.binding:
            return ()
        rooms = {side: self.standable(side, price_fine, book) for side in SIDES}
        return tuple(side for side, (low, high) in rooms.items() if low > high)


def channel(price_fine: int, f_fine: int, pivot_fine: int | None, settings: Settings) -> Channel | None:
    """Return the zones around P for F and the Pivot; None where CHANNEL_MODE=pivot lacks the Pivot."""
    if settings.channel_mode == "follow":
        return following(price_fine, f_fine, pivot_fine, settings)
    return None if pivot_fine is None else _around_pivot(price_fine, pivot_fine, settings)


def standable(
    side: Side, price_fine: int, opposite: Ticks | None, borders: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the lowest and the highest tick where an order may stand; the lowest is higher where none is.

    Bids stand below P and ``opposite``, the best foreign price of the other side, asks above both; inside
    ``borders`` where those are given.
    """
    low, high = borders or (FINE, _NO_LIMIT)
    lowest, highest = max(1, -(-low // FINE)), high // FINE
    if side is BID:
        highest = min(highest, (price_fine - 1) // FINE)
        return lowest, highest if opposite is None else min(highest, int(opposite) - 1)
    lowest = max(lowest, price_fine // FINE + 1)
    return lowest if opposite is None else max(lowest, int(opposite) + 1), highest


def following(price_fine: int, f_fine: int, pivot_fine: int | None, settings: Settings) -> Channel:
    """Return the zones of follow mode; without a Pivot the anchor is F."""
    buy_width, sell_width = int(settings.buy_channel_width), int(settings.sell_channel_width)
    anchor = f_fine
    if pivot_fine is not None:
        anchor = min(f_fine, max(pivot_fine, f_fine * BPS // (BPS + int(settings.anchor_band))))
    half_below = price_fine * (2 * BPS - buy_width) // (2 * BPS)
    left_behind = f_fine * BPS < price_fine * (BPS - buy_width)
    nearest = price_fine * (BPS - int(settings.buy_gap_max)) // BPS
    sell_low = min(max(anchor, price_fine), price_fine * (BPS + int(settings.sell_gap_max)) // BPS)
    half_above = sell_low * (2 * BPS + sell_width) // (2 * BPS)
    return Channel(
        buy_low=min(anchor * (BPS - buy_width) // BPS, half_below),
        buy_high=price_fine if left_behind else max(f_fine, nearest),
        sell_low=sell_low,
        sell_high=max(f_fine * (BPS + sell_width) // BPS, price_fine, half_above),
        anchor=anchor,
    )


def _around_pivot(price_fine: int, pivot_fine: int, settings: Settings) -> Channel:
    """Return the zones of pivot mode, the literal reading: both hang on the Pivot, wherever P is."""
    return Channel(
        buy_low=pivot_fine * (BPS - int(settings.buy_channel_width)) // BPS,
        buy_high=pivot_fine,
        sell_low=max(pivot_fine, price_fine),
        sell_high=pivot_fine * (BPS + int(settings.sell_channel_width)) // BPS,
        anchor=pivot_fine,
        binding=True,
    )
