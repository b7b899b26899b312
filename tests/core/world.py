"""Random worlds for ``decide``: bundles get lost, late and out of order, the market moves, the book fills up.

Wallets are frozen and thawed, some have every placement rejected for a while, sometimes nothing lands at all.
After every decision and every landing the invariants are asserted (``invariants.py``): whatever of what flies
lands, in whatever order.
"""

import copy
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.halting import SETTLING_PATIENCE
from bmv.core.limits import Approved
from bmv.core.state import Phase, State, new_state
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Crank,
    Execute,
    FeedLost,
    Finish,
    HaltRequested,
    MarketSeen,
    Prepare,
    Report,
    Settle,
    Tick,
)
from bmv.model import BundleCost, Outcome, Side, WalletView
from bmv.observe.journal import Journal
from bmv.units import Lamports, Millis, Slot
from tests.core import invariants
from tests.core.belongings import SOL, market, settings
from tests.core.exchange import Account, Exchange, TransactionFailedError

Sent = Execute | Prepare | Crank | Settle
STEPS = 220
MIDDLE = 20_000


def picture(value: Any) -> Any:
    """Return any value of the core as plain tuples, so that two states can be compared."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        return tuple(picture(getattr(value, name)) for name in value.__struct_fields__)
    if is_dataclass(value):
        return tuple(picture(getattr(value, each.name)) for each in fields(value))
    if isinstance(value, dict):
        return tuple((picture(key), picture(each)) for key, each in value.items())
    if isinstance(value, set):
        return tuple(sorted(picture(each) for each in value))
    if isinstance(value, list | tuple | deque):
        return tuple(picture(each) for each in value)
    return picture(vars(value)) if hasattr(value, "__dict__") else value


@dataclass(slots=True)
class Flying:
    """A bundle on its way: it lands at ``due`` or is lost; the engine hears of it later."""

    actions: tuple[Sent, ...]
    due: int
    lost: bool


@dataclass
class World:
    """The engine, the exchange, and the weather between them.

    ``silent``: at the end nothing had landed for so long that what is owed was given up.
    ``bounds``: the limits that what stands is held to, where these are not the settings of the moment.
    """

    rng: random.Random
    chosen: Settings
    exchange: Exchange
    state: State
    now: int = 1_000_000
    slot: int = 1_000
    flying: list[Flying] = field(default_factory=list)
    news: list[tuple[int, AnyEvent]] = field(default_factory=list)
    told: dict[int, WalletView] = field(default_factory=dict)
    past: list[MarketSeen] = field(default_factory=list)
    reading_due: int = 0
    open_tickets: dict[int, int | None] = field(default_factory=dict)
    seen_slot: int = 0
    finish: Finish | None = None
    tally: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    bounds: Settings | None = None
    outage: bool = False
    frozen_at_end: set[int] = field(default_factory=set)
    landed_at: int = 0
    silent: bool = False
    journal: Journal = field(default_factory=Journal)

    # The engine's side

    def happen(self, event: AnyEvent) -> None:
        """Let the engine decide on an event and check all that must hold then."""
        twin = copy.deepcopy(self.state) if self.rng.random() < 0.1 else None
        before = {ticket: flight.wallet for ticket, flight in self.state.in_flight.items()}
        self.state, approved = decide(self.state, event, self.chosen)
        self.journal.event(event)
        for action in approved.actions:
            self.journal.action(action)
        if twin is not None:
            twin, again = decide(twin, event, self.chosen)
            assert again.actions == approved.actions
            assert again.refusals == approved.refusals
            assert picture(twin) == picture(self.state)
        self.check(event, before, approved)
        invariants.of_approval(approved, self.state, self.chosen)
        self.send(approved.actions)
        self.whatever_lands()

    def check(self, event: AnyEvent, before: dict[int, int | None], approved: Approved) -> None:
        assert all(refusal.reason for refusal in approved.refusals)
        self.tally.update(refusal.reason for refusal in approved.refusals)
        if isinstance(event, MarketSeen):
            self.seen_slot = max(self.seen_slot, int(event.slot))
        elif isinstance(event, BundleResolved):
            for ticket in event.tickets:
                self.open_tickets[ticket] = int(event.slot)
        landed = [t for t, slot in self.open_tickets.items() if slot is not None and slot <= self.seen_slot]
        for ticket in landed:
            del self.open_tickets[ticket]
        for action in approved.actions:
            if isinstance(action, Sent):
                assert action.ticket not in self.open_tickets
                self.open_tickets[action.ticket] = None
            if isinstance(action, Execute):
                assert action.cancels or action.places
                others = [w for ticket, w in before.items() if ticket in self.state.in_flight]
                assert not action.places or action.wallet not in others
                assert not action.places or self.state.phase is Phase.QUOTING
        assert set(self.state.in_flight) == set(self.open_tickets)

    def send(self, actions: Sequence[AnyAction]) -> None:
        """Put actions into bundles, with a fate each."""
        for bundle in self.bundles([action for action in actions if isinstance(action, Sent)]):
            fate = self.rng.random()
            if fate < 0.05 and not self.calm:
                self.resolve(bundle, Outcome.FAILED if fate < 0.03 else Outcome.UNSENT)
            else:
                lost = (fate < 0.2 or self.outage) and not self.calm
                self.flying.append(Flying(bundle, self.now + self.rng.randint(100, 20_000), lost))
        for action in actions:
            if isinstance(action, Report):
                self.tally[action.name] += 1
            elif isinstance(action, Finish):
                self.finish = action
                self.frozen_at_end = {w for w, view in self.state.views.items() if view.frozen}
                self.silent = self.now - self.landed_at >= int(SETTLING_PATIENCE)

    def bundles(self, work: Sequence[Sent]) -> Iterator[tuple[Sent, ...]]:
        """Cut work into bundles of a few."""
        while work:
            size = self.rng.randint(1, 3)
            yield tuple(work[:size])
            work = work[size:]

    # The chain's side

    def pass_time(self, most: int) -> None:
        """Let time pass; whatever is due happens in the order it is due."""
        end = self.now + self.rng.randint(1, most)
        while True:
            due = min([flight.due for flight in self.flying] + [at for at, _ in self.news], default=end + 1)
            if due > end:
                break
            self.now = max(self.now, due)
            self.slot = max(self.slot, self.now // 400)
            self.land_one(due)
            for at, event in [entry for entry in self.news if entry[0] <= self.now]:
                self.news.remove((at, event))
                self.happen(msgspec.structs.replace(event, at=Millis(self.now)))
        self.now = end
        self.slot = max(self.slot, self.now // 400)

    def land_one(self, due: int) -> None:
        for flight in [each for each in self.flying if each.due <= due]:
            self.flying.remove(flight)
            if flight.lost:
                self.resolve(flight.actions, Outcome.EXPIRED)
                continue
            saved = copy.deepcopy(self.exchange)
            try:
                for action in flight.actions:
                    self.carry_out(action)
            except TransactionFailedError:
                self.exchange = saved
                self.resolve(flight.actions, Outcome.FAILED)
            else:
                # Who is asked may follow a fork that dies, and know nothing of it.
                denied = not self.calm and self.rng.random() < 0.05
                self.resolve(flight.actions, Outcome.EXPIRED if denied else Outcome.LANDED)
                self.tally["denied"] += denied
            self.whatever_lands()

    def carry_out(self, action: Sent) -> None:
        self.slot += self.rng.randint(0, 1)
        if isinstance(action, Execute):
            self.exchange.execute(action)
            self.tally["executed"] += 1
        elif isinstance(action, Prepare):
            self.exchange.prepare(action)
        elif isinstance(action, Crank):
            self.exchange.crank(action, self.rng)
        else:
            self.exchange.settle(action)

    def resolve(self, actions: Sequence[Sent], outcome: Outcome) -> None:
        """Let the engine hear of a bundle's end, soon or late, before or after a reading shows it."""
        delay = 1 if self.calm else self.rng.choice([1, 500, 3_000, 15_000])
        event = BundleResolved(
            at=Millis(self.now),
            bundle_id=f"b{actions[0].ticket}",
            tickets=tuple(action.ticket for action in actions),
            outcome=outcome,
            slot=Slot(self.slot) if outcome in (Outcome.LANDED, Outcome.EXPIRED) else Slot(0),
            cost=BundleCost(Lamports(5_000), Lamports(10_000)),
            reason="" if outcome is Outcome.LANDED else "weather",
        )
        self.tally[outcome.value] += 1
        self.landed_at = self.now if outcome is Outcome.LANDED else self.landed_at
        self.news.append((self.now + delay, event))

    def look(self) -> None:
        """Read the chain; the engine gets it now or somewhat later, but never before an earlier one."""
        views = {wallet: self.exchange.view(wallet) for wallet in range(len(self.exchange.accounts))}
        changed = tuple(view for wallet, view in views.items() if self.told.get(wallet) != view)
        self.told = views
        seen = MarketSeen(
            at=Millis(self.now),
            slot=Slot(self.slot),
            book=self.exchange.foreign(),
            wallets=changed,
            trades=tuple(self.exchange.trades),
            fills=tuple(self.exchange.fills),
            queue_count=len(self.exchange.queue),
            own_pending=len(self.exchange.queue),
        )
        self.exchange.trades, self.exchange.fills = [], []
        self.tally["fills"] += len(seen.fills)
        self.slot += 1
        self.reading_due = max(
            self.reading_due, self.now + (1 if self.calm else self.rng.choice([1, 300, 4_000]))
        )
        self.news.append((self.reading_due, seen))
        self.past.append(msgspec.structs.replace(seen, trades=(), fills=()))

    def stir(self) -> None:
        """Let the rest of the world do something."""
        rng, exchange = self.rng, self.exchange
        middle = MIDDLE * rng.choice([90, 97, 99, 100, 100, 100, 101, 103, 110, 150, 60]) // 100
        kind = rng.random()
        if kind < 0.35:
            side = rng.choice(list(Side))
            reach = rng.choice([1, 3, 30, 300])
            price = middle + reach * 10 if side is Side.BID else max(1, middle - reach * 10)
            exchange.take(side, price, rng.choice([1, 50, 2_000, 100_000]), Millis(self.now))
        elif kind < 0.75:
            side = rng.choice(list(Side))
            away = rng.choice([5, 50, 500])
            exchange.rest(
                side, max(1, middle - away if side is Side.BID else middle + away), rng.randint(1, 5_000)
            )
        elif kind < 0.9:
            exchange.leave(rng)
        else:
            for _ in range(rng.randint(1, 12)):
                side = rng.choice(list(Side))
                exchange.rest(side, MIDDLE - 900 if side is Side.BID else MIDDLE + 900, 1)
        exchange.check()

    def whatever_lands(self) -> None:
        """Assert the invariants over what stands and all that flies, which may land in any order or never."""
        flying = [
            action for flight in self.flying for action in flight.actions if isinstance(action, Execute)
        ]
        invariants.of_world(self.exchange, flying, self.bounds or self.chosen)

    def misfortune(self) -> None:
        """Freeze or thaw a wallet, let its placements fail or pass, begin or end an outage."""
        account = self.rng.choice(self.exchange.accounts)
        kind = self.rng.random()
        if kind < 0.3:
            account.frozen = not account.frozen and self.rng.random() < 0.5
        elif kind < 0.7:
            account.rejected = not account.rejected
        else:
            self.outage = not self.outage and self.rng.random() < 0.5

    def mend(self) -> None:
        """End every misfortune but that bundles get lost now and then."""
        self.outage = False
        for account in self.exchange.accounts:
            account.frozen = account.rejected = False

    def step(self) -> None:
        kind = self.rng.random()
        if kind < 0.35:
            self.stir()
        elif kind < 0.7:
            self.look()
        elif kind < 0.72:
            self.happen(FeedLost(at=Millis(self.now), reason="weather"))
        elif kind < 0.75 and (stale := [seen for seen in self.past if int(seen.slot) < self.seen_slot]):
            self.happen(msgspec.structs.replace(self.rng.choice(stale), at=Millis(self.now)))
        elif kind < 0.78:
            self.misfortune()
        else:
            self.happen(Tick(at=Millis(self.now), slot=Slot(self.slot)))
        self.pass_time(self.rng.choice([10, 500, 5_000, 5_000, 5_000, 60_000, 1_200_000]))

    def halt(self) -> None:
        """Ask to stop and wait; from now on nothing gets lost, as nothing can end while everything does."""
        self.calm = True
        self.mend()
        for flight in self.flying:
            flight.lost = flight.lost and self.rng.random() < 0.5
        self.happen(HaltRequested(at=Millis(self.now), reason="enough"))
        for _ in range(80):
            self.look()
            self.pass_time(30_000)
            if self.finish is not None:
                return
        raise AssertionError(f"the engine never ended: {self.state.in_flight}")


