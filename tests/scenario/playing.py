"""Play a price path to the whole system in virtual time and keep what happened.

Rules of this file
- What stands is read from the simulated chain's bytes, money from the engine's views of its wallets, and what
  it placed and filled from the events and actions the journal gets.
- Ratios are floats, prices SOL per token or ticks as named, money lamports.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

from bmv.app.assembly import Assembly
from bmv.app.demo import VIRTUAL_START_MS, DemoOptions, run_demo
from bmv.app.truth import standing_orders
from bmv.app.world import World, WorldOptions
from bmv.config import load
from bmv.core.decay import FINE
from bmv.core.state import Phase, State
from bmv.events import AnyAction, AnyEvent, BundleResolved, Execute, MarketSeen, Report
from bmv.model import Fill, MarketSpec, Outcome, Placement, Side
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import PricePath
from bmv.units import Ticks

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SOLE = CrowdOptions().without_makers()
BESIDE = CrowdOptions()
SEED_DAILY_VOLUME = Decimal(20_000)
"""Tokens a day: about what the crowd trades."""
Heard = Callable[[AnyAction, Assembly], None]
Beside = Callable[[World, Assembly], Coroutine[Any, Any, None]]
SETTLING_MINUTES = 10
"""Until the first ladder stands."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to whom: ``path`` is what the crowd believes, its first row at the start."""

    path: PricePath
    hours: float
    crowd: CrowdOptions = BESIDE
    wallets: int = 4
    levels: int = 100
    seed: int = 7
    settings: Mapping[str, Any] = field(default_factory=dict)


def along(
    corners: Sequence[tuple[float, float]], *, noise: float = 0.0, row_s: int = 300, seed: int = 7
) -> PricePath:
    """Return a path through ``corners``, (hours, SOL per token), straight on a log scale between them.

    ``noise`` is the standard deviation of a mean-reverting disturbance (half-life an hour) on top.
    """
    draw, disturbed, kept = Random(f"{seed} noise"), 0.0, 0.5 ** (row_s / 3600)
    times, prices = [], []
    for row in range(int(corners[-1][0] * 3600 / row_s) + 2):
        log = _log_price(corners, row * row_s / 3600)
        times.append(VIRTUAL_START_MS + row * row_s * 1000)
        prices.append(Decimal(f"{math.exp(log + disturbed):.12g}"))
        disturbed = disturbed * kept + draw.gauss(0, noise * math.sqrt(1 - kept * kept))
    return PricePath("scenario", tuple(times), tuple(prices), row_s * 1000)


def _log_price(corners: Sequence[tuple[float, float]], hour: float) -> float:
    for (start, low), (end, high) in pairwise(corners):
        if hour < end:
            share = (hour - start) / (end - start)
            return math.log(low) * (1 - share) + math.log(high) * share
    return math.log(corners[-1][1])


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute's end: prices in ticks (None: there is none), money in lamports, tokens in base lots."""

    at: int
    price: float
    outside: float
    bid: int | None
    ask: int | None
    foreign_bid: int | None
    foreign_ask: int | None
    buy_low: float
    buy_high: float
    sell_low: float
    sell_high: float
    sol: int
    base: int
    orders: int
    bid_worth: int
    spread_bps: int
    density: int
    built_at: int
    """When both sides of the target were last computed."""


