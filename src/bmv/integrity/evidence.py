"""What a suspicion consists of: a handful of parts between 0 and 1, each with a sentence.

Whoever trades with himself must do three things, and each is measured:

    closed     he meets himself, not others          share of the group's trading that stays inside it
    returned   what he buys comes back               1 - what changed hands for good / what changed hands
    repeated   once is chance                        each trade after the third halves the doubt

on a pool, where the other side is not told, a fourth, as who lives on his trips is a trader:

    gainless   a trip brings nothing                 1 - mean gain, less its standard error / the pool's fees

and, being a program, he mostly has one of these habits (the strongest counts):

    alike      sizes of one kind                     1 - spread of log sizes / spread of the market's
    rhythm     an even beat                          1 - variation of the time between trades
    order      the token goes round                  how often the next seller is the last buyer, above chance
    riskless   bought and sold at one price          1 - price change of his trips / the market's in that time

    score = closed x returned x repeated (x gainless) x (1 + strongest habit) / 2

``closed`` is counted above chance: were partners drawn by lot, a group that does half of the market's
trading would meet itself half of the time. So the whole market is never a ring, and neither is a market maker
with the few people who trade. Where nobody else trades at all, chance explains everything and nothing, and
``closed`` becomes what only a program that plays both parts does: an even beat x the token to and fro x
neither gaining from the other (a bot that trades with a market maker pays him his spread at every trip).

Above ``FLAG_ABOVE`` a group is flagged: all the musts and a habit, or nearly so; four trades never reach
it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmv.integrity.tape import Floats, Ints

FLAG_ABOVE = 0.5
FEES = 0.005
"""What pools take of a round trip at least: a quarter of a percent of each trade."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was measured: from 0 (speaks against) to 1 (as expected of wash trades)."""

    name: str
    value: float
    says: str


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts of one market that look like one person; ``rows`` are positions in the tape."""

    kind: str
    market: str
    accounts: tuple[str, ...]
    rows: Ints
    score: float
    parts: tuple[Part, ...]

    @property
    def flagged(self) -> bool:
        """Return whether the suspicion is strong enough to be told."""
        return self.score > FLAG_ABOVE


def score(musts: tuple[Part, ...], habits: tuple[Part, ...]) -> float:
    """Return how strongly the parts together speak for wash trading, 0 to 1."""
    strongest = max((habit.value for habit in habits), default=0.0)
    return float(np.prod([must.value for must in musts])) * (1 + strongest) / 2


def above_chance(share: float, chance: float) -> float:
    """Return how far a share is above what chance gives, as a part of how far it could be."""
    return _unit((share - chance) / (1 - chance)) if chance < 1 else 0.0


def closed(inside: float, by_chance: float) -> Part:
    """Measure how much of the trading stays inside, beyond chance."""
    says = f"{inside:.0%} of their trades are inside the group, {by_chance:.0%} would be by chance"
    return Part("closed", above_chance(inside, by_chance), says)


def alone(habits: Sequence[Part]) -> Part:
    """Return what stands for ``closed`` where nobody else trades: all of the habits together."""
    names = ", ".join(habit.name for habit in habits)
    value = float(np.prod([habit.value for habit in habits]))
    return Part("closed", value, f"nobody else trades here, so all of this must speak: {names}")


def returned(net: float, gross: float) -> Part:
    """Measure how much of what was bought came back; ``net`` is what did not."""
    return Part("returned", _unit(1 - net / gross), f"{1 - net / gross:.0%} of what changed hands came back")


def repeated(trades: int) -> Part:
    """Measure how often it was done."""
    return Part("repeated", _unit(1 - 2.0 ** (3 - trades)), f"{trades} trades")


def alike(sizes: Floats, market_spread: float) -> Part:
    """Measure how much more alike the sizes are than the market's; both as spread of logarithms."""
    spread = float(np.std(np.log(sizes)))
    value = _unit(1 - spread / market_spread) if market_spread > 0 else 0.0
    return Part("alike", value, f"sizes differ by {spread:.1%}, the market's by {market_spread:.1%}")


def rhythm(at: Floats) -> Part:
    """Measure how even the time between the trades is (random arrivals vary by 100 %)."""
    gaps = np.diff(at)
    mean = float(gaps.mean()) if len(gaps) >= 3 else 0.0
    variation = float(gaps.std()) / mean if mean > 0 else 1.0
    return Part("rhythm", _unit(1 - variation), f"the time between trades varies by {variation:.0%}")


def order(sellers: Ints, buyers: Ints, accounts: int) -> Part:
    """Measure how often the next seller is the account that has just bought."""
    handed_on = float(np.mean(sellers[1:] == buyers[:-1])) if len(sellers) > 1 else 0.0
    says = f"after {handed_on:.0%} of the trades the buyer is the next seller"
    return Part("order", above_chance(handed_on, 1 / accounts), says)


def even(sellers: Ints, buyers: Ints, prices: Floats) -> Part:
    """Measure how evenly what prices moved, from a purchase to its sale right after, went to all of them."""
    trips = np.flatnonzero(sellers[1:] == buyers[:-1])
    gains = np.log(prices[trips + 1] / prices[trips])
    moved = float(np.abs(gains).sum())
    drift = float(gains.mean()) if len(gains) else 0.0
    whose = buyers[trips]
    apart = sum(abs(float((gains[whose == one] - drift).sum())) for one in np.unique(whose))
    part = _unit(apart / moved) if moved > 0 else 0.0
    return Part("even", 1 - part, f"{part:.0%} of the price's moves within trips went from one to another")


def riskless(moves: Floats, market_move: float) -> Part:
    """Measure how little the price changed within round trips; moves are absolute log ratios."""
    move = float(np.median(moves))
    value = _unit(1 - move / market_move) if market_move > 0 else 0.0
    return Part("riskless", value, f"price moved {move:.2%} within a trip, the market's {market_move:.2%}")


def gainless(gains: Floats) -> Part:
    """Measure how little round trips surely gained (log ratios); beyond the pool's fees it is trading."""
    mean, give_or_take = float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))
    says = f"a trip gained {mean:+.2%}, give or take {give_or_take:.2%}"
    return Part("gainless", _unit(1 - (mean - give_or_take) / FEES), says)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
