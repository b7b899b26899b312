"""A crash, a rise and a bleed, as the market's only maker and beside others: short, and as long as they are.

``python -m tests.scenario.courses`` plays the long ones and prints the verdict on each, one JSON line; words
after it choose those whose name begins so (``rise``), or a company (``sole``).
"""

import json
import sys
from functools import cache

from tests.scenario.judging import books, judge
from tests.scenario.playing import BESIDE, SOLE, Scenario, Seen, along, play
from tests.scenario.purse import Purse

START = 0.012
NOISE = 0.005
Corners = tuple[tuple[float, float], ...]
COMPANY = {"sole": SOLE, "beside": BESIDE}
LONG: dict[str, Corners] = {
    "rise to 3x in a day": ((0, START), (24, START * 3)),
    "fall of 60 % in a week": ((0, START), (168, START * 0.4)),
    "bleed of 3 % a day for five days": ((0, START), (120, START * 0.97**5)),
}
SHORT: dict[str, Corners] = {
    "rise": ((0, START), (2.5, START * 1.12)),
    "fall": ((0, START), (2.5, START * 0.9)),
    "bleed": ((0, START), (2.5, START * 0.985)),
}


def long(course: str, company: str) -> Scenario:
    """Return a course as it is judged for good: the demo's hundred levels, the whole time."""
    corners = LONG[course]
    return Scenario(along(corners, noise=NOISE), corners[-1][0], COMPANY[company])


@cache
def short(course: str, company: str) -> tuple[Seen, Purse]:
    """Play two hours and a half of it on few levels, the fall at eight times its pace; once for all tests.

    A treasury with USDC stands beside it, at a price of SOL that does not move.
    """
    path, purse = along(SHORT[course], noise=NOISE), Purse()
    scenario = Scenario(path, SHORT[course][-1][0], COMPANY[company], levels=40, wallets=2)
    return purse.play(scenario), purse


def main(chosen: list[str]) -> None:
    """Print the verdicts on the long courses chosen, or on all."""
    for course in LONG:
        for company in COMPANY:
            if all(course.startswith(word) or company == word for word in chosen):
                seen = play(long(course, company))
                row = {"course": course, "maker": company, **judge(seen).row(), **books(seen)}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
