"""A crash, a rise and a bleed, as the market's only maker and beside others.

The short ones run with every test run: two hours and a half on few levels, the fall at eight times its pace.
The long ones (``make soak``) last as long as what they are named after, on the demo's hundred levels.
``python -m tests.scenario.test_courses`` prints the verdicts on the long ones, one JSON line each.
"""

import json
import sys

import pytest

from bmv.sandbox.people.crowd import CrowdOptions
from tests.scenario.judging import Verdict, judge
from tests.scenario.playing import BESIDE, SOLE, Scenario, play

START = 0.012
COMPANY = {"sole": SOLE, "beside": BESIDE}
LONG = {
    "fall of 60 % in a week": ((0, START), (168, START * 0.4)),
    "rise to 3x in a day": ((0, START), (24, START * 3)),
    "bleed of 3 % a day": ((0, START), (240, START * 0.97**10)),
}
SHORT = {
    "fall": ((0, START), (2.5, START * 0.9)),
    "rise": ((0, START), (2.5, START * 1.12)),
    "bleed": ((0, START), (2.5, START * 0.985)),
}
Corners = tuple[tuple[float, float], ...]


def long(corners: Corners, crowd: CrowdOptions) -> Scenario:
    """Return a course as it is judged for good."""
    return Scenario(corners, crowd, noise=0.005)


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
    short = Scenario(SHORT[course], COMPANY[company], levels=40, wallets=2, noise=0.005)
    check(judge(play(short)))


@pytest.mark.soak
@pytest.mark.parametrize("company", COMPANY)
@pytest.mark.parametrize("course", LONG)
def test_all_of_it_keeps_both_sides_near_the_price_and_stock_and_treasury_in_bounds(
    course: str, company: str
) -> None:
    check(judge(play(long(LONG[course], COMPANY[company]))))


def main(chosen: list[str]) -> None:
    """Print the verdict on every long course, or on those whose name begins with one of ``chosen``."""
    for name, corners in LONG.items():
        if not chosen or any(name.startswith(word) for word in chosen):
            for company, crowd in COMPANY.items():
                verdict = judge(play(long(corners, crowd)))
                print(json.dumps({"course": name, "maker": company, **verdict.row()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
