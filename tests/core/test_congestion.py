"""What fills up without a crank is told, and nothing is sent that could not be taken in."""

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.congestion import LOW_SLOTS, fitting, queue_room
from bmv.core.decide import decide
from bmv.core.halting import halting
from bmv.core.plan import WalletPlan, cancel_of
from bmv.core.state import InFlight, Phase, State
from bmv.events import Crank, Execute, MarketSeen, Report
from bmv.model import ForeignBook, Placement, Side, WalletView
from bmv.units import BaseLots, Slot, Ticks
from tests.core.belongings import START, market, order, quoting_state, wallet

CAPACITY = 128


def state_with(queue: int, *views: WalletView) -> State:
    state = quoting_state(views or [wallet(0)], spec=market(events=CAPACITY))
    state.queue_count = queue
    return state


def names(state: State, queue: int, *views: WalletView, closed: str = "") -> list[str]:
    event = MarketSeen(
        at=START,
        slot=Slot(200),
        book=ForeignBook(),
        queue_count=queue,
        wallets=views,
        closed=closed,
    )
    return [report.name for report in absorb(state, event, Settings()) if isinstance(report, Report)]


def change(wallet_index: int, cancels: int, places: int) -> WalletPlan:
    orders = [order(wallet_index, Side.BID, 10 + n, 1) for n in range(cancels)]
    placed = [Placement(wallet_index, Side.ASK, 1, Ticks(100 + n), BaseLots(1), n) for n in range(places)]
    return WalletPlan(wallet_index, [cancel_of(one) for one in orders], placed)


def test_a_queue_that_becomes_full_is_told_once() -> None:
    state = state_with(10)
    assert names(state, CAPACITY - 1) == ["EVENT_QUEUE_FULL"]
    assert names(state, CAPACITY) == []
    assert names(state, 5) == []
    assert names(state, CAPACITY) == ["EVENT_QUEUE_FULL"]


def test_changes_are_sent_as_far_as_their_events_fit_beside_what_flies() -> None:
    state = state_with(CAPACITY - 30)
    assert queue_room(state) == 30
    changes = [change(0, 5, 5), change(1, 20, 5), change(2, 8, 8)]
    assert [one.wallet for one in fitting(changes, state)] == [0, 2]
    flying = Execute(4, 0, tuple(changes[0].cancels), tuple(changes[0].places))
    state.in_flight[4] = InFlight(4, flying, 0, START)
    assert [one.wallet for one in fitting(changes[1:], state)] == [2]


def test_a_full_queue_is_cranked_before_anything_is_withdrawn() -> None:
    live = order(0, Side.BID, 90, 10)
    state = state_with(CAPACITY, wallet(0, orders=[live]))
    state.phase = Phase.HALTING
    (action,) = halting(state, Settings())
    assert isinstance(action, Crank)
    state.in_flight[action.ticket] = InFlight(action.ticket, action, None, START)
    assert halting(state, Settings()) == []
    state.in_flight.clear()
    state.queue_count = 0
    assert [type(action) for action in halting(state, Settings())] == [Execute]


def test_low_slots_are_told_once_for_each_wallet() -> None:
    full = wallet(0)
    state = state_with(0, full)
    assert names(state, 0, wallet(0, slots=LOW_SLOTS - 1)) == ["WALLET_SLOTS_LOW"]
    assert names(state, 0, wallet(0, slots=LOW_SLOTS - 2)) == []


def test_a_market_that_closes_halts_the_engine_with_the_reason() -> None:
    state = state_with(0)
    assert names(state, 0, closed="the market has been disabled by its authority") == ["KILL_SWITCH"]
    assert (state.phase, state.halt_reason) == (
        Phase.HALTING,
        "the market has been disabled by its authority",
    )
    event = MarketSeen(at=START, slot=Slot(201), book=ForeignBook(), closed="closed")
    _, approved = decide(state, event, Settings())
    assert not any(isinstance(action, Execute) and action.places for action in approved.actions)
