"""What the engine remembers: tickets, who is busy, budgets of the day, waits that double, the start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import DAY_MS, HOUR_MS
from bmv.core.failures import MOST_DOUBLED, Backoff
from bmv.core.state import Flow, InFlight, Phase, new_state
from bmv.events import Crank, Execute, Settle
from bmv.model import Placement, Side
from bmv.units import BaseLots, Lamports, Millis, Ticks
from tests.core.belongings import START, later, market, quoting_state, settings, wallet

PLACE = Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1)


def test_tickets_count_up_from_one() -> None:
    state = new_state(market(), 2, START)
    assert [state.take_ticket() for _ in range(3)] == [1, 2, 3]
    assert (state.phase, state.feed_up, state.views) == (Phase.STARTING, False, {})


def test_busy_are_the_wallets_with_something_in_flight_and_those_that_failed_a_moment_ago() -> None:
    state = quoting_state([wallet(n) for n in range(4)])
    state.in_flight = {
        1: InFlight(1, Execute(1, 0, (), (PLACE,)), 0, START),
        2: InFlight(2, Crank(2), None, START),
        3: InFlight(3, Settle(3, 2), 2, START),
    }
    state.failed = {1: Backoff(later(1), Millis(1)), 3: Backoff(START, Millis(1))}
    assert state.busy() == {0: [PLACE], 2: [], 1: []}
    assert state.flying_places() == [PLACE]


@given(st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.integers(0, 10**9)), max_size=20))
def test_the_days_cost_is_what_was_spent_on_that_day(spent: list[tuple[int, int]]) -> None:
    state = new_state(market(), 1, START)
    now = 0
    for at, lamports in sorted(spent):
        state.spend(Lamports(lamports), Millis(at))
        now = at
    today = [lamports for at, lamports in spent if at // DAY_MS == now // DAY_MS]
    assert state.cost_today(Millis(now)) == sum(today)
    assert state.cost_today(Millis(now + DAY_MS)) == 0


def test_a_wait_doubles_while_failures_follow_each_other_and_starts_anew_after_a_quiet_time() -> None:
    first = Millis(100)
    rest = Backoff.after(None, Millis(0), first)
    assert (int(rest.until), int(rest.wait)) == (100, 100)
    rest = Backoff.after(rest, Millis(199), first)
    assert (int(rest.until), int(rest.wait)) == (399, 200)
    assert Backoff.after(rest, Millis(599), first).wait == 100
    for _ in range(20):
        rest = Backoff.after(rest, rest.until, first)
    assert rest.wait == 100 * MOST_DOUBLED


def test_money_that_flowed_counts_signed_and_halves_in_a_day() -> None:
    flow = Flow()
    flow.record(Side.BID, BaseLots(10), Lamports(1_000), Millis(0))
    assert flow.paid(Millis(DAY_MS)) == 500
    flow.record(Side.ASK, BaseLots(4), Lamports(100), Millis(DAY_MS))
    assert (flow.paid(Millis(DAY_MS)), int(flow.net_base)) == (400, 6)


@pytest.mark.parametrize(
    ("said", "limit"), [({}, 250_000_000), ({"HOURLY_COST_BUDGET_SOL": 2}, 2 * 10**9)], ids=["auto", "said"]
)
def test_an_hour_may_cost_a_quarter_of_the_day_unless_something_else_is_said(
    said: dict[str, int], limit: int
) -> None:
    chosen = settings(DAILY_COST_BUDGET_SOL=1 if not said else 9, **said)
    state = quoting_state([wallet(0)])
    state.spend(Lamports(limit - 1), START)
    assert state.budget_spent(chosen, START) == ""
    state.spend(Lamports(1), START)
    assert state.budget_spent(chosen, START) == "hour"
    assert state.cost_this_hour(later(HOUR_MS)) == 0
    assert state.budget_spent(chosen, later(HOUR_MS)) == ""
    assert state.budget_spent(settings(HOURLY_COST_BUDGET_SOL=0), START) == ""
