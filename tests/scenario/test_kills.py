"""Engine and servers are killed again and again; at the end everything is recorded once and adds up."""

import random
from pathlib import Path

import pytest

from tests.processes import sandbox
from tests.scenario.killing import MOMENTS, SERVERS, killed

SPEED = "8"


def test_a_few_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    kinds = ["opening", "servers", "halting"]
    with sandbox(tmp_path / "world", "--seed", "3", "--speed", SPEED, "--takers", "30000") as facts:
        killer, told = killed(tmp_path, facts, seed=3, speed=SPEED, kinds=kinds)
    assert all(killer.kills[name] == 1 for name in SERVERS)
    assert told.runs == len(kinds) + 1
    assert told.fills


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    options = ("--seed", str(seed), "--speed", SPEED, "--takers", "30000")
    kinds = random.Random(seed).choices(list(MOMENTS), list(MOMENTS.values()), k=50)
    with sandbox(tmp_path / "world", *options) as facts:
        killer, told = killed(tmp_path, facts, seed=seed, speed=SPEED, kinds=kinds)
    assert all(killer.kills[name] > 0 for name in SERVERS)
    assert told.runs >= 25
    assert len(told.fills) > 10
