"""Those who take: a crowd of small wallets, trend followers among them, and arbitrageurs.

Rules of this file
- Every order is immediate-or-cancel with a limit price and no limit on matches; a buyer offers 4 bps more
  than the notional, for the fee.
- Nobody spends what is not free in the own wallet; which side a wallet takes is drawn in proportion to what
  it has left, so wallets do not run dry on one side.
- Proceeds are free at once; a taker moves them home (SettleFunds) in the same transaction now and then.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any, Protocol, TypeVar

from bmv.model import Side
from bmv.sandbox.people.person import Absences
from bmv.units import LAMPORTS_PER_SOL

SECOND_MS, HOUR_MS, DAY_MS = 1_000, 3_600_000, 86_400_000
BUSIEST = 1.5 * 3.0
MEDIAN_LAMPORTS, SIZE_SIGMA, LARGEST_LAMPORTS = LAMPORTS_PER_SOL // 2, 1.1, 15 * LAMPORTS_PER_SOL
NOTICED = 0.006
REFUSED = 0.03
FEE_SHARE = 0.0005


class Busy(Protocol):
    """Something that tells how busy takers are; 1 is an ordinary hour."""

    def activity_at(self, ms: int) -> float:
        """Return how busy they are at ``ms``."""
        ...


class TakersFloor(Protocol):
    """What small takers see: the simulated chain's market, or one on paper; prices in ticks."""

    @property
    def reference(self) -> Busy:
        """Return what tells how busy takers are."""
        ...

    def fair(self, now: int) -> int:
        """Return what the token is worth to them."""
        ...

    def best(self, side: Side) -> int | None:
        """Return the best price of a side."""
        ...

    def lots_worth(self, lamports: int, price: int) -> int:
        """Return how many lots ``lamports`` pay for at ``price``."""
        ...

    def cost(self, lots: int, price: int) -> int:
        """Return what ``lots`` cost at ``price`` in lamports, fees not counted."""
        ...


class ArbitrageFloor(TakersFloor, Protocol):
    """What an arbitrageur sees beside that."""

    def look_again(self, now: int, wait_ms: int, reaction_ms: int) -> int:
        """Return when to look again: after ``wait_ms``, or ``reaction_ms`` after the reference moves."""
        ...

    def lots_within(self, side: Side, limit: int) -> int:
        """Return the lots that stand on a side at ``limit`` or better."""
        ...


Seen_co = TypeVar("Seen_co", bound=TakersFloor, covariant=True)


class TakersWallet(Protocol[Seen_co]):
    """What a taker has and does; ``take`` and ``settle`` return what ``send`` sends."""

    @property
    def floor(self) -> Seen_co:
        """Return the floor it trades on."""
        ...

    def quote_funds(self) -> int:
        """Return the lamports at hand."""
        ...

    def base_funds(self) -> int:
        """Return the whole lots at hand."""
        ...

    def take(self, side: Side, limit_price: int, lots: int, max_quote: int) -> Any:
        """Return an immediate-or-cancel order."""
        ...

    def settle(self) -> Any:
        """Return what brings proceeds home."""
        ...

    def send(self, orders: Iterable[Any]) -> None:
        """Send orders as one transaction."""
        ...


def minds(seed: str) -> Iterator[Random]:
    """Yield another mind for each arrival: the same people come, whatever they find."""
    return (Random(f"{seed} {number}") for number in count())


def time_of_day(now: int) -> float:
    """Return how busy the hour is: 1.5 at 15:00 UTC, 0.5 at 03:00 UTC, 1 on average."""
    return 1 + 0.5 * math.sin(2 * math.pi * (now / DAY_MS - 9 / 24))


def take_funded(
    trader: TakersWallet[TakersFloor], side: Side, limit_price: int, lots: int, *, settle: bool
) -> bool:
    """Take up to ``lots`` as far as the funds go; return whether there was anything to send."""
    floor = trader.floor
    funds = trader.quote_funds() if side is Side.BID else trader.base_funds()
    if side is Side.BID:
        lots = min(lots, floor.lots_worth(int(funds / (1 + FEE_SHARE)), limit_price))
    else:
        lots = min(lots, funds)
    if lots < 1:
        return False
    cost = floor.cost(lots, limit_price)
    max_quote = min(funds, cost + math.ceil(cost * FEE_SHARE)) if side is Side.BID else cost
    sends = [trader.take(side, limit_price, lots, max_quote)]
    if settle:
        sends.append(trader.settle())
    trader.send(sends)
    return True


