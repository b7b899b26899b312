"""Third-party makers: thin quotes around the reference, dust, and walls that come and go.

Rules of this file
- Every order is post-only and slid one tick behind the other side's best: a maker never takes.
- A change is one transaction: cancel all own client ids, then place bids and asks. The side the price moves
  away from is moved first, so that own quotes do not meet.
- A maker that is away, or whose funds do not cover one lot, has no orders.
"""

from random import Random

from solders.instruction import Instruction

from bmv.model import Side
from bmv.sandbox.people.floor import Floor, Trader
from bmv.sandbox.people.person import Absences
from bmv.units import LAMPORTS_PER_SOL
from bmv.venue.openbook_v1.bodies import NewOrder

CLIENT_IDS = range(1, 9)
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
BID_IDS, ASK_IDS = CLIENT_IDS[:4], CLIENT_IDS[4:]


class _Maker:
    """What makers share: a trader, a seeded mind, absences, and replacing all their orders."""

    def __init__(self, trader: Trader, random: Random, absences: tuple[Absences, ...]) -> None:
        self._trader, self._random, self._absences = trader, random, absences
        self._floor: Floor = trader.floor

    def _back_at(self, now: int) -> int | None:
        """Take all orders off the book while away; return when to look again, None while present."""
        ends = [end for absence in self._absences if (end := absence.back_at(now)) is not None]
        if ends and self._has_orders():
            self._trader.send([self._trader.withdraw(CLIENT_IDS)])
        return min(max(ends), now + 10 * MINUTE_MS) if ends else None

    def _has_orders(self) -> bool:
        return any(self._trader.resting(side) for side in Side)

    def _replace_all(self, bids: list[NewOrder], asks: list[NewOrder], asks_first: bool) -> None:
        placed: dict[Side, list[Instruction]] = {
            side: self._trader.place(side, orders) for side, orders in zip(Side, (bids, asks), strict=True)
        }
        order = (Side.ASK, Side.BID) if asks_first else (Side.BID, Side.ASK)
        sends = [instruction for side in order for instruction in placed[side]]
        if self._has_orders():
            sends.insert(0, self._trader.withdraw(CLIENT_IDS))
        if sends:
            self._trader.send(sends)

    def _slide(self, side: Side, price: int) -> int:
        """Return ``price`` moved behind the best of the other side where it would cross it; at least 1."""
        other = self._floor.best(side.opposite, without=self._trader.open_orders)
        if other is not None:
            price = min(price, other - 1) if side is Side.BID else max(price, other + 1)
        return max(1, price)

    def _funds(self, side: Side) -> int:
        """Return what the side may spend once own orders are cancelled: lamports or lots."""
        resting = self._trader.resting(side)
        if side is Side.BID:
            locked = sum(self._floor.cost(order.size_lots, order.price_ticks) for order in resting)
            return self._trader.quote_funds() + locked
        return self._trader.base_funds() + sum(order.size_lots for order in resting)


class Quoter(_Maker):
    """Keeps 1 to 3 levels a side around the reference, skewed by inventory.

    Looks every 8 to 25 s, and 1 to 5 s after the reference moved. Re-quotes when it moved by more than
    ``threshold``, when less than 60 % of what was placed on a side is left, or when the other side's best
    pushed the last quotes further away than ``threshold``.
    """

    def __init__(self, trader: Trader, random: Random, absences: tuple[Absences, ...]) -> None:
        super().__init__(trader, random, absences)
        self._levels = random.randint(1, 3)
        self._half_spread = random.uniform(0.0020, 0.0034)
        self._step = random.uniform(0.0005, 0.0009)
        self._threshold = random.uniform(0.0020, 0.0030)
        self._level_lamports = random.uniform(0.9, 1.3) * LAMPORTS_PER_SOL / self._levels
        self._quoted_at = 0
        self._is_pushed_away = False
        self._placed = {Side.BID: 0, Side.ASK: 0}

    def act(self, now: int) -> int:
        """Re-quote where needed."""
        back = self._back_at(now)
        if back is not None:
            self._quoted_at = 0
            return back
        fair = self._floor.fair(now)
        if self._is_stale(fair):
            self._quote(fair)
        wait, reaction = self._random.randint(8, 25), self._random.randint(1, 5)
        return self._floor.look_again(now, wait * SECOND_MS, reaction * SECOND_MS)

    def _is_stale(self, fair: int) -> bool:
        if not self._quoted_at or self._is_pushed_away:
            return True
        if abs(fair / self._quoted_at - 1) > self._threshold:
            return True
        return any(
            sum(order.size_lots for order in self._trader.resting(side)) < 0.6 * self._placed[side]
            for side in Side
        )

    def _quote(self, fair: int) -> None:
        self._is_pushed_away = False
        centre = fair * (1 - 0.0020 * self._imbalance(fair))
        orders = {side: self._ladder(side, fair, centre) for side in Side}
        self._replace_all(orders[Side.BID], orders[Side.ASK], asks_first=fair >= self._quoted_at)
        self._placed = {side: sum(order.size for order in orders[side]) for side in Side}
        self._quoted_at = fair

    def _imbalance(self, fair: int) -> float:
        """Return -1 (all SOL) to 1 (all tokens)."""
        tokens, sol = self._floor.cost(self._funds(Side.ASK), fair), self._funds(Side.BID)
        return (tokens - sol) / max(1, tokens + sol)

    def _ladder(self, side: Side, fair: int, centre: float) -> list[NewOrder]:
        funds, orders = self._funds(side), []
        away = -1 if side is Side.BID else 1
        for level, client_id in enumerate((BID_IDS if side is Side.BID else ASK_IDS)[: self._levels]):
            distance = self._half_spread + level * self._step
            wanted = round(centre * (1 + away * distance)) + away * level
            price = self._slide(side, wanted)
            self._is_pushed_away |= abs(price - wanted) > wanted * self._threshold
            lots = self._floor.lots_worth(int(self._level_lamports * self._random.uniform(0.8, 1.3)), fair)
            most = self._floor.lots_worth(funds, price) if side is Side.BID else funds
            lots = min(max(1, lots), most)
            if lots:
                orders.append(self._trader.post(side, client_id, price, lots))
                funds -= self._floor.cost(lots, price) if side is Side.BID else lots
        return orders


