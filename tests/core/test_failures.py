"""Failed changes: whose fault it is, how long things rest, when the engine pauses and gives up."""

from bmv.core.failures import CRANK, PROBE_EVERY, Backoff, Failures
from bmv.units import Millis
from tests.core.belongings import later, settings

CHOSEN = settings(
    WALLET_MAX_FAILURES=3,
    WALLET_REST="10s",
    MAX_FAILED_CYCLES=2,
    FAILED_CYCLES_PAUSE="1s",
    FAILED_CYCLES_HALT="1min",
)


def test_a_wait_doubles_within_its_memory_and_begins_anew_after_it() -> None:
    first = Backoff.after(None, later(0), Millis(100))
    assert first == Backoff(later(100), Millis(100))
    assert Backoff.after(first, later(199), Millis(100)).wait == 200
    assert Backoff.after(first, later(200), Millis(100)).wait == 100
    assert Backoff.after(first, later(5_099), Millis(100), Millis(5_000)).wait == 200
    assert Backoff.after(first, later(5_100), Millis(100), Millis(5_000)).wait == 100


def test_a_wallet_whose_changes_fail_while_others_land_rests() -> None:
    failures = Failures()
    for number in range(3):
        failures.wallet_failed(1, later(number * 10), CHOSEN, others=1)
        failures.wallet_failed(0, later(number * 10), CHOSEN, others=1)
        assert (0 in failures.rests) == (number == 2)
        failures.landed(later(number * 10 + 5))
    assert failures.rests[0].until == later(20 + 10_000)


def test_where_nothing_lands_no_wallet_is_to_blame() -> None:
    failures = Failures()
    for number in range(50):
        failures.wallet_failed(number % 2, later(number * 10), CHOSEN, others=1)
    assert not failures.rests


def test_a_wallet_that_fails_while_nobody_else_has_anything_to_do_is_to_blame_unless_it_is_the_only_one() -> (
    None
):
    for others in (0, 1):
        failures = Failures()
        for number in range(50):
            assert not failures.cycles or not others
            failures.cycle_failed(0, later(number * 10), later(number * 10 + 1), CHOSEN, others=others)
            failures.wallet_failed(0, later(number * 10), CHOSEN, others=others)
        assert bool(failures.rests) == bool(others)
        assert failures.paused(later(491)) != bool(others)


def test_after_its_rest_a_wallet_has_one_try_and_each_rest_is_twice_the_last() -> None:
    failures, now, waits = Failures(), 0, []
    for _ in range(6):
        failures.wallet_failed(0, later(now), CHOSEN, others=1)
        failures.landed(later(now + 1))
        if 0 in failures.rests:
            waits.append(int(failures.rests[0].wait))
            now = int(failures.rests[0].until - later(0))
        now += 10
    assert waits == [10_000, 20_000, 40_000, 80_000]
    failures.wallet_landed(0)
    assert not failures.rests
    failures.wallet_failed(0, later(now), CHOSEN, others=1)
    assert not failures.rests


def test_failures_that_come_in_during_a_rest_do_not_lengthen_it() -> None:
    failures = Failures()
    failures.rest(0, later(0), CHOSEN)
    failures.rest(0, later(9_999), CHOSEN)
    assert failures.rests[0].wait == 10_000


def test_what_was_sent_side_by_side_and_lost_together_is_one_cycle() -> None:
    failures = Failures()
    begun = [
        failures.cycle_failed(number, later(number), later(100 + number), CHOSEN, others=8)
        for number in range(9)
    ]
    assert (failures.cycles, any(begun)) == (1, False)
    assert failures.cycle_failed(0, later(200), later(300), CHOSEN, others=8)
    assert failures.pausing(later(1_299))
    assert not failures.pausing(later(1_300))


def test_in_a_pause_one_change_is_tried_every_two_slots() -> None:
    failures = Failures()
    for number in (1, 2):
        failures.cycle_failed(CRANK, later(number), later(number), CHOSEN, others=0)
    assert failures.paused(later(1 + int(PROBE_EVERY)))
    assert not failures.paused(later(2 + int(PROBE_EVERY)))
    failures.probed_at = later(900)
    assert [failures.paused(later(at)) for at in (900, 999, 1_001, 1_003)] == [True, True, True, False]


def test_what_nobody_can_have_seen_is_no_cycle_but_does_not_go_on_for_ever() -> None:
    failures = Failures()
    for second in range(60):
        failures.not_sent(later(second * 1_000), later(second * 1_000 + 500))
        assert (failures.cycles, failures.pause) == (0, None)
        assert not failures.hopeless(CHOSEN)
    failures.not_sent(later(61_000), later(61_500))
    assert failures.hopeless(CHOSEN)
    failures.landed(later(62_000))
    assert not failures.hopeless(CHOSEN)


def test_pauses_double_until_something_lands_and_end_in_a_halt() -> None:
    failures, now, waits = Failures(), 0, []
    while not failures.hopeless(CHOSEN):
        now += 10
        if failures.cycle_failed(CRANK, later(now - 1), later(now), CHOSEN, others=0):
            assert failures.pause is not None
            waits.append(int(failures.pause.wait))
            now += waits[-1]
        assert now < 1_000_000
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]
    assert 60_000 <= now - 64_000 < 70_000
    failures.landed(later(now))
    assert not failures.hopeless(CHOSEN)
    assert not failures.paused(later(now))
    assert not failures.cycle_failed(CRANK, later(now), later(now + 1), CHOSEN, others=0)
