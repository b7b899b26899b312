"""The table of behaviour to expect, one situation after the other, each on its own axis."""

import pytest

from bmv.model import TOUCH, Side
from bmv.sandbox.people.crowd import CrowdOptions
from tests.scenario.playing import HOUR_MS, MINUTE_MS, Scenario, Seen, play

START = 0.012
NOBODY = CrowdOptions(takers=0, arbitrageurs=0).without_makers()


@pytest.fixture(scope="module")
def still() -> Seen:
    """Two hours and a half in which nobody does anything."""
    return play(Scenario(((0, START), (2.5, START)), NOBODY, levels=60, wallets=2))


def test_in_a_flat_market_zones_stand_still(still: Seen) -> None:
    borders = {(s.price, s.buy_low, s.buy_high, s.sell_low, s.sell_high) for s in still.samples}
    assert len(borders) == 1
    assert still.share(lambda s: s.bid is not None and s.ask is not None) == 1


def test_in_a_flat_market_the_inside_spread_tightens_step_by_step_and_nothing_else_is_sent(
    still: Seen,
) -> None:
    spreads = [s.spread_bps for s in still.samples]
    assert sorted(set(spreads), reverse=True) == [100, 88, 75, 63, 50]
    assert spreads == sorted(spreads, reverse=True)
    first = {p.point for at, p, _ in still.placed if at < still.samples[0].at}
    later = [(p.point, p.side) for at, p, _ in still.placed if at >= still.samples[0].at]
    assert len(first) > 30
    assert sorted(later) == sorted([(TOUCH, side) for side in Side] * 4)
    assert len(still.placed) - len(still.withdrawn) == still.samples[-1].orders


def test_a_forced_sync_in_a_flat_market_sends_nothing(still: Seen) -> None:
    last_step = max(at for at, _, _ in still.placed)
    computed = sorted({sample.built_at for sample in still.samples})
    assert computed[-1] - computed[-2] >= HOUR_MS
    assert computed[-1] > last_step
    assert still.samples[-1].at > computed[-1] + 10 * MINUTE_MS
    assert not [r for r in still.events("GRID_REBUILD") if r["trigger"] == "forced"]
