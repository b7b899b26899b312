"""Rent back as values: what is asked for, reading by reading, and what is left alone."""

import msgspec
import pytest

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.halting import halting
from bmv.core.rent import (
    AGAIN_SLOTS,
    MAX_ACCOUNTS,
    MAX_CANCELS,
    MOST_TRIES,
    RENT,
    REST_SLOTS,
    closings,
    rent_step,
    withdrawals,
)
from bmv.core.state import InFlight, Job, Phase, State
from bmv.events import CloseAccounts, Finish, MarketSeen, Reclaim, RentAction, Report, Withdraw
from bmv.model import ForeignBook, Leftover, Side
from bmv.units import BaseAtoms, Lamports, Slot
from tests.core.belongings import START, order, quoting_state, wallet

SETTINGS, CLOSING = Settings(), Settings.model_validate({"CLOSE_ACCOUNTS_AT_HALT": "on"})
RENT_LAMPORTS = Lamports(23_357_760)
CHEAP = Lamports(10_000)


def leftover(name: str, owner: int = 0, **fields: object) -> Leftover:
    """Return a left-over OpenOrders account, empty unless said otherwise."""
    return msgspec.structs.replace(Leftover(name, owner, RENT_LAMPORTS), **fields)


def quoting(*leftovers: Leftover) -> State:
    """Return a state with two wallets and these accounts in view."""
    state = quoting_state([wallet(0), wallet(1)])
    state.leftovers, state.last_tip, state.seen = leftovers, CHEAP, Slot(1_000)
    return state


def asked(state: State, settings: Settings = SETTINGS) -> RentAction | None:
    """Return the next step, put in flight."""
    found = rent_step(state, settings)
    assert len(found) <= 1
    for action in found:
        state.in_flight[action.ticket] = InFlight(action.ticket, action, None, START)
    return found[0] if found else None


def test_nothing_left_over_asks_for_nothing() -> None:
    state = quoting()
    assert asked(state) is None
    assert state.jobs == {}


def test_orders_are_withdrawn_before_anything_is_closed_and_one_step_at_a_time() -> None:
    orders = tuple(order(0, Side.BID, 90 + n, 10) for n in range(MAX_CANCELS + 3))
    state = quoting(leftover("a", orders=orders, idle=False), leftover("b"))
    step = asked(state)
    assert isinstance(step, Withdraw)
    assert (step.account, step.orders) == ("a", orders[:MAX_CANCELS])
    assert asked(state) is None
    del state.in_flight[step.ticket]
    state.leftovers = (leftover("a", orders=orders[MAX_CANCELS:], idle=False), leftover("b"))
    second = asked(state)
    assert isinstance(second, Withdraw)
    assert second.orders == orders[MAX_CANCELS:]


def test_what_waits_for_a_crank_is_left_alone() -> None:
    assert asked(quoting(leftover("a", idle=False))) is None


def test_one_wallets_accounts_are_closed_together_so_many_at_a_time() -> None:
    many = [leftover(str(n), n % 2) for n in range(2 * MAX_ACCOUNTS + 2)]
    step = asked(quoting(*many))
    assert isinstance(step, Reclaim)
    assert (step.wallet, step.accounts) == (0, tuple(many[: 2 * MAX_ACCOUNTS : 2]))


def test_an_account_that_holds_less_than_closing_it_costs_stays() -> None:
    state = quoting(leftover("a", token=True, lamports=Lamports(2_039_280)))
    state.last_tip = Lamports(2_100_000)
    assert asked(state) is None
    state.last_tip = CHEAP
    assert isinstance(asked(state), Reclaim)


def test_while_no_tip_is_known_the_largest_one_counts() -> None:
    state = quoting(leftover("a", token=True, lamports=Lamports(2_039_280)))
    state.last_tip = None
    assert SETTINGS.jito_tip > Lamports(2_039_280)
    assert asked(state) is None


@pytest.mark.parametrize("change", [{"frozen": True}, {"ready": False}])
def test_funds_are_not_settled_to_accounts_that_cannot_take_them(change: dict[str, bool]) -> None:
    state = quoting(leftover("a", quote=Lamports(5)), leftover("b"))
    state.views[0] = msgspec.structs.replace(state.views[0], **change)
    step = asked(state)
    assert isinstance(step, Reclaim)
    assert [one.address for one in step.accounts] == ["b"]


