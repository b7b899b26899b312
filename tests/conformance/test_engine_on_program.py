"""The engine, its real clients and the compiled program: what the sandbox promises, on the real thing."""

from pathlib import Path

import pytest

from tests.conformance.conftest import StepCounter
from tests.conformance.hard_market import MIN_EVENTS, Ended, run_engine
from tests.conformance.real_bank import Run

BOOK_SIDE_ORDERS = 101
NO_FUNDS, QUEUE_FULL, TOO_LATE = {"Custom": 34}, {"Custom": 51}, {"Custom": 63}
RACE_S = 20
REBUILDS = 200


def cause(run: Run) -> object:
    """Return what the failed instruction said."""
    assert isinstance(run.err, dict)
    error = run.err["InstructionError"]
    assert isinstance(error, list)
    return error[1]


def is_expected(run: Run, ended: Ended) -> bool:
    """Say whether nobody could know it beforehand.

    A stranger filled the queue before our bundle came, the bundle came late, or a taker was quicker: what a
    change was to withdraw had been filled, so the funds its placement counted on were gone.
    """
    if cause(run) == NO_FUNDS:
        return any(abs(run.at - at) <= RACE_S for at in ended.fill_times.get(run.payer, ()))
    return cause(run) in (QUEUE_FULL, TOO_LATE)


def check(ended: Ended) -> None:
    """Check what must hold however hard the market was."""
    assert ended.clean
    assert ended.self_trades == 0
    assert ended.identity_residual == 0
    assert ended.chain_residual == {"lamports": 0, "tokens": 0}
    assert ended.left == {"orders_live": 0, "locked": 0}
    assert ended.disagreements == []
    assert [run for run in ended.own_runs if run.err is not None and not is_expected(run, ended)] == []
    assert all(run.units <= run.unit_limit for run in ended.own_runs)
    ours = [maker for maker, _ in ended.matches if str(maker.open_orders) in ended.own]
    assert len(ours) == ended.fills
    assert ended.reports["FILLS_DISAGREE"] == 0
    assert not any(str(taker.open_orders) in ended.own for _, taker in ended.matches)


def test_two_hundred_rebuilds_on_the_smallest_market_balance_to_the_lamport(
    compiled_program: bytes, counter: StepCounter, tmp_path: Path
) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text("bundle_dropped = 0.35\n")
    ended = run_engine(compiled_program, 160, str(plan), {"grid_levels": 60, "rebalance_threshold": 30})
    counter.add(len(ended.own_runs))
    check(ended)
    assert ended.rebuilds >= REBUILDS
    assert ended.fills > 50
    assert ended.fullest_side == BOOK_SIDE_ORDERS
    assert ended.fullest_queue == MIN_EVENTS
    assert ended.reports["WALLET_ORDER_EVICTED"] > 0
    assert ended.reports["EVENT_QUEUE_FULL"] > 0
    assert ended.bundles["expired"] > 0


@pytest.mark.fuzz
def test_a_day_on_the_smallest_market_balances_to_the_lamport(
    compiled_program: bytes, counter: StepCounter
) -> None:
    ended = run_engine(compiled_program, 24 * 60, "standard", {"grid_levels": 60, "rebalance_threshold": 30})
    counter.add(len(ended.own_runs))
    check(ended)
    assert ended.rebuilds >= 10 * REBUILDS
    assert ended.reports["WALLET_ORDER_EVICTED"] > 0
