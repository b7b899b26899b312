"""Whole simulated hours: the numbers the product promises, with and without faults."""

from pathlib import Path

import pytest

from bmv.sandbox.faults import RATES, STANDARD
from tests.app.recorded_run import Run, run

NOTICED = {
    "jito_unreachable", "jito_rate_limited", "rpc_rate_limited", "rpc_unreachable", "rpc_stale",
    "ws_lost", "ws_disconnected",
}  # fmt: skip
HOUR_S = 3_600


@pytest.fixture(scope="module")
def hour() -> Run:
    # A second more: at the full hour itself its sample and the run's end come in either order.
    return run(HOUR_S + 1)


def check_books(run: Run) -> None:
    """Check what holds of every run, faults or not."""
    report = run.report
    assert report["identity_residual_lamports"] == 0
    assert report["chain_residual"] == {"lamports": 0, "tokens": 0}
    assert report["after_drain"] == {"orders_live": 0, "locked": 0}
    assert (report["self_trades"], report["clean"]) == (0, True)
    bundles = report["bundles"]
    assert bundles["sent"] == bundles["landed"] + bundles["failed"] + bundles["expired"] + bundles["unsent"]


def test_a_calm_hour_stands_complete_and_balances(hour: Run) -> None:
    check_books(hour)
    report = hour.report
    assert report["errors"] == {}
    assert report["levels_wanted"]["median_standing_share"] >= 0.98
    assert report["levels_wanted"]["min_standing_share"] >= 0.9
    assert report["levels_wanted"]["median"] > 60
    assert report["price_error"]["share_within_2pct"] == 1.0
    assert report["bundles"]["failed"] == report["bundles"]["expired"] == 0


@pytest.mark.parametrize("seed", [7, 11])
def test_two_hours_of_standard_faults_cost_nothing_but_time(seed: int) -> None:
    found = run(2 * HOUR_S, seed=seed, faults="standard")
    check_books(found)
    report = found.report
    injected = set(report["faults_injected"])
    assert report["levels_wanted"]["median_standing_share"] >= 0.98
    assert set(report["errors"]) <= injected <= set(RATES)
    assert len(injected) > 4
    assert {kind: report["errors"].get(kind, 0) for kind in ("rpc_rate_limited", "rpc_unreachable")} == {
        kind: report["faults_injected"].get(kind, 0) for kind in ("rpc_rate_limited", "rpc_unreachable")
    }


def test_every_noticed_error_has_the_name_of_the_fault_that_causes_it() -> None:
    assert set(STANDARD) > NOTICED
    assert set(STANDARD) - NOTICED == {"bundle_dropped", "ws_reordered"}


@pytest.mark.parametrize("kind", sorted(NOTICED))
def test_one_kind_of_fault_alone_is_counted_under_its_own_name(kind: str, tmp_path: Path) -> None:
    plan = tmp_path / "faults.toml"
    rate = {"ws_disconnected": 0.01, "ws_lost": 0.2}.get(kind, 0.5 if kind.startswith("jito") else 0.1)
    plan.write_text(f"{kind} = {rate}\n")
    found = run(1_200, faults=str(plan), levels=40)
    check_books(found)
    assert set(found.report["errors"]) == set(found.report["faults_injected"]) == {kind}
