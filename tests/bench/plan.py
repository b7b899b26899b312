"""One decision over a large swarm: share the ladder out, diff it with the book, pass the limits.

3,200 orders of 100 wallets stand; the ladder has moved on, so that about a twelfth of it is wanted elsewhere.
The baseline does the same with lists instead of look-ups: it scans a wallet's orders for every quote, and the
standing orders once per wallet. ``unchanged_ms`` is ours when nothing has moved, which most decisions find.
"""

from collections.abc import Callable, Sequence

from bmv.config import Settings
from bmv.core.allocation import assign
from bmv.core.limits import approve
from bmv.core.plan import Plan, cancel_of, diff
from bmv.core.state import Phase, State, new_state
from bmv.events import AnyAction, Execute
from bmv.model import Level, LiveOrder, MarketSpec, Placement, Quote, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks
from tests.bench._timing import best_times

WALLETS, PER_WALLET = 100, 32
LEVELS = WALLETS * PER_WALLET // 2
MOVED = 130
MIDDLE = 100_000
ROUNDS = 15
SETTINGS = Settings()
SPEC = MarketSpec("market", "mint", 9, 9, 1_000_000_000, 1_000, 4_000, 4_000, 9_000)


def run() -> dict[str, object]:
    """Time both ways in turns on the same world; return the best of each, in milliseconds."""
    views = standing()
    state = quoting(views)
    there, moved = ladder(0), ladder(MOVED)
    ours_plan, plain = decided(moved, views, state), decided_plainly(moved, views, state)
    if ours_plan != plain:
        raise AssertionError("the two ways disagree")
    ways: list[Callable[[], object]] = [
        lambda: decided_plainly(moved, views, state),
        lambda: decided(moved, views, state),
        lambda: decided(there, views, state),
    ]
    baseline, ours, unchanged = (seconds * 1e3 for seconds in best_times(ways, ROUNDS))
    return {
        "bench": "plan_and_diff",
        "orders": WALLETS * PER_WALLET,
        "changes": ours_plan[1],
        "baseline_ms": round(baseline, 2),
        "ours_ms": round(ours, 2),
        "unchanged_ms": round(unchanged, 2),
        "ratio": round(baseline / ours, 2),
    }


def ladder(moved: int) -> list[Level]:
    """Return the ladder after its price went up by ``moved`` levels."""
    bids = [level(Side.BID, MIDDLE + moved - n) for n in range(1, LEVELS + 1)]
    return bids + [level(Side.ASK, MIDDLE + moved + n) for n in range(LEVELS)]


def level(side: Side, price: int) -> Level:
    return Level(side, price, Ticks(price), BaseLots(1_000))


def standing() -> list[WalletView]:
    """Return the wallets with the unmoved ladder standing, shared out as ours does it."""
    empty = [wallet(index, []) for index in range(WALLETS)]
    quotes, waiting = assign(ladder(0), empty, SPEC, SETTINGS)
    if waiting:
        raise AssertionError("the ladder does not fit the wallets")
    orders: list[list[LiveOrder]] = [[] for _ in range(WALLETS)]
    for number, quote in enumerate(quotes):
        own = orders[quote.wallet]
        own.append(LiveOrder(quote.wallet, quote.side, quote.price, quote.size, number, len(own) + 1))
    return [wallet(index, own) for index, own in enumerate(orders)]


def wallet(index: int, orders: Sequence[LiveOrder]) -> WalletView:
    return WalletView(
        wallet=index,
        gas=Lamports(10**9),
        quote_held=Lamports(10**13),
        quote_free=Lamports(0),
        quote_locked=Lamports(0),
        base_held=BaseAtoms(10**15),
        base_free=BaseAtoms(0),
        base_locked=BaseAtoms(0),
        rent=Lamports(0),
        rebates=Lamports(0),
        order_slots=128 - len(orders),
        ready=True,
        orders=tuple(orders),
    )


def quoting(views: Sequence[WalletView]) -> State:
    state = new_state(SPEC, WALLETS, Millis(1))
    state.phase, state.feed_up, state.seen = Phase.QUOTING, True, Slot(1)
    state.seen_at = state.now
    state.views = {view.wallet: view for view in views}
    return state


def executes(plan: Plan) -> list[AnyAction]:
    return [
        Execute(ticket, change.wallet, tuple(change.cancels), tuple(change.places))
        for ticket, change in enumerate(plan.wallets)
    ]


def decided(levels: Sequence[Level], views: Sequence[WalletView], state: State) -> tuple[int, int]:
    """Decide our way; return how many orders are kept and how many changes pass."""
    quotes, _ = assign(levels, views, SPEC, SETTINGS)
    plan = diff(quotes, views, {}, SETTINGS)
    return plan.kept, changes(approve(executes(plan), state, SETTINGS).actions)


def changes(actions: Sequence[AnyAction]) -> int:
    return sum(len(a.cancels) + len(a.places) for a in actions if isinstance(a, Execute))


def decided_plainly(levels: Sequence[Level], views: Sequence[WalletView], state: State) -> tuple[int, int]:
    """Decide with linear scans; the shares come from ``assign``, as they are no matter of look-ups."""
    quotes, _ = assign(levels, views, SPEC, SETTINGS)
    kept = 0
    actions: list[AnyAction] = []
    for view in views:
        mine = [quote for quote in quotes if quote.wallet == view.wallet]
        found = [(quote, order) for quote in mine for order in view.orders if same(quote, order)]
        kept += len(found)
        keeping = [order for _, order in found]
        cancels = [cancel_of(order) for order in view.orders if order not in keeping][:24]
        taken = [o.client_id for o in view.orders if not any(c.order_id == o.order_id for c in cancels)]
        places: list[Placement] = []
        for quote in mine:
            placed = any(quote is wanted for wanted, _ in found)
            if not placed and len(places) < 24 and not meets(quote, views):
                client_id = next(n for n in range(1, 129) if n not in taken)
                taken.append(client_id)
                places.append(
                    Placement(view.wallet, quote.side, quote.point, quote.price, quote.size, client_id)
                )
        if cancels or places:
            actions.append(Execute(len(actions), view.wallet, tuple(cancels), tuple(places)))
    return kept, changes(approve(actions, state, SETTINGS).actions)


def same(quote: Quote, order: LiveOrder) -> bool:
    return (quote.side, quote.price) == (order.side, order.price)


def meets(quote: Quote, views: Sequence[WalletView]) -> bool:
    """Say whether a quote would meet an order of ours that stands."""
    if quote.side is Side.BID:
        return any(o.side is Side.ASK and o.price <= quote.price for view in views for o in view.orders)
    return any(o.side is Side.BID and o.price >= quote.price for view in views for o in view.orders)
