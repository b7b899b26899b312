"""Long runs with the numbers the product is held to; behind ``make soak``."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak
BMV = str(Path(sys.executable).with_name("bmv"))
PRICES = Path(__file__).parents[2].parent / "shared" / "data" / "prices" / "ray_sol_cross_1h.parquet"


def demo(*arguments: str, timeout: float, **environment: str) -> dict[str, Any]:
    """Run a headless demo in virtual time as a process of its own and return its report."""
    done = subprocess.run(
        [BMV, "demo", "--headless", "--speed", "max", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check_day(report: dict[str, Any]) -> None:
    """Check what a day of seed 7 promises, faults or not."""
    assert report["fills"] > 100
    assert report["takers"] >= 20
    assert report["self_trades"] == 0
    assert report["levels_wanted"]["median_standing_share"] >= 0.98
    assert report["identity_residual_lamports"] == 0
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}


def test_a_day_of_seed_7_keeps_every_promise_within_three_minutes() -> None:
    began = time.monotonic()
    report = demo("--for", "24h", "--seed", "7", "--wallets", "4", "--levels", "100", timeout=600)
    assert time.monotonic() - began < 180
    check_day(report)
    assert report["levels_wanted"]["min_standing_share"] >= 0.9
    assert report["errors"] == {}


def test_a_day_of_standard_faults_keeps_them_too() -> None:
    report = demo("--for", "24h", "--seed", "7", "--levels", "100", "--faults", "standard", timeout=900)
    check_day(report)
    assert set(report["errors"]) <= set(report["faults_injected"])


def test_a_day_comes_to_the_same_digest_from_its_journal(tmp_path: Path) -> None:
    options = ("--seed", "8", "--levels", "60", "--faults", "standard", "--state", str(tmp_path))
    report = demo("--for", "24h", *options, timeout=1_200)
    check_day(report)
    words = [BMV, "replay", str(tmp_path), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["complete"], run["first_difference"]) == (True, None)
    assert run["digest"] == report["digest"]
    assert run["actions"] > 300


def test_a_month_around_recorded_prices_stays_near_them_within_twenty_minutes() -> None:
    if not PRICES.is_file():
        pytest.skip("the recorded prices (shared/data/prices) are not here")
    began = time.monotonic()
    report = demo("--for", "30d", "--prices", str(PRICES), timeout=1_800)
    assert time.monotonic() - began < 1_200
    assert report["price_error"]["hours"] == 720
    assert report["price_error"]["share_within_2pct"] >= 0.95
    assert report["price_error"]["quotes_within_5pct"] >= 0.95
    assert report["identity_residual_lamports"] == 0
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["self_trades"], report["errors"]) == (0, {})


def _burn(until: float) -> None:
    while time.monotonic() < until:
        sum(range(10_000))


def test_five_runs_with_both_cores_loaded_have_one_digest_and_another_seed_another() -> None:
    burners = [multiprocessing.Process(target=_burn, args=(time.monotonic() + 900,)) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        arguments = ("--for", "4h", "--faults", "standard")
        reports = [
            demo(*arguments, "--seed", "7", timeout=900, PYTHONHASHSEED=str(number)) for number in range(5)
        ]
        other = demo(*arguments, "--seed", "8", timeout=900)
    finally:
        for burner in burners:
            burner.terminate()
    assert len({report["digest"] for report in reports}) == 1
    assert len({json.dumps(report | {"wall_s": 0}) for report in reports}) == 1
    assert other["digest"] != reports[0]["digest"]
    assert (other["fills"], other["volume_sol"]) != (reports[0]["fills"], reports[0]["volume_sol"])
