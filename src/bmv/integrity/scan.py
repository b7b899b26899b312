"""A tape -> what looks like wash trading in it: a score for each trade and the groups behind the scores."""

from dataclasses import dataclass, replace

import numpy as np

from bmv.integrity import counterparties, roundtrips
from bmv.integrity.evidence import Group
from bmv.integrity.tape import Floats, Ints, Tape

FAR = 1e100
"""Sizes and prices beyond it are no figures."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan found; ``score`` and ``group`` (number in ``groups``, -1 for none) stand for each trade."""

    groups: tuple[Group, ...]
    score: Floats
    group: Ints

    @property
    def flagged(self) -> tuple[Group, ...]:
        """Return the groups that are told."""
        return tuple(group for group in self.groups if group.flagged)


def scan(tape: Tape) -> Findings:
    """Search a tape; of several groups a trade belongs to, the strongest counts."""
    figures = (tape.size > 0) & (tape.price > 0) & (tape.size < FAR) & (tape.price < FAR)
    sound = np.flatnonzero(figures & np.isfinite(tape.at))
    searched = tape.chosen(sound)
    found = counterparties.find(searched) + roundtrips.find(searched)
    groups = [replace(group, rows=sound[group.rows]) for group in found]
    groups.sort(key=lambda group: (-group.score, int(group.rows[0])))
    score = np.zeros(len(tape.size))
    number = np.full(len(tape.size), -1)
    for index in reversed(range(len(groups))):
        rows = groups[index].rows
        score[rows], number[rows] = groups[index].score, index
    return Findings(tuple(groups), score, number)
