"""One decision: a trigger that moves the whole ladder, and an event that changes nothing.

A ladder stands as the engine itself built it. The trigger is a reading with trades 1.5 % higher: P, pivot and
channel follow, the ladder is built, shared out, diffed and approved. The baseline builds and matches the same
number of levels the way bots usually do: one ``Decimal`` price and size per level, and for every level a scan
of its wallet's orders. ``peak_kib`` is what the trigger allocates at most (tracemalloc).
"""

import copy
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.state import State, new_state
from bmv.events import AnyAction, AnyEvent, BundleResolved, Execute, MarketSeen
from bmv.model import ForeignBook, LiveOrder, MarketSpec, Outcome, Side, Trade, WalletView
from bmv.units import BaseLots, Millis, Slot, Ticks
from tests.bench.plan import wallet

SIZES = (100, 800, 3_200)
PER_WALLET = 32
PRICE = 1_000_000
MOVED = PRICE * 1_015 // 1_000
ROUNDS = 15
QUIET_CALLS = 2_000
START = Millis(1_000_000_000)
SPEC = MarketSpec("market", "mint", 9, 9, 1_000_000, 1_000, 4_000, 4_000, 9_000)
SETTINGS = Settings()
MOST_READINGS = 60


class Desk:
    """An engine's state with a world in which every change lands at once."""

    def __init__(self, wallets: int) -> None:
        self.state: State = new_state(SPEC, wallets, START)
        self.views = [wallet(index, []) for index in range(wallets)]
        self.slot = 1

    def settle_in(self) -> None:
        """Let the first ladder come to stand; AssertionError where it never does."""
        news = list(self.decided(self.reading(PRICE, tuple(self.views))))
        for _ in range(MOST_READINGS):
            changes = [action for action in news if isinstance(action, Execute)]
            for change in changes:
                self.land(change)
            self.slot += 1
            tickets = tuple(change.ticket for change in changes)
            landed = BundleResolved(at=self.now, bundle_id="b", tickets=tickets, outcome=Outcome.LANDED)
            news = [*self.decided(landed), *self.decided(self.reading(None, tuple(self.views)))]
            if not changes and not news:
                return
        raise AssertionError("the ladder never came to stand")

    @property
    def now(self) -> Millis:
        return START + Millis(400 * self.slot)

    def reading(self, price: int | None, views: tuple[WalletView, ...] = ()) -> MarketSeen:
        """Return a reading; ``price`` is where somebody traded a lot since the last one."""
        size = BaseLots(int(SETTINGS.ref_notional) // (PRICE * SPEC.quote_lot_size) * 2)
        trades = (Trade(self.slot, self.now, Ticks(price), size, Side.BID, own=False),) if price else ()
        return MarketSeen(at=self.now, slot=Slot(self.slot), book=ForeignBook(), wallets=views, trades=trades)

    def decided(self, event: AnyEvent) -> Sequence[AnyAction]:
        self.state, approved = decide(self.state, event, SETTINGS)
        return approved.actions

    def land(self, change: Execute) -> None:
        """Let a change come to stand in its wallet."""
        view = self.views[change.wallet]
        leaving = {cancel.order_id for cancel in change.cancels}
        orders = [order for order in view.orders if order.order_id not in leaving]
        orders += [
            LiveOrder(p.wallet, p.side, p.price, p.size, self.slot << 16 | p.client_id, p.client_id)
            for p in change.places
        ]
        self.views[change.wallet] = msgspec.structs.replace(view, orders=tuple(orders))


def run() -> dict[str, object]:
    """Time trigger and quiet event for each size; medians in milliseconds and microseconds."""
    found: dict[str, object] = {"bench": "decide"}
    for levels in SIZES:
        desk = Desk(levels // PER_WALLET + (levels % PER_WALLET > 0))
        desk.settle_in()
        standing = sum(len(view.orders) for view in desk.views)
        desk.slot += 1
        trigger, changes = timed_trigger(desk)
        baseline = statistics.median(timed_plainly(desk) for _ in range(ROUNDS))
        found[str(levels)] = {
            "standing": standing,
            "changes": changes,
            "baseline_ms": round(baseline, 2),
            "trigger_ms": round(trigger, 2),
            "ratio": round(baseline / trigger, 2),
            "nothing_us": round(timed_quiet(desk), 2),
            "peak_kib": peak_kib(desk),
        }
    return found


def timed_trigger(desk: Desk) -> tuple[float, int]:
    """Return the median time of the trigger in milliseconds, and how many orders it changes."""
    event, times, changes = desk.reading(MOVED), [], 0
    for _ in range(ROUNDS):
        twin = copy.deepcopy(desk.state)
        began = time.perf_counter()
        _, approved = decide(twin, event, SETTINGS)
        times.append((time.perf_counter() - began) * 1e3)
        executes = [action for action in approved.actions if isinstance(action, Execute)]
        changes = sum(len(change.cancels) + len(change.places) for change in executes)
    if not changes:
        raise AssertionError("the trigger changed nothing")
    return statistics.median(times), changes


def timed_quiet(desk: Desk) -> float:
    """Return the median time in microseconds of a reading in which nothing has changed."""
    event, times = desk.reading(None), []
    for _ in range(QUIET_CALLS):
        began = time.perf_counter()
        desk.state, approved = decide(desk.state, event, SETTINGS)
        times.append((time.perf_counter() - began) * 1e6)
        if approved.actions:
            raise AssertionError("nothing has changed, yet something was asked for")
    return statistics.median(times)


def peak_kib(desk: Desk) -> int:
    """Return the most that one trigger allocates, in KiB."""
    twin = copy.deepcopy(desk.state)
    tracemalloc.start()
    decide(twin, desk.reading(MOVED), SETTINGS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak // 1024


def timed_plainly(desk: Desk) -> float:
    """Return how long building and matching takes with Decimals and scans, in milliseconds."""
    began = time.perf_counter()
    missing = [
        quote
        for view in desk.views
        for quote in plain_ladder(MOVED, len(view.orders))
        if not any((order.side, int(order.price)) == quote[:2] for order in view.orders)
    ]
    taken = (time.perf_counter() - began) * 1e3
    if not missing:
        raise AssertionError("the moved ladder cannot stand already")
    return taken


def plain_ladder(price: int, levels: int) -> list[tuple[Side, int, int]]:
    """Return (side, ticks, lots) of an exponential ladder around ``price``."""
    rows: list[tuple[Side, int, int]] = []
    weights = [Decimal(8) ** (Decimal(n) / levels) for n in range(levels)]
    whole = sum(weights)
    for n, weight in enumerate(weights):
        side = Side.BID if n % 2 else Side.ASK
        percent = Decimal(-15 if side is Side.BID else 30) * n / levels
        ticks = Decimal(price) * (1 + percent / 100)
        rows.append((side, int(ticks), int(Decimal(10**13) * weight / whole / ticks / SPEC.quote_lot_size)))
    return rows
