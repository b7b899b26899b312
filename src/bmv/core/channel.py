"""The two zones of the channel, follow mode: where bids and asks may stand (SPEC 3.3).

Rules of this file
- Inertia lives in F alone; the borders are functions of F, Pivot and P without a second filter.
- The BUY zone always reaches below P and the SELL zone above it: there is always a two-sided market.
- All prices are fine ticks; divisions round down.
"""

from dataclasses import dataclass

import msgspec

from bmv.config import Settings
from bmv.core.decay import BPS, ema_step
from bmv.units import Millis

_WIDE_BITS = 40


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
    """The borders of both zones and the anchor, in fine ticks."""

    buy_low: int
    buy_high: int
    sell_low: int
    sell_high: int
    anchor: int


def channel(price_fine: int, f_fine: int, pivot_fine: int | None, settings: Settings) -> Channel:
    """Return the zones around P for F and the Pivot (SPEC 3.3, follow); without a Pivot the anchor is F."""
    buy_width, sell_width = int(settings.buy_channel_width), int(settings.sell_channel_width)
    anchor = f_fine
    if pivot_fine is not None:
        anchor = min(f_fine, max(pivot_fine, f_fine * BPS // (BPS + int(settings.anchor_band))))
    half_below = price_fine * (2 * BPS - buy_width) // (2 * BPS)
    left_behind = f_fine * BPS < price_fine * (BPS - buy_width)
    sell_low = min(max(anchor, price_fine), price_fine * (BPS + int(settings.sell_gap_max)) // BPS)
    half_above = sell_low * (2 * BPS + sell_width) // (2 * BPS)
    return Channel(
        buy_low=min(anchor * (BPS - buy_width) // BPS, half_below),
        buy_high=price_fine if left_behind else f_fine,
        sell_low=sell_low,
        sell_high=max(f_fine * (BPS + sell_width) // BPS, price_fine, half_above),
        anchor=anchor,
    )
