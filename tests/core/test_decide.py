"""``decide`` in random worlds (``world.py``): the invariants hold in any weather, and every halt ends."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bmv.observe.journal import Journal
from bmv.observe.segments import records
from tests.core.world import lived, new_world

SEEDS = 45
HAPPENED = (
    "WALLET_ORDER_EVICTED",
    "ORDER_DROPPED",
    "COST_BUDGET_SPENT",
    "FEED_LOST",
    "WALLET_SET_ASIDE",
    "WALLET_RETURNED",
    "CYCLES_FAILED",
    "CYCLES_LAND_AGAIN",
    "STALE_WITHDRAWAL",
    "SIDE_STOPPED",
    "SIDE_RESUMED",
    "DRAWDOWN",
    "denied",
)


def test_in_any_weather_no_two_of_our_orders_meet_nobody_overspends_and_every_halt_ends() -> None:
    tally: Counter[str] = Counter()
    for seed in range(SEEDS):
        world = lived(seed)
        tally += world.tally
        tally["evicted by the book"] += world.exchange.evicted
        tally["dropped by the book"] += world.exchange.dropped
    # The weather was worth the name: everything that can happen did.
    for name in ["executed", "fills", "landed", "expired", "failed", "evicted by the book", "GRID_REBUILD"]:
        assert tally[name] >= 20, (name, tally)
    for name in HAPPENED:
        assert tally[name], (name, tally)


@pytest.mark.fuzz
def test_in_any_weather_for_a_long_time() -> None:
    for seed in range(1_000, 2_000):
        lived(seed, steps=400)


@pytest.mark.parametrize("seed", [3, 11])
def test_the_same_events_give_the_same_bytes_under_any_hash_seed(seed: int, tmp_path: Path) -> None:
    world, recorded = new_world(seed), tmp_path / "journal"
    world.journal = Journal(recorded)
    for _ in range(400):
        world.step()
    world.halt()
    world.journal.close()
    lived_through = [record.payload for record in records(recorded)]
    assert sum(line.startswith(b'{"action":') for line in lived_through) > 100
    for hash_seed in ("0", "1", "4321"):
        copy = tmp_path / f"under {hash_seed}"
        done = subprocess.run(
            [sys.executable, "-m", "tests.core.redeciding", str(seed), str(recorded), str(copy)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert [record.payload for record in records(copy)] == lived_through
