"""What is measured while a demo runs: standing share each minute, price error each hour.

Wanted is what the engine's target says; standing is what the simulated chain's account bytes say.
"""

import statistics
from dataclasses import dataclass, field
from decimal import Decimal

from bmv.app.assembly import Assembly
from bmv.app.truth import standing_orders
from bmv.app.world import World
from bmv.core.decay import FINE
from bmv.model import Side
from bmv.units import Ticks

MINUTE_S = 60
MINUTES_PER_HOUR = 60
SETTLING_MINUTES = 10
PRICE_WITHIN = Decimal("0.02")
QUOTES_WITHIN = Decimal("0.05")


@dataclass(slots=True)
class Samples:
    """Samples so far; ``shares`` after the first ten minutes only."""

    wanted: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    hours: int = 0
    price_hits: int = 0
    quote_hits: int = 0
    minutes: int = 0

    def take(self, world: World, assembly: Assembly, now: int) -> None:
        """Take one minute's sample; each sixtieth judges the hour that ends."""
        self.minutes += 1
        self._standing(world, assembly)
        if self.minutes % MINUTES_PER_HOUR == 0:
            self._hour(world, assembly, now)

    def _standing(self, world: World, assembly: Assembly) -> None:
        quotes = assembly.engine.state.target.quotes
        book = standing_orders(world.chain, assembly.market, assembly.wallets)
        ours = {(order.wallet, order.side, order.price) for order in book if order.wallet is not None}
        if self.minutes > SETTLING_MINUTES and quotes:
            there = sum((quote.wallet, quote.side, int(quote.price)) in ours for quote in quotes)
            self.wanted.append(len(quotes))
            self.shares.append(there / len(quotes))

    def _hour(self, world: World, assembly: Assembly, now: int) -> None:
        # The hour ends at this instant, so its reference is the one that held until now.
        reference = world.reference.price_at(now - 1)
        self.hours += 1
        price = assembly.engine.state.market.reading
        if price is not None:
            exact = assembly.spec.price(Ticks(1)) * price.price_fine / FINE
            self.price_hits += abs(exact - reference) <= reference * PRICE_WITHIN
        best = best_own(world, assembly)
        near = [
            abs(assembly.spec.price(Ticks(tick)) - reference) <= reference * QUOTES_WITHIN
            for tick in best.values()
        ]
        self.quote_hits += len(near) == len(Side) and all(near)

    def share(self, hits: int) -> float | None:
        """Return ``hits`` as a share of the hours judged; None before the first."""
        return hits / self.hours if self.hours else None

    def median(self, values: list[int] | list[float]) -> float | None:
        """Return the median; None of nothing."""
        return float(statistics.median(values)) if values else None


def best_own(world: World, assembly: Assembly) -> dict[Side, int]:
    """Return our best price per side as the simulated book holds it, in ticks."""
    best: dict[Side, int] = {}
    for order in standing_orders(world.chain, assembly.market, assembly.wallets):
        if order.wallet is not None:
            best.setdefault(order.side, order.price)
    return best
