"""The course of a backtest: what stood and what was owned at each step, as columns of whole numbers."""

from array import array

from bmv.backtest.paper import Paper
from bmv.core.decay import BPS, FINE
from bmv.model import Side

DEPTH_EVERY = 60
"""Depth is measured at every so many steps."""
DEPTHS = (50, 100, 200, 500)


class Course:
    """Columns of equal length: time (ms), price (fine ticks), best bid and ask (ticks, 0: none), SOL, lots,
    USDC and the price of a SOL (micro-dollars, 0: not known).

    ``depths`` holds, at each measurement and for each of DEPTHS, lamports on the bid and on the ask side.
    """

    def __init__(self) -> None:
        self.times, self.prices = array("q"), array("q")
        self.bids, self.asks = array("q"), array("q")
        self.sol, self.base = array("q"), array("q")
        self.usdc, self.sol_usd = array("q"), array("q")
        self.depths: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self.times)

    def columns(self) -> dict[str, "array[int]"]:
        """Return the columns by name; ``depths`` is none of them."""
        return {name: values for name, values in vars(self).items() if isinstance(values, array)}

    def note(self, at: int, price: int, paper: Paper, sol: int, base: int, usdc: int, sol_usd: int) -> None:
        """Add one step."""
        if len(self.times) % DEPTH_EVERY == 0:
            self.depths.append(_depth(paper, price))
        self.times.append(at)
        self.prices.append(price)
        self.bids.append(paper.bids[0].price if paper.bids else 0)
        self.asks.append(paper.asks[0].price if paper.asks else 0)
        self.sol.append(sol)
        self.base.append(base)
        self.usdc.append(usdc)
        self.sol_usd.append(sol_usd)


def _depth(paper: Paper, price: int) -> tuple[int, ...]:
    """Return what stands within each distance of the price, at the orders' own prices."""
    found: list[int] = []
    lot = paper.spec.quote_lot_size
    for bps in DEPTHS:
        for side, orders in ((Side.BID, paper.bids), (Side.ASK, paper.asks)):
            edge = price * (BPS - bps if side is Side.BID else BPS + bps) // BPS
            near = (
                o for o in orders if (o.price * FINE >= edge) == (side is Side.BID) or o.price * FINE == edge
            )
            found.append(sum(order.price * order.size * lot for order in near))
    return tuple(found)
