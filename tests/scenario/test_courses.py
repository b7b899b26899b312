"""What is asked of a crash, a rise and a bleed, in short with every run and in full behind ``make soak``."""

import pytest

from tests.scenario.courses import COMPANY, LONG, SHORT, long, short
from tests.scenario.judging import Verdict, judge
from tests.scenario.playing import play


def check(verdict: Verdict) -> None:
    """Check what is asked of every course."""
    assert verdict.near_share >= 0.95
    assert verdict.worst_day <= 0.25
    assert verdict.tokens_left > 0.15
    assert verdict.bids_above == 0
    assert verdict.fills > 0


@pytest.mark.parametrize("company", COMPANY)
@pytest.mark.parametrize("course", SHORT)
def test_some_hours_of_it_keep_both_sides_near_the_price(course: str, company: str) -> None:
    seen, _ = short(course, company)
    check(judge(seen))


@pytest.mark.soak
@pytest.mark.parametrize("company", COMPANY)
@pytest.mark.parametrize("course", LONG)
def test_all_of_it_keeps_both_sides_near_the_price_and_stock_and_treasury_in_bounds(
    course: str, company: str
) -> None:
    check(judge(play(long(course, company))))