def new_world(seed: int) -> World:
    """Return a world of a size, settings and riches that follow from its seed."""
    rng = random.Random(f"decide {seed}")
    chosen = settings(
        ORDERS_PER_WALLET=rng.randint(2, 16),
        SIZE_TOLERANCE_PCT=rng.choice([0, 25]),
        REF_NOTIONAL_SOL=rng.choice([0.01, 1]),
        PRICE_CONFIRM_S=rng.choice([1, 30]),
        MAX_PRICE_JUMP_PCT=rng.choice([5, 20]),
        EVICT_BACKOFF=rng.choice(["1s", "1min"]),
        REBALANCE_THRESHOLD_PCT=rng.choice(["0.2", "1"]),
        TOPUP_MIN_INTERVAL=rng.choice(["1s", "15min"]),
        INSIDE_SPREAD_PCT="1",
        MIN_SPREAD_PCT=rng.choice(["0.05", "0.5"]),
        DAILY_COST_BUDGET_SOL=rng.choice(["0.0005", "5"]),
        SEED_PRICE=200_000,
        MAX_PRICE=rng.choice([0, 203_000]),
        MIN_PRICE=rng.choice([0, 195_000]),
        PRICE_BAND_PCT=rng.choice([0, 30]),
        MAX_ORDER_SOL=rng.choice([0, "0.5"]),
        MAX_BID_EXPOSURE_SOL=rng.choice([0, 5]),
        MAX_ASK_EXPOSURE_SOL=rng.choice([0, 5]),
        MAX_WALLET_EXPOSURE_SOL=rng.choice([0, 3]),
        STALE_WITHDRAW_AFTER=rng.choice(["1min", "1h"]),
        DRAWDOWN_WIDEN_PCT=1,
        DRAWDOWN_ONE_SIDE_PCT=rng.choice([2, 100]),
        DRAWDOWN_HALT_PCT=100,
        WALLET_MAX_FAILURES=2,
        WALLET_REST="1min",
        FAILED_CYCLES_HALT=rng.choice(["2h", "30d"]),
        MAX_FAILED_CYCLES=rng.choice([2, 5]),
        SEED_DAILY_VOLUME="1000",
    )
    rooms = rng.choice([6, 20, 200]), rng.choice([6, 20, 200])
    spec = market(*rooms, events=rng.choice([40, 2_978]))
    accounts = [
        Account(
            gas=rng.randint(SOL // 10, 20 * SOL),
            quote_held=rng.choice([0, SOL, 50 * SOL]),
            base_held=rng.choice([0, 100, 1_000_000]),
            ready=rng.random() < 0.5,
        )
        for _ in range(rng.randint(1, 5))
    ]
    exchange = Exchange(spec, accounts, int(chosen.orders_per_wallet))
    state = new_state(spec, len(accounts), Millis(1_000_000))
    return World(rng, chosen, exchange, state)


def lived(seed: int, steps: int = STEPS) -> World:
    """Run a world to its end and check that nothing of ours is left in it."""
    world = new_world(seed)
    for _ in range(steps):
        world.step()
    world.halt()
    assert world.finish is not None
    assert not world.exchange.own()
    owed = set()
    for wallet, account in enumerate(world.exchange.accounts):
        if account.quote_free or account.base_free or account.quote_waiting or account.base_waiting:
            owed.add(wallet)
    assert owed <= world.frozen_at_end or world.silent
    assert world.finish.clean <= (not owed)
    assert world.finish.clean or owed or world.silent
    assert world.state.phase is Phase.DONE
    return world