@dataclass(slots=True)
class Seen:
    """What came of a scenario."""

    scenario: Scenario
    samples: list[Sample] = field(default_factory=list)
    fills: list[tuple[int, Fill]] = field(default_factory=list)
    placed: list[tuple[int, Placement, float]] = field(default_factory=list)
    """When, what, and P in ticks at that moment."""
    withdrawn: list[int] = field(default_factory=list)
    """When each cancel was asked for while quoting; the closing drain is not in it."""
    reports: list[tuple[int, Report]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    landed: list[BundleResolved] = field(default_factory=list)
    changes: set[int] = field(default_factory=set)
    """The tickets that change orders; others open accounts, crank or settle."""
    most_orders: int = 0
    """The most orders of ours in any reading."""
    spec: MarketSpec | None = None

    def share(self, holds: Callable[[Sample], bool]) -> float:
        """Return the share of the minutes, the first ten not counted, for which something holds."""
        judged = self.samples[SETTLING_MINUTES:]
        return sum(map(holds, judged)) / len(judged)

    def mean(self, value: Callable[[Sample], float]) -> float:
        """Return the mean over the same minutes."""
        judged = self.samples[SETTLING_MINUTES:]
        return sum(map(value, judged)) / len(judged)

    def events(self, name: str) -> list[dict[str, str | int]]:
        """Return the fields of every report of one name."""
        return [report.fields for _, report in self.reports if report.name == name]


def play(scenario: Scenario, hear: Heard | None = None, beside: Beside | None = None, **outside: Any) -> Seen:
    """Play a scenario from start to drained end; ``hear`` gets each action, ``beside`` runs along.

    ``outside`` is what else the world's options say.
    """
    seen = Seen(scenario)

    @contextlib.asynccontextmanager
    async def shown(world: World, assembly: Assembly) -> AsyncIterator[None]:
        seen.spec = assembly.spec
        _listen(assembly, seen, hear)
        tasks = [asyncio.ensure_future(_watch(world, assembly, seen))]
        tasks += [asyncio.ensure_future(beside(world, assembly))] if beside is not None else []
        yield
        for task in tasks:
            task.cancel()

    seed = {"seed_price": scenario.path.prices[0], "seed_daily_volume": SEED_DAILY_VOLUME}
    settings = load(None, {}).model_copy(update={"grid_levels": scenario.levels, **seed, **scenario.settings})
    run_s = scenario.hours * 3600
    world = WorldOptions(
        seed=scenario.seed,
        wallets=scenario.wallets,
        path=scenario.path,
        run_ms=int(run_s * 1000),
        crowd=scenario.crowd,
        **outside,
    )
    seen.report = run_demo(DemoOptions(world, settings, None, run_s, None, quiet=True), shown)
    return seen


def _listen(assembly: Assembly, seen: Seen, hear: Heard | None) -> None:
    """Hear what the engine's record hears."""
    record, engine = assembly.engine.record, assembly.engine
    saw, did = record.saw, record.did

    def heard_event(event: AnyEvent, state: State) -> None:
        saw(event, state)
        if isinstance(event, BundleResolved) and event.outcome is Outcome.LANDED:
            seen.landed.append(event)
        elif isinstance(event, MarketSeen):
            seen.fills += [(int(event.at), fill) for fill in event.fills]
            orders = sum(len(view.orders) for view in state.views.values())
            seen.most_orders = max(seen.most_orders, orders)

    def heard_action(action: AnyAction, at: Any) -> None:
        did(action, at)
        if isinstance(action, Report):
            seen.reports.append((int(at), action))
        elif isinstance(action, Execute) and engine.state.phase is Phase.QUOTING:
            seen.changes.add(action.ticket)
            seen.withdrawn += [int(at)] * len(action.cancels)
            seen.placed += [(int(at), place, _price(engine.state)) for place in action.places]
        if hear is not None:
            hear(action, assembly)

    record.saw, record.did = heard_event, heard_action  # type: ignore[method-assign]


async def _watch(world: World, assembly: Assembly, seen: Seen) -> None:
    while True:
        await asyncio.sleep(MINUTE_MS / 1000)
        state = assembly.engine.state
        if state.market.channel is not None:
            seen.samples.append(_sample(world, assembly, state))


def _sample(world: World, assembly: Assembly, state: State) -> Sample:
    market, now = state.market, int(state.now)
    assert market.channel is not None
    best: dict[tuple[bool, Side], int] = {}
    worth, own = 0, 0
    for order in standing_orders(world.chain, assembly.market, assembly.wallets):
        best.setdefault((order.wallet is not None, order.side), order.price)
        if order.wallet is not None:
            own += 1
            if order.side is Side.BID:
                worth += order.price * order.size * assembly.spec.quote_lot_size
    views = state.views.values()
    outside = world.reference.price_at(now) / assembly.spec.price(Ticks(1))
    return Sample(
        at=now,
        price=_price(state),
        outside=float(outside),
        bid=best.get((True, Side.BID)),
        ask=best.get((True, Side.ASK)),
        foreign_bid=best.get((False, Side.BID)),
        foreign_ask=best.get((False, Side.ASK)),
        buy_low=market.channel.buy_low / FINE,
        buy_high=market.channel.buy_high / FINE,
        sell_low=market.channel.sell_low / FINE,
        sell_high=market.channel.sell_high / FINE,
        sol=sum(int(view.quote_total) for view in views),
        base=sum(int(view.base_total) // assembly.spec.base_lot_size for view in views),
        orders=own,
        bid_worth=worth,
        spread_bps=int(market.presence.spread_bps(state.now, assembly.engine.settings)),
        density=int(market.density or 0),
        built_at=int(state.target.built_at),
    )


def _price(state: State) -> float:
    return state.market.reading.price_fine / FINE if state.market.reading is not None else math.nan
