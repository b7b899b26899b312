"""Takers beyond the recorded path: the sandbox's own small takers, let loose on our orders on paper.

Rules of this file
- The model is the sandbox's (docs/sandbox.md): the same arrivals, sizes, sides and limits, and with the same
  seed the same draws. Arbitrageurs are left out: that the path fills what it passes stands for them.
- They act out of finite wallets of their own, which nobody tops up; the taker fee is theirs.
- Where others quote better than we do a taker takes them, of whom there is enough, and never reaches us.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from bmv.backtest.paper import Paper
from bmv.core.decay import BPS, FINE
from bmv.model import Side
from bmv.sandbox.people.crowd import WEALTH_SOL, CrowdOptions
from bmv.sandbox.people.person import Absences
from bmv.sandbox.people.takers import TakerFlow
from bmv.units import LAMPORTS_PER_SOL

TAKER_FEE_BPS = 4
FIRST_LOOK_MS = 1_000
FULL_MOVE = 0.01
Quoted = Callable[[], tuple[int | None, int | None]]
Taken = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Take:
    """An immediate-or-cancel order up to a price."""

    side: Side
    limit: int
    lots: int


class PaperFloor:
    """The market on paper as takers see it; ``price`` returns the last print in fine ticks."""

    def __init__(self, paper: Paper, price: Callable[[], int], quoted: Quoted) -> None:
        self.paper, self.quoted = paper, quoted
        self._price = price
        self._before = price()
        self._move = 0.0

    @property
    def reference(self) -> "PaperFloor":
        """Return what tells how busy takers are: the path itself."""
        return self

    def activity_at(self, ms: int) -> float:  # noqa: ARG002 - the last print is that of now
        """Return 0.5 for a path that does not move, 1 for a last move of 1 %, at most 3."""
        now = self._price()
        if now != self._before:
            self._before, self._move = now, abs(now / self._before - 1)
        return min(3.0, 0.5 + 0.5 * self._move / FULL_MOVE)

    def fair(self, now: int) -> int:  # noqa: ARG002 - the last print is that of now
        """Return the last print in ticks."""
        return max(1, self._price() // FINE)

    def best(self, side: Side) -> int | None:
        """Return the best price of a side, ours or others', in ticks."""
        ours = self.paper.bids if side is Side.BID else self.paper.asks
        others = self.quoted()[side]
        found = [price for price in (ours[0].price if ours else None, others) if price is not None]
        return (max if side is Side.BID else min)(found) if found else None

    def lots_worth(self, lamports: int, price: int) -> int:
        """Return how many lots ``lamports`` pay for at ``price``."""
        return lamports // (price * self.paper.spec.quote_lot_size)

    def cost(self, lots: int, price: int) -> int:
        """Return what ``lots`` cost at ``price`` in lamports."""
        return lots * price * self.paper.spec.quote_lot_size


class PaperTrader:
    """A taker with finite funds, in lamports and lots; ``taken`` is told the limit and lots that reach us."""

    def __init__(self, floor: PaperFloor, sol: int, lots: int, taken: Taken) -> None:
        self._floor, self._sol, self._lots, self._taken = floor, sol, lots, taken

    @property
    def floor(self) -> PaperFloor:
        """Return the floor it trades on."""
        return self._floor

    def quote_funds(self) -> int:
        """Return its lamports."""
        return self._sol

    def base_funds(self) -> int:
        """Return its lots."""
        return self._lots

    def take(self, side: Side, limit_price: int, lots: int, max_quote: int) -> Take:  # noqa: ARG002
        """Return an order that is to be sent; the fee comes on top, so ``max_quote`` limits nothing here."""
        return Take(side, limit_price, lots)

    def settle(self) -> None:
        """Return nothing: on paper proceeds are at home already."""

    def send(self, orders: Iterable[Take | None]) -> None:
        """Take what of ours stands better than others within the limit."""
        for order in orders:
            if order is not None:
                self._sent(order)

    def _sent(self, order: Take) -> None:
        floor, buys = self._floor, order.side is Side.BID
        others = floor.quoted()[order.side.opposite]
        ours = floor.paper.asks if buys else floor.paper.bids
        limit = (
            order.limit if others is None else min(order.limit, others) if buys else max(order.limit, others)
        )
        within = [o for o in ours if (o.price <= limit if buys else o.price >= limit)]
        left = order.lots
        for standing in within:
            lots = min(left, standing.size)
            worth = floor.cost(lots, standing.price)
            fee = -(-worth * TAKER_FEE_BPS // BPS)
            self._sol += -(worth + fee) if buys else worth - fee
            self._lots += lots if buys else -lots
            left -= lots
        if within:
            self._taken(limit, order.lots)


class PaperCrowd:
    """The small takers; ``due`` is when the next of them may arrive."""

    def __init__(self, floor: PaperFloor, seed: int, start_ms: int, per_day: int, taken: Taken) -> None:
        sol = WEALTH_SOL["taker"] * LAMPORTS_PER_SOL
        lots = floor.lots_worth(sol, floor.fair(start_ms))
        wallets = [PaperTrader(floor, sol, lots, taken) for _ in range(CrowdOptions().takers)]
        spells = Absences(Random(f"{seed} absence of quiet 0"), start_ms, 20, (0.5, 2))
        self._flow = TakerFlow(floor, wallets, Random(f"{seed} taker 0"), spells, per_day)
        self.due = start_ms + FIRST_LOOK_MS

    def act(self, now: int) -> None:
        """Let a taker arrive, or nobody."""
        self.due = self._flow.act(now)