def test_a_step_that_came_to_nothing_rests() -> None:
    state = quoting(leftover("a"))
    first = asked(state)
    assert first is not None
    del state.in_flight[first.ticket]
    assert asked(state) is None
    assert state.jobs[RENT].deadline == state.seen + REST_SLOTS
    state.seen += REST_SLOTS
    assert isinstance(asked(state), Reclaim)


def test_what_came_back_is_told_as_the_chain_shows_it() -> None:
    one = leftover("a", quote=Lamports(7), base=BaseAtoms(3))
    state = quoting(one)
    event = MarketSeen(at=START, slot=Slot(1_001), book=ForeignBook(), leftovers=(), reclaimed=(one,))
    reports = [each for each in absorb(state, event, SETTINGS) if isinstance(each, Report)]
    told = Report("RENT_RECLAIM", {"wallet": 0, "lamports": int(RENT_LAMPORTS), "account": "a"})
    assert told in reports
    assert state.leftovers == ()


def ending() -> State:
    """Return a state that has nothing left but the accounts."""
    state = quoting()
    state.phase, state.halt_reason, state.halt.cancelled = Phase.HALTING, "enough", True
    return state


def test_a_halt_withdraws_what_left_over_accounts_have_on_the_book() -> None:
    state = ending()
    state.leftovers = (leftover("a", orders=(order(0, Side.ASK, 120, 1),), idle=False),)
    (action,) = halting(state, SETTINGS)
    assert isinstance(action, Withdraw)
    state.in_flight[action.ticket] = InFlight(action.ticket, action, None, START)
    assert halting(state, SETTINGS) == []
    state.in_flight.clear()
    state.slot += AGAIN_SLOTS
    assert [type(each) for each in halting(state, SETTINGS)] == [Withdraw]
    state.leftovers = (leftover("a"),)
    assert halting(state, SETTINGS) == [Finish(True, "enough")]


def test_a_halt_withdraws_the_same_orders_again_after_some_slots_and_others_at_once() -> None:
    state = ending()
    state.slot = Slot(1_000)
    state.leftovers = (leftover("a", orders=(order(0, Side.ASK, 120, 1),), idle=False),)
    assert len(withdrawals(state)) == 1
    for slot in range(1_000, 1_000 + int(AGAIN_SLOTS)):
        state.slot = Slot(slot)
        assert withdrawals(state) == [], "nothing is in flight: it has failed at once"
    state.slot = Slot(1_000 + int(AGAIN_SLOTS))
    assert len(withdrawals(state)) == 1
    state.leftovers = (leftover("b", orders=(order(0, Side.ASK, 121, 1, order_id=77),), idle=False),)
    assert [action.account for action in withdrawals(state) if isinstance(action, Withdraw)] == ["b"]


def test_a_halt_does_not_wait_for_what_rested_before_it() -> None:
    state = ending()
    state.leftovers = (leftover("a", orders=(order(0, Side.ASK, 120, 1),), idle=False),)
    state.slot = Slot(1_000)
    assert len(withdrawals(state)) == 1
    job = state.jobs["rent"]
    state.jobs["rent"] = Job("resting", job.subject, 0, Slot(9_999))
    assert len(withdrawals(state)) == 1


def test_accounts_stay_open_at_a_halt_unless_wanted_otherwise() -> None:
    assert closings(ending(), SETTINGS) == []
    assert halting(ending(), SETTINGS) == [Finish(True, "enough")]


def test_at_the_end_of_a_halt_accounts_are_closed_and_tried_a_few_times() -> None:
    state = ending()
    state.views[1] = msgspec.structs.replace(state.views[1], base_held=BaseAtoms(0))
    for _ in range(MOST_TRIES):
        actions = halting(state, CLOSING)
        assert [replace_ticket(each) for each in actions] == [
            CloseAccounts(0, 0, False),
            CloseAccounts(0, 1, True),
        ]
    *told, finish = halting(state, CLOSING)
    assert [report.fields["wallet"] for report in told if isinstance(report, Report)] == [0, 1]
    assert finish == Finish(False, "enough"), "somebody wanted them closed"


def replace_ticket(action: object) -> object:
    """Return an action as if its ticket were 0."""
    assert isinstance(action, CloseAccounts)
    return msgspec.structs.replace(action, ticket=0)
