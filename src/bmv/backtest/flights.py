"""Changes on their way to the chain: what sending them costs, which are lost, when that is known."""

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bmv.backtest.assumptions import Assumptions
from bmv.core.cost import FEE_PER_TRANSACTION, estimate
from bmv.core.plan import Plan, WalletPlan
from bmv.events import Execute, TreasuryAction
from bmv.model import BundleCost

EXPIRY_MS = 60_000


@dataclass(slots=True)
class Tally:
    """What was counted; ``placed`` and ``cancelled`` are orders sent, landed or not."""

    placed: int = 0
    cancelled: int = 0
    rebuilds: int = 0
    bundles: int = 0
    lost: int = 0
    transactions: int = 0
    tips: int = 0
    fees: int = 0
    volume: int = 0
    incidents: Counter[str] = field(default_factory=Counter)


@dataclass(order=True, slots=True)
class Flight:
    """Changes under way; ``lost`` says that at ``due`` it becomes known that they never landed."""

    due: int
    number: int
    changes: tuple[Execute | TreasuryAction, ...] = field(compare=False)
    cost: BundleCost = field(compare=False)
    lost: bool = field(compare=False)


class Flights:
    """All changes under way; what is lost is drawn from the seed."""

    def __init__(self, assumed: Assumptions, tally: Tally) -> None:
        self._assumed, self._tally = assumed, tally
        self._chance = random.Random(assumed.seed)
        self._flying: list[Flight] = []

    def due(self, otherwise: int) -> int:
        """Return when the next outcome is known."""
        return self._flying[0].due if self._flying else otherwise

    def pop(self) -> Flight:
        """Return what is due first."""
        return heapq.heappop(self._flying)

    def send(self, changes: Sequence[Execute], now: int) -> None:
        """Put changes on their way, one bundle after another; each is lost or not by itself."""
        tally = self._tally
        for change in changes:
            tally.placed += len(change.places)
            tally.cancelled += len(change.cancels)
        plan = Plan(wallets=[WalletPlan(c.wallet, list(c.cancels), list(c.places)) for c in changes])
        costs = estimate(plan, self._assumed.tip, range(self._assumed.wallets))
        tally.bundles += costs.bundles
        tally.transactions += costs.transactions
        landing: list[Execute] = []
        lost: list[Execute] = []
        for change in changes:
            (lost if self._is_lost() else landing).append(change)
        share = len(landing), len(changes)
        paid = BundleCost(costs.fees * share[0] // share[1], costs.tips * share[0] // share[1])
        self._fly(landing, paid, now, lost=False)
        self._fly(lost, BundleCost(), now, lost=True)

    def send_errand(self, action: TreasuryAction, now: int) -> None:
        """Put something of the treasury on its way, in a bundle of its own."""
        self._tally.bundles += 1
        self._tally.transactions += 1
        lost = self._is_lost()
        cost = BundleCost() if lost else BundleCost(FEE_PER_TRANSACTION, self._assumed.tip)
        self._fly([action], cost, now, lost=lost)

    def _is_lost(self) -> bool:
        return self._chance.random() < self._assumed.loss

    def _fly(
        self, changes: Sequence[Execute | TreasuryAction], cost: BundleCost, now: int, *, lost: bool
    ) -> None:
        if changes:
            after = EXPIRY_MS if lost else self._assumed.latency_ms
            flight = Flight(now + after, changes[0].ticket, tuple(changes), cost, lost)
            heapq.heappush(self._flying, flight)
            self._tally.lost += len(changes) if lost else 0
