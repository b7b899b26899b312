"""Which events become messages, and how many."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.observe.alerts import ALERTS, ALWAYS, HOUR_MS, Alert, Gate
from bmv.units import Millis

INTERVAL, PER_HOUR = Millis(60_000), 5
NAMES = st.sampled_from(["FEED_LOST", "WALLET_LOW_GAS", "DRAWDOWN", "KILL_SWITCH", "ORDER_FILL"])


@given(st.lists(st.tuples(st.integers(0, 90_000), NAMES), max_size=80))
def test_messages_keep_their_distance_and_nothing_is_lost_uncounted(steps: list[tuple[int, str]]) -> None:
    gate, at = Gate(), 0
    told: list[tuple[int, str, int]] = []
    seen: list[tuple[int, str]] = []
    reached: dict[str, int] = {}  # how many events of a name were seen up to its last message
    for passed, name in steps:
        at += passed
        seen.append((at, name))
        held = gate.admit(name, Millis(at), INTERVAL, PER_HOUR)
        if held is not None:
            told.append((at, name, held))
            reached[name] = sum(each == name for _, each in seen)
    for name in ALERTS:
        times = [when for when, each, _ in told if each == name]
        if name not in ALWAYS:
            assert all(late - early >= 60_000 for early, late in pairwise(times))
        # Up to its last message, every event was told or counted in one.
        assert sum(1 + held for _, each, held in told if each == name) == reached.get(name, 0)
    for when, name, _ in told:
        hour = [each for early, each, _ in told if when - HOUR_MS < early <= when]
        assert name in ALWAYS or len(hour) <= PER_HOUR + sum(each in ALWAYS for each in hour)
    assert [name for _, name in seen].count("KILL_SWITCH") == [name for _, name, _ in told].count(
        "KILL_SWITCH"
    )
    assert all(name != "ORDER_FILL" for _, name, _ in told)


@pytest.mark.parametrize("name", ["OUT_OF_CHANNEL", "WALLET_ORDER_EVICTED", "WALLET_SET_ASIDE"])
def test_what_the_definition_wants_a_person_to_hear_of_is_told(name: str) -> None:
    assert Gate().admit(name, Millis(5), INTERVAL, PER_HOUR) == 0


def test_a_message_says_what_happened_where_and_what_was_held_back() -> None:
    alert = Alert(Millis(5), "WALLET_LOW_GAS", {"wallet": 3, "lamports": 7}, "MARKET", held=2)
    lines = alert.text.splitlines()
    assert lines[0] == f"BMV market maker: WALLET_LOW_GAS: {ALERTS['WALLET_LOW_GAS']}."
    assert lines[1:] == ["wallet 3, lamports 7", "2 more of these were held back.", "market MARKET"]
