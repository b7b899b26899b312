"""The engine is killed again and again; at the end everything is recorded once and adds up."""

from pathlib import Path

import pytest

from tests.processes import sandbox
from tests.scenario.killing import killed

SPEED = "6"


def test_a_few_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    with sandbox(tmp_path / "world", "--seed", "3", "--speed", SPEED, "--takers", "30000") as facts:
        killer, told = killed(tmp_path, facts, seed=3, speed=SPEED, kills=3)
    assert killer.kills.total() == 3
    assert told.runs >= 3
    assert len(told.trades) > 5
    assert told.fills


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    options = ("--seed", str(seed), "--speed", SPEED, "--takers", "30000")
    with sandbox(tmp_path / "world", *options) as facts:
        _, told = killed(tmp_path, facts, seed=seed, speed=SPEED, kills=50)
    assert told.runs >= 25
    assert len(told.fills) > 50
