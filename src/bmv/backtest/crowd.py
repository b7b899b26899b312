"""People beyond the recorded path: the sandbox's own takers, let loose on our orders on paper.

Rules of this file
- The models are the sandbox's (docs/sandbox.md): the same arrivals, sizes, sides and limits, and with the
  same seed the same draws. Where there are arbitrageurs, what the path passes is theirs to take.
- They act out of finite wallets of their own, which nobody tops up; the taker fee is theirs.
- Where others quote better than we do a taker takes them, of whom there is enough, and never reaches us.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.paper import Paper
from bmv.backtest.tape import Tape
from bmv.core.decay import BPS, FINE
from bmv.model import Side
from bmv.sandbox.people.crowd import WEALTH_SOL, CrowdOptions
from bmv.sandbox.people.person import HOUR_MS, Absences, Person
from bmv.sandbox.people.takers import Arbitrageur, TakerFlow, minds
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
    """The market on paper as takers see it: our orders, others' quotes, the tape as far as it is known."""

    def __init__(self, paper: Paper, tape: Tape, quoted: Quoted) -> None:
        self.paper, self.quoted = paper, quoted
        self._tape = tape

    @property
    def reference(self) -> "PaperFloor":
        """Return what tells how busy takers are: the path itself."""
        return self

    def activity_at(self, ms: int) -> float:
        """Return 0.5 for a path that has not moved within the hour, 1 for a move of 1 %, at most 3."""
        move = abs(self._price(ms) / self._price(ms - HOUR_MS) - 1)
        return min(3.0, 0.5 + 0.5 * move / FULL_MOVE)

    def fair(self, now: int) -> int:
        """Return the last print by then, in ticks."""
        return max(1, self._price(now) // FINE)

    def look_again(self, now: int, wait_ms: int, reaction_ms: int) -> int:
        """Return when to look again: after ``wait_ms``, or ``reaction_ms`` after the next print."""
        times = self._tape.times
        after = int(times.searchsorted(now, side="right"))
        return now + wait_ms if after == len(times) else min(now + wait_ms, int(times[after]) + reaction_ms)

    def lots_within(self, side: Side, limit: int) -> int:
        """Return our lots on a side at ``limit`` or better."""
        orders = self.paper.bids if side is Side.BID else self.paper.asks
        return sum(o.size for o in orders if (o.price >= limit if side is Side.BID else o.price <= limit))

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

    def _price(self, ms: int) -> int:
        """Return the print that holds at a moment, the first one before there is one."""
        return int(self._tape.prices[max(0, int(self._tape.times.searchsorted(ms, side="right")) - 1)])


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
    """The people who are assumed; ``due`` is when the next of them acts."""

    def __init__(self, floor: PaperFloor, assumed: Assumptions, start_ms: int, taken: Taken) -> None:
        self._floor, self._assumed, self._start, self._taken = floor, assumed, start_ms, taken
        first = start_ms + FIRST_LOOK_MS
        self._agenda = [(first, number, person) for number, person in enumerate(self._people())]

    @property
    def due(self) -> int:
        """Return when somebody next acts."""
        return self._agenda[0][0]

    def act(self, now: int) -> None:
        """Let who is due act, or think better of it."""
        _, number, person = self._agenda[0]
        heapq.heapreplace(self._agenda, (person.act(now), number, person))

    def _people(self) -> Iterable[Person]:
        seed, per_day = self._assumed.seed, self._assumed.takers_per_day
        if per_day:
            traders = [self._trader("taker") for _ in range(CrowdOptions().takers)]
            spells = Absences(Random(f"{seed} absence of quiet 0"), self._start, 20, (0.5, 2))
            yield TakerFlow(self._floor, traders, minds(f"{seed} taker"), spells, per_day)
        for number in range(self._assumed.arbitrageurs):
            yield Arbitrageur(self._trader("arbitrageur"), Random(f"{seed} arbitrageur {number}"))

    def _trader(self, role: str) -> PaperTrader:
        sol = WEALTH_SOL[role] * LAMPORTS_PER_SOL
        lots = self._floor.lots_worth(sol, self._floor.fair(self._start))
        return PaperTrader(self._floor, sol, lots, self._taken)