class Duster(_Maker):
    """Strews up to 4 one-lot orders a side, 0.3 to 3 % away, every 10 to 40 minutes.

    One time in four the first of a side stands one tick ahead of that side's best order, if that is at least
    0.15 % from the reference.
    """

    def act(self, now: int) -> int:
        """Strew anew."""
        back = self._back_at(now)
        if back is not None:
            return back
        fair, draw = self._floor.fair(now), self._random
        orders = {side: self._dust(side, fair) for side in Side}
        self._replace_all(orders[Side.BID], orders[Side.ASK], asks_first=draw.random() < 0.5)
        return now + draw.randint(10 * MINUTE_MS, 40 * MINUTE_MS)

    def _dust(self, side: Side, fair: int) -> list[NewOrder]:
        away = -1 if side is Side.BID else 1
        count = self._random.randint(0, 4)
        prices = [round(fair * (1 + away * self._random.uniform(0.003, 0.03))) for _ in range(count)]
        best = self._floor.best(side, without=self._trader.open_orders)
        if prices and best is not None and self._random.random() < 0.25:
            ahead = best - away
            if away * (ahead / fair - 1) >= 0.0015:
                prices[0] = ahead
        need = count if side is Side.ASK else self._floor.cost(count, fair)
        if self._funds(side) < need:
            return []
        ids = BID_IDS if side is Side.BID else ASK_IDS
        slid = [self._slide(side, price) for price in prices]
        return [
            self._trader.post(side, client_id, price, 1) for client_id, price in zip(ids, slid, strict=False)
        ]


class WallBuilder(_Maker):
    """Places one large order 2 to 6 % away for 5 minutes to 3 hours, then none for 1 to 6 hours.

    The side is drawn in proportion to what is left to build with. Looks every minute while a wall stands; two
    walls in three are pulled once the reference comes within 1 %.
    """

    def __init__(self, trader: Trader, random: Random, absences: tuple[Absences, ...]) -> None:
        super().__init__(trader, random, absences)
        self._until = 0
        self._is_shy = False

    def act(self, now: int) -> int:
        """Build, keep or pull the wall."""
        back = self._back_at(now)
        if back is not None:
            self._until = 0
            return back
        fair = self._floor.fair(now)
        if not self._until:
            return self._build(now, fair)
        if now < self._until and not (self._is_shy and self._is_near(fair)):
            return min(self._until, now + MINUTE_MS)
        self._until = 0
        if self._has_orders():
            self._trader.send([self._trader.withdraw(CLIENT_IDS)])
        return now + self._random.randint(HOUR_MS, 6 * HOUR_MS)

    def _build(self, now: int, fair: int) -> int:
        draw = self._random
        sol, tokens = self._funds(Side.BID), self._floor.cost(self._funds(Side.ASK), fair)
        side = Side.BID if draw.random() * (sol + tokens) < sol else Side.ASK
        distance, value = draw.uniform(0.02, 0.06), int(draw.uniform(15, 60) * LAMPORTS_PER_SOL)
        price = self._slide(side, round(fair * (1 - distance if side is Side.BID else 1 + distance)))
        most = self._floor.lots_worth(self._funds(side), price) if side is Side.BID else self._funds(side)
        lots = min(self._floor.lots_worth(value, price), most)
        self._until = now + draw.randint(5 * MINUTE_MS, 3 * HOUR_MS)
        self._is_shy = draw.random() < 2 / 3
        if lots:
            wall = [self._trader.post(side, CLIENT_IDS[0], price, lots)]
            self._replace_all(*((wall, []) if side is Side.BID else ([], wall)), asks_first=False)
        return now + MINUTE_MS

    def _is_near(self, fair: int) -> bool:
        return any(
            abs(order.price_ticks / fair - 1) < 0.01 for side in Side for order in self._trader.resting(side)
        )
