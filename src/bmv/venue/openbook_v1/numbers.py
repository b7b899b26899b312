"""Order ids and lots: the integers of a market and what people read.

price in ticks = quote lots per base lot; an order id is ``price << 64 | low``, where low is the market's
order sequence for asks and its complement for bids, so that better, then older orders come first.
"""

from decimal import ROUND_HALF_UP, Decimal

import msgspec

from bmv.model import Side

_LOW_WORD = (1 << 64) - 1


def order_id(side: Side, price: int, seq: int) -> int:
    """Return the id the program gives the order number ``seq`` of a market at ``price`` ticks."""
    return price << 64 | (seq if side is Side.ASK else ~seq & _LOW_WORD)


def order_price(identifier: int) -> int:
    """Return the price in ticks that is part of an order id."""
    return identifier >> 64


def order_seq(side: Side, identifier: int) -> int:
    """Return the market's order sequence number that is part of an order id."""
    low = identifier & _LOW_WORD
    return low if side is Side.ASK else ~low & _LOW_WORD


class Lots(msgspec.Struct, frozen=True):
    """The lot sizes (atoms per lot) and decimals of a market, and the conversions they define."""

    base_decimals: int
    quote_decimals: int
    base_lot_size: int
    quote_lot_size: int

    def price_to_ticks(self, price: Decimal) -> int:
        """Return the tick nearest to a price in quote per base token, halves up like the official client."""
        return int((price * self._up / self._down).to_integral_value(ROUND_HALF_UP))

    def ticks_to_price(self, ticks: int) -> Decimal:
        """Return a price in quote per base token."""
        return Decimal(ticks * self._down) / self._up

    def size_to_atoms(self, size: Decimal) -> int:
        """Return the nearest number of atoms of a size in tokens, halves up."""
        return int((size * self._atoms).to_integral_value(ROUND_HALF_UP))

    def size_to_lots(self, size: Decimal) -> int:
        """Return the whole base lots in a size in tokens, rounded to atoms first like the official client."""
        return self.size_to_atoms(size) // self.base_lot_size

    def lots_to_size(self, lots: int) -> Decimal:
        """Return a size in tokens."""
        return Decimal(lots * self.base_lot_size) / self._atoms

    @property
    def _up(self) -> int:
        return int(10**self.quote_decimals) * self.base_lot_size

    @property
    def _down(self) -> int:
        return self._atoms * self.quote_lot_size

    @property
    def _atoms(self) -> int:
        return int(10**self.base_decimals)