class TakerFlow:
    """Arrivals of small takers: ``per_day`` on average, by time of day and activity of the reference.

    A quarter of the wallets follow a trend of more than 0.8 % in two hours, two times in three. Where the
    best price is more than 0.6 % better than the reference they take it; where it is 3 % worse they stay out.
    ``minds``: what each arrival draws from; where each is another, what one does changes none after it.
    """

    def __init__(
        self,
        floor: TakersFloor,
        traders: Sequence[TakersWallet[TakersFloor]],
        minds: Iterator[Random],
        spells: Absences,
        per_day: float,
    ) -> None:
        self._floor, self._traders, self._minds, self._spells = floor, traders, minds, spells
        self._random = random = next(minds)
        self._wait_ms = DAY_MS / (per_day * BUSIEST)
        self._weights = [random.paretovariate(2) for _ in traders]
        self._followers = frozenset(range(len(traders) // 4))

    def act(self, now: int) -> int:
        """Let a taker arrive, or nobody."""
        draw = self._random = next(self._minds)
        busy = time_of_day(now) * self._floor.reference.activity_at(now)
        if draw.random() < busy / BUSIEST and self._spells.back_at(now) is None:
            (index,) = draw.choices(range(len(self._traders)), self._weights)
            self._arrive(now, index)
        return now + max(1, int(draw.expovariate(1 / self._wait_ms)))

    def _arrive(self, now: int, index: int) -> None:
        draw, trader, fair = self._random, self._traders[index], self._floor.fair(now)
        side = self._side(now, index, fair)
        value = MEDIAN_LAMPORTS * math.exp(draw.gauss(0, SIZE_SIGMA))
        slippage, settle = draw.uniform(0.01, 0.02), draw.random() < 0.4
        best = self._floor.best(side.opposite)
        if best is None:
            return
        if side is Side.BID:
            limit = min(int(best * (1 + slippage)), int(fair * (1 + REFUSED)))
            is_bearable = best <= limit
        else:
            limit = max(math.ceil(best * (1 - slippage)), math.ceil(fair * (1 - REFUSED)))
            is_bearable = best >= limit
        if is_bearable:
            lots = max(1, self._floor.lots_worth(min(int(value), LARGEST_LAMPORTS), fair))
            take_funded(trader, side, limit, lots, settle=settle)

    def _side(self, now: int, index: int, fair: int) -> Side:
        draw, trader = self._random, self._traders[index]
        bid, ask = self._floor.best(Side.BID), self._floor.best(Side.ASK)
        if bid is not None and bid > fair * (1 + NOTICED):
            return Side.ASK
        if ask is not None and ask < fair * (1 - NOTICED):
            return Side.BID
        trend = fair / self._floor.fair(now - 2 * HOUR_MS) - 1
        if index in self._followers and abs(trend) > 0.008 and draw.random() < 2 / 3:
            return Side.BID if trend > 0 else Side.ASK
        sol, tokens = trader.quote_funds(), self._floor.cost(trader.base_funds(), fair)
        return Side.BID if draw.random() * (sol + tokens) < sol else Side.ASK


class Arbitrageur:
    """Compares best prices with the reference and takes what is off by more than ``edge``.

    Looks every 15 to 60 s, 2 to 10 s after the reference moved, and again 2 to 6 s after taking. Takes
    all that is better than the reference by 0.2 %, at most 25 SOL at a time.
    """

    MOST_LAMPORTS = 25 * LAMPORTS_PER_SOL
    KEPT = 0.002

    def __init__(self, trader: TakersWallet[ArbitrageFloor], random: Random) -> None:
        self._trader, self._random = trader, random
        self._edge = random.uniform(0.005, 0.008)

    def act(self, now: int) -> int:
        """Take what is mispriced."""
        floor = self._trader.floor
        fair = floor.fair(now)
        bid, ask = floor.best(Side.BID), floor.best(Side.ASK)
        if ask is not None and ask < fair * (1 - self._edge):
            self._sweep(Side.BID, int(fair * (1 - self.KEPT)), fair)
        elif bid is not None and bid > fair * (1 + self._edge):
            self._sweep(Side.ASK, math.ceil(fair * (1 + self.KEPT)), fair)
        else:
            wait, reaction = self._random.randint(15, 60), self._random.randint(2, 10)
            return floor.look_again(now, wait * SECOND_MS, reaction * SECOND_MS)
        return now + self._random.randint(2, 6) * SECOND_MS

    def _sweep(self, side: Side, limit: int, fair: int) -> None:
        floor = self._trader.floor
        mispriced = floor.lots_within(side.opposite, limit)
        lots = min(mispriced, floor.lots_worth(self.MOST_LAMPORTS, fair))
        take_funded(self._trader, side, limit, lots, settle=self._random.random() < 0.4)
