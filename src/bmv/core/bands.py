"""Price bands: the highest price at which anything is bid for, the lowest at which anything is sold (SPEC 7).

Rules of this file
- MAX_PRICE and MIN_PRICE are absolute; PRICE_BAND is a share of F, the channel's average, and moves with it.
- A side is stopped while P itself lies beyond its limit, and returns when P is back by HYSTERESIS: a price
  nobody expected is one not to trade on, and who can push P about the limit must not make us write orders.
- Prices are fine ticks.
"""

import msgspec

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.prior import fine_price
from bmv.core.state import State
from bmv.model import Side

HYSTERESIS_BPS = 100


class Band(msgspec.Struct, frozen=True):
    """The limits in fine ticks: no bid above ``bid_most``, no ask below ``ask_least``; None: no limit."""

    bid_most: int | None = None
    ask_least: int | None = None

    def admits(self, side: Side, price_fine: int) -> bool:
        """Say whether an order of ``side`` may stand at a price."""
        if side is Side.BID:
            return self.bid_most is None or price_fine <= self.bid_most
        return self.ask_least is None or price_fine >= self.ask_least

    def stops(self, side: Side, price_fine: int, *, stopped: bool) -> bool:
        """Say whether a side is not to quote while P is ``price_fine``; ``stopped``: it is not now."""
        if not stopped:
            return not self.admits(side, price_fine)
        outwards = BPS + HYSTERESIS_BPS if side is Side.BID else BPS - HYSTERESIS_BPS
        return not self.admits(side, price_fine * outwards // BPS)


def band(max_fine: int, min_fine: int, average_fine: int, settings: Settings) -> Band:
    """Return the limits for ``max_fine`` (MAX_PRICE), ``min_fine`` (MIN_PRICE) and F; 0: none of them."""
    most, least = max_fine or None, min_fine or None
    width = int(settings.price_band)
    if width and average_fine:
        above, below = average_fine * (BPS + width) // BPS, -(-average_fine * (BPS - width) // BPS)
        most = above if most is None else min(most, above)
        least = below if least is None else max(least, below)
    return Band(most, least)


def price_limits(state: State, settings: Settings) -> Band:
    """Return the limits of now."""
    most, least = (fine_price(state.spec, price) for price in (settings.max_price, settings.min_price))
    return band(most, least, state.market.inertia.value_fine, settings)
