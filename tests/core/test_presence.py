"""Idle tightening, step by step."""

from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.presence import Presence
from bmv.units import Bps, Millis

SETTINGS = Settings()
INTERVAL = int(SETTINGS.idle_interval)


def test_the_spread_narrows_in_four_steps_and_stays_at_the_minimum() -> None:
    presence = Presence(Millis(0))
    spreads = [int(presence.spread_bps(Millis(INTERVAL * steps), SETTINGS)) for steps in range(7)]
    assert spreads == [100, 88, 75, 63, 50, 50, 50]


def test_a_trade_widens_back_at_once() -> None:
    presence = Presence(Millis(0))
    presence.on_trade(Millis(9 * INTERVAL))
    assert presence.spread_bps(Millis(9 * INTERVAL), SETTINGS) == SETTINGS.inside_spread


def test_an_older_trade_heard_of_late_does_not_turn_time_back() -> None:
    presence = Presence(Millis(5 * INTERVAL))
    presence.on_trade(Millis(INTERVAL))
    assert presence.since == Millis(5 * INTERVAL)


def test_a_step_is_due_once_per_change_of_the_spread() -> None:
    presence = Presence(Millis(0))
    assert not presence.step_due(Millis(9 * INTERVAL), SETTINGS)
    assert presence.quote(Millis(0), SETTINGS) == Bps(100)
    assert not presence.step_due(Millis(INTERVAL - 1), SETTINGS)
    assert presence.step_due(Millis(INTERVAL), SETTINGS)
    presence.quote(Millis(INTERVAL), SETTINGS)
    assert not presence.step_due(Millis(INTERVAL + 1), SETTINGS)
    presence.on_trade(Millis(INTERVAL + 2))
    assert presence.step_due(Millis(INTERVAL + 2), SETTINGS)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_spread_never_leaves_its_two_limits_and_never_widens_by_waiting(first: int, wait: int) -> None:
    presence = Presence(Millis(0))
    early = presence.spread_bps(Millis(first), SETTINGS)
    late = presence.spread_bps(Millis(first + wait), SETTINGS)
    assert SETTINGS.min_spread <= late <= early <= SETTINGS.inside_spread
