"""One demo in virtual time whose metrics are scraped, with what tests compare them to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bmv.app.assembly import Assembly
from bmv.app.observing import observe
from bmv.app.truth import standing_orders
from bmv.app.world import World
from bmv.core.state import Phase, State
from bmv.model import LiveOrder, Side, Trade
from bmv.sandbox.people.crowd import CrowdOptions
from tests.app.outage import Outage, Stores, kept
from tests.app.recorded_run import Look, run

Shown = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SECONDS, EVERY_S = 1_800, 30


@contextlib.asynccontextmanager
async def _nobody(_world: World, _assembly: Assembly) -> AsyncIterator[None]:
    yield


@dataclass
class Seen:
    """What the metrics said, scrape by scrape, and every belief with its time."""

    texts: list[tuple[int, bytes]] = field(default_factory=list)
    scrapes: list[Shown] = field(default_factory=list)
    busy: Shown = field(default_factory=dict)
    beliefs: list[tuple[int, Phase, tuple[LiveOrder, ...], int | None]] = field(default_factory=list)
    assembly: Assembly | None = None
    depths: list[dict[tuple[str, str], int]] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)

    @property
    def last(self) -> Shown:
        """Return the last scrape."""
        return self.scrapes[-1]


@cache
def scraped(faults: str = "standard", seconds: int = SECONDS) -> Seen:
    """Run a demo in virtual time and scrape it; one run serves all tests that look at it."""
    crowd = CrowdOptions(arrivals_per_day=7_200)
    return scraping(seconds, levels=40, faults=faults, crowd=crowd)


def scraping(seconds: int, beside: Look = _nobody, *, outage: Outage | None = None, **options: Any) -> Seen:
    """Run a demo in virtual time, scrape it, and let ``beside`` do what it likes meanwhile."""
    found = Seen()

    @contextlib.asynccontextmanager
    async def look(world: World, assembly: Assembly) -> AsyncIterator[None]:
        observed, found.assembly = observe(assembly), assembly

        def note(state: State) -> None:
            orders = tuple(order for view in state.views.values() for order in view.orders)
            price = state.market.reading.price_fine if state.market.reading else None
            found.beliefs.append((int(state.now), state.phase, orders, price))
            if state.in_flight and not found.busy:
                found.busy = shown(observed.exposition.text())

        def scrape() -> None:
            text = observed.exposition.text()
            found.texts.append((int(assembly.engine.state.now), text))
            found.scrapes.append(shown(text))
            found.depths.append(true_depth(world, assembly))

        async def going_on(stores: Stores) -> None:
            while True:
                await asyncio.sleep(EVERY_S)
                await stores.go_on()
                scrape()

        assembly.engine.followers.append(note)
        assembly.engine.record.economics.followers.append(found.trades.append)
        async with kept(assembly, outage or Outage()) as stores:
            scrape()
            tasks = [
                asyncio.create_task(going_on(stores)),
                asyncio.create_task(observed.lag.run()),
            ]
            try:
                async with beside(world, assembly):
                    yield
            finally:
                # The engine has halted; what it says of itself then is scraped last.
                scrape()
                for task in tasks:
                    task.cancel()

    run(seconds, look=look, **options)
    return found


def shown(text: bytes) -> Shown:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def true_depth(world: World, assembly: Assembly) -> dict[tuple[str, str], int]:
    """Return lamports within 2 % of the middle of the book on the chain, by side and owner."""
    orders = standing_orders(world.chain, assembly.market, assembly.wallets)
    bids = [order.price for order in orders if order.side is Side.BID]
    asks = [order.price for order in orders if order.side is Side.ASK]
    found = {(side, whose): 0 for side in ("bid", "ask") for whose in ("own", "all")}
    for order in orders if bids and asks else ():
        if abs(Fraction(2 * order.price, max(bids) + min(asks)) - 1) <= Fraction(2, 100):
            value = order.price * order.size * assembly.spec.quote_lot_size
            found[order.side.name.lower(), "all"] += value
            found[order.side.name.lower(), "own"] += value if order.wallet is not None else 0
    return found
