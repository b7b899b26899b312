"""Averages over time against summing every millisecond."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.over_time import CADENCE_TRADES, Cadence, TimeWeighted
from bmv.units import Millis

STEPS = st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(-5, 5)), min_size=1, max_size=20)


@given(STEPS)
def test_a_time_average_is_the_mean_of_every_millisecond_that_counts(
    steps: list[tuple[int, int | None]],
) -> None:
    average, now = TimeWeighted(), 1_000
    every: list[int] = []
    held: int | None = None
    for passed, value in steps:
        every += [held] * passed if held is not None else []
        now, held = now + passed, value
        average.set(value, Millis(now))
    for later in (0, 3):
        whole = [*every, *[held] * later] if held is not None else every
        assert average.mean(Millis(now + later)) == (sum(whole) / len(whole) if whole else None)


@given(st.lists(st.integers(0, 10_000), max_size=150))
def test_cadence_is_the_mean_gap_of_the_newest_trades(gaps: list[int]) -> None:
    cadence, at, times = Cadence(), 5, []
    for gap in gaps:
        at += gap
        times.append(at)
        cadence.traded(Millis(at))
    newest = times[-CADENCE_TRADES:]
    between = [late - early for early, late in pairwise(newest)]
    found = cadence.seconds()
    if not between:
        assert found is None
    else:
        assert found is not None
        assert abs(found - sum(between) / len(between) / 1000) < 1e-9
