"""The crowd's idea of value: reproducible, piecewise constant, as lively as promised."""

import math
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.sandbox.people.reference import DAY_MS, HOUR_MS, RecordedReference, SyntheticReference
from bmv.sandbox.prices import PricePath

START = 1_700_000_000_000


def synthetic(seed: int = 1) -> SyntheticReference:
    return SyntheticReference(seed=seed, start_ms=START, price=Decimal("0.01"))


@given(st.lists(st.integers(0, DAY_MS), min_size=1, max_size=20))
@settings(max_examples=20, deadline=None)
def test_the_order_of_questions_does_not_matter(offsets: list[int]) -> None:
    one, other = synthetic(), synthetic()
    forwards = {offset: one.price_at(START + offset) for offset in sorted(offsets)}
    assert {offset: other.price_at(START + offset) for offset in offsets} == forwards


def test_seeds_make_different_paths() -> None:
    assert synthetic(1).price_at(START + HOUR_MS) != synthetic(2).price_at(START + HOUR_MS)


def test_a_value_holds_until_the_next_step_20_to_60_s_later() -> None:
    path, now = synthetic(), START
    for _ in range(500):
        step = path.next_step(now)
        assert 20_000 <= step - now <= 60_000
        assert path.price_at(step - 1) == path.price_at(now)
        now = step
    assert path.price_at(now) != path.price_at(START)


def test_daily_volatility_is_four_to_six_percent() -> None:
    logs = []
    for seed in range(12):
        path = synthetic(seed)
        logs += [
            math.log(path.price_at(START + (day + 1) * DAY_MS) / path.price_at(START + day * DAY_MS))
            for day in range(30)
        ]
    assert 0.035 < statistics.pstdev(logs) < 0.06
    assert abs(statistics.fmean(logs)) < 0.01


def test_there_are_jumps_and_busy_hours_after_them() -> None:
    path, now, jumps = synthetic(3), START, 0
    while now < START + 30 * DAY_MS:
        step = path.next_step(now)
        if abs(math.log(path.price_at(step) / path.price_at(now))) > 0.015:
            jumps += 1
            assert path.activity_at(step) == 3.0
        now = step
    assert 4 <= jumps <= 30


def recorded(scale: Decimal | int = 1) -> RecordedReference:
    times = tuple(5_000_000 + hour * HOUR_MS for hour in (0, 1, 3))
    path = PricePath("test", times, (Decimal(1), Decimal(2), Decimal("2.02")), HOUR_MS)
    return RecordedReference(path, start_ms=START, time_scale=scale)


@pytest.mark.parametrize("scale", [1, 60, Decimal("2.5")])
def test_a_recorded_row_holds_from_its_opening_to_the_next_rows(scale: Decimal | int) -> None:
    path = recorded(scale)
    steps = [START]
    while (step := path.next_step(steps[-1])) is not None:
        steps.append(step)
    assert steps == [START, START + math.ceil(HOUR_MS / scale), START + math.ceil(3 * HOUR_MS / scale)]
    for before, after in pairwise(steps):
        assert path.price_at(after - 1) == path.price_at(before) != path.price_at(after)


def test_a_recorded_move_makes_takers_busy() -> None:
    path = recorded()
    assert path.activity_at(START + HOUR_MS) == 3.0
    assert path.activity_at(START + 3 * HOUR_MS) == pytest.approx(1.0)
