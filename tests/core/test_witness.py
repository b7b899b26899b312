"""Balances must be what fills say; what disagrees is told once it cannot be explained any more."""

import msgspec
import pytest

from bmv.core.absorb import absorb
from bmv.core.state import InFlight, State
from bmv.events import EventsFound, Execute, MarketSeen, Prepare, Report
from bmv.model import Fill, ForeignBook, LiveOrder, Placement, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Slot, Ticks
from tests.core.belongings import BASE_LOT, QUOTE_LOT, START, order, quote, quoting_state, settings, wallet

SETTINGS = settings()
REBATE = 17


def fill(live: LiveOrder, size: int, *, maker: bool = True) -> Fill:
    return Fill(
        seq=1,
        at=START,
        wallet=live.wallet,
        side=live.side,
        price=live.price,
        size=BaseLots(size),
        maker=maker,
        rebate=Lamports(REBATE if maker else 0),
        fee=Lamports(0 if maker else REBATE),
        order_id=live.order_id,
        client_id=live.client_id,
    )


def gained(view: WalletView, base: int, quote: int) -> WalletView:
    """Return a wallet after its totals changed by so many atoms and lamports."""
    return msgspec.structs.replace(
        view, base_free=view.base_free + BaseAtoms(base), quote_free=view.quote_free + Lamports(quote)
    )


def seen(slot: int, view: WalletView, *fills: Fill, missed: int = 0, torn: bool = False) -> MarketSeen:
    return MarketSeen(
        at=START,
        slot=Slot(slot),
        book=ForeignBook(),
        wallets=(view,),
        fills=fills,
        events_missed=missed,
        torn=torn,
    )


def told(state: State, event: MarketSeen | EventsFound) -> list[dict[str, str | int]]:
    reports = [report for report in absorb(state, event, SETTINGS) if isinstance(report, Report)]
    return [report.fields for report in reports if report.name == "FILLS_DISAGREE"]


@pytest.mark.parametrize("side", list(Side))
def test_what_a_fill_says_is_what_the_totals_gain(side: Side) -> None:
    live = order(0, side, 90, 10)
    before = wallet(0, orders=[live])
    sign = 1 if side is Side.BID else -1
    after = gained(before, sign * 4 * BASE_LOT, -sign * 4 * 90 * QUOTE_LOT + REBATE)
    assert told(quoting_state([before]), seen(101, after, fill(live, 4))) == []
    state = quoting_state([before])
    wrong = gained(after, 1, 0)
    assert told(state, seen(101, wrong, fill(live, 4))) == [{"wallet": 0, "base_atoms": 1, "lamports": 0}]
    assert told(state, seen(102, wrong)) == []


def test_a_fill_nobody_told_of_and_one_told_twice_both_show() -> None:
    live = order(0, Side.BID, 90, 10)
    before = wallet(0, orders=[live])
    paid = -4 * 90 * QUOTE_LOT + REBATE
    after = gained(before, 4 * BASE_LOT, paid)
    lost = told(quoting_state([before]), seen(101, after))
    assert lost == [{"wallet": 0, "base_atoms": 4 * BASE_LOT, "lamports": paid}]
    twice = told(quoting_state([before]), seen(101, after, fill(live, 4), fill(live, 4)))
    assert twice == [{"wallet": 0, "base_atoms": -4 * BASE_LOT, "lamports": -paid}]


def test_moving_funds_between_places_is_no_gain() -> None:
    before = wallet(0, orders=[order(0, Side.BID, 90, 10)])
    settled = msgspec.structs.replace(
        before, quote_held=before.quote_held + before.quote_locked, quote_locked=Lamports(0)
    )
    assert told(quoting_state([before]), seen(101, settled)) == []


def test_while_events_are_missing_nothing_is_told_until_they_are_found() -> None:
    live = order(0, Side.ASK, 110, 10)
    before = wallet(0, orders=[live])
    after = gained(before, -3 * BASE_LOT, 3 * 110 * QUOTE_LOT + REBATE)
    state = quoting_state([before])
    assert told(state, seen(101, after, missed=5)) == []
    found = EventsFound(at=START, missed=5, complete=True, fills=(fill(live, 3),))
    assert told(state, found) == []
    state = quoting_state([before])
    told(state, seen(101, after, missed=5))
    lost = EventsFound(at=START, missed=5, complete=False, reason="gone")
    assert [fields["base_atoms"] for fields in told(state, lost)] == [-3 * BASE_LOT]


def test_balances_of_a_later_slot_than_the_books_are_waited_for() -> None:
    live = order(0, Side.ASK, 110, 10)
    before = wallet(0, orders=[live])
    after = gained(before, 0, -5)
    state = quoting_state([before])
    assert told(state, seen(101, after, torn=True)) == []
    assert told(state, seen(102, before)) == []
    assert told(state, seen(103, after, torn=True)) == []
    assert told(state, seen(104, after)) == [{"wallet": 0, "base_atoms": 0, "lamports": -5}]


def test_funds_that_another_change_moves_are_not_held_against_fills() -> None:
    before = wallet(0)
    state = quoting_state([before])
    state.in_flight[1] = InFlight(1, Prepare(1, 0, Lamports(500)), 0, START)
    assert told(state, seen(101, gained(before, 0, 500))) == []
    del state.in_flight[1]
    assert told(state, seen(102, gained(before, 0, 500))) == []


def test_an_order_that_stands_smaller_than_asked_for_is_told_and_wanted_so() -> None:
    live = order(0, Side.BID, 90, 6, order_id=50, client_id=3)
    state = quoting_state([wallet(0)], [quote(0, Side.BID, 90, 10)])
    place = Placement(0, Side.BID, 5, Ticks(90), BaseLots(10), 3)
    state.in_flight[7] = InFlight(7, Execute(7, 0, (), (place,)), 0, START)
    reports = absorb(state, seen(101, wallet(0, orders=[live])), SETTINGS)
    (short,) = [r for r in reports if isinstance(r, Report) and r.name == "ORDER_SHORT"]
    assert (short.fields["size"], short.fields["stands"]) == (10, 6)
    assert [int(wanted.size) for wanted in state.target.quotes] == [6]
    again = absorb(state, seen(102, wallet(0, orders=[live])), SETTINGS)
    assert [r.name for r in again if isinstance(r, Report)] == []


def test_an_order_that_was_filled_on_arrival_is_not_short() -> None:
    live = order(0, Side.BID, 90, 6, order_id=50, client_id=3)
    state = quoting_state([wallet(0)], [quote(0, Side.BID, 90, 10)])
    place = Placement(0, Side.BID, 5, Ticks(90), BaseLots(10), 3)
    state.in_flight[7] = InFlight(7, Execute(7, 0, (), (place,)), 0, START)
    reports = absorb(state, seen(101, wallet(0, orders=[live]), fill(live, 4)), SETTINGS)
    assert "ORDER_SHORT" not in [r.name for r in reports if isinstance(r, Report)]
