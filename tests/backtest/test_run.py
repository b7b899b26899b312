"""A backtest is the live decision on a tape: repeatable, blind to the future, exact in its books."""

from pathlib import Path

import pytest

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.crowd import PaperFloor
from bmv.backtest.paper import Model
from bmv.backtest.scene import scene
from bmv.backtest.tape import Table
from bmv.errors import BadInput
from bmv.events import AnyAction
from bmv.model import Side
from bmv.units import LAMPORTS_PER_SOL, Bps, Ticks
from tests.backtest.scenes import bars, played, settings, trades, walk

DAY_BARS = 96


def decided(table: Table, assumed: Assumptions, until_ms: int) -> list[tuple[int, AnyAction]]:
    """Return every action with its time, up to a moment."""
    made = scene("test", table, settings(), assumed)
    seen: list[tuple[int, AnyAction]] = []
    fold = made.run.journal.action

    def note(action: AnyAction) -> None:
        seen.append((int(made.run.state.now), action))
        fold(action)

    made.run.journal.action = note  # type: ignore[method-assign]
    made.run.run()
    return [each for each in seen if each[0] < until_ms]


@pytest.mark.parametrize("sole_maker", [False, True])
def test_what_comes_later_changes_nothing_before(tmp_path: Path, sole_maker: bool) -> None:
    past, future = walk(1, DAY_BARS // 2), walk(2, DAY_BARS // 2, 0.03)
    assumed = Assumptions(sole_maker=sole_maker, takers_per_day=200 if sole_maker else 0)
    one = bars(tmp_path, past + walk(3, DAY_BARS // 2))
    change_at = int(one.times[len(past)])
    first = decided(one, assumed, change_at)
    # Ticks are chosen by the lowest price there is: the other future stays above it.
    other = bars(tmp_path, past + [max(price, min(past)) for price in future])
    assert len(first) > 20
    assert decided(other, assumed, change_at) == first


@pytest.mark.parametrize("model", ["touch", "through", "queue"])
@pytest.mark.parametrize("sole_maker", [False, True])
def test_profit_and_loss_add_up_to_the_lamport(tmp_path: Path, model: Model, sole_maker: bool) -> None:
    assumed = Assumptions(fills=model, sole_maker=sole_maker, loss=0.2)
    made = played(trades(tmp_path, walk(4, 1_500, 0.002)), assumed)
    run = made.run
    assert len(run.fills) > 10
    assert run.equity() - run.equity_start == sum(map(int, run.ledger.totals().values()))


def test_what_wallets_hold_is_what_they_began_with_and_every_fill_tip_and_fee(tmp_path: Path) -> None:
    table = trades(tmp_path, walk(5, 1_500, 0.002))
    fresh, made = scene("fresh", table, settings(), Assumptions()).run, played(table)
    run, lot = made.run, made.spec.quote_lot_size
    signs = [1 if fill.side is Side.BID else -1 for fill in run.fills]
    paid = sum(sign * int(f.price) * int(f.size) * lot for sign, f in zip(signs, run.fills, strict=True))
    bought = sum(sign * int(f.size) for sign, f in zip(signs, run.fills, strict=True))
    assert len(run.fills) > 10
    assert run.holdings() == fresh.holdings() - paid - run.tally.tips - run.tally.fees
    assert sum(p.base for p in run.paper.purses) == sum(p.base for p in fresh.paper.purses) + bought


def test_the_same_run_gives_the_same_digest_and_another_chance_another(tmp_path: Path) -> None:
    table = bars(tmp_path, walk(6, DAY_BARS))
    digests = [played(table, Assumptions(seed=seed, loss=0.3)).run.journal.digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_where_every_change_is_lost_nothing_ever_stands(tmp_path: Path) -> None:
    run = played(bars(tmp_path, walk(7, DAY_BARS)), Assumptions(loss=1.0)).run
    assert (len(run.fills), run.paper.bids, run.paper.asks, run.tally.tips) == (0, [], [], 0)
    assert run.tally.lost > 0


def test_a_later_landing_gives_another_course(tmp_path: Path) -> None:
    table = bars(tmp_path, walk(8, 2 * DAY_BARS), every_s=60)
    quick, slow = (played(table, Assumptions(latency_ms=ms, loss=0)).run for ms in (100, 45_000))
    assert quick.journal.digest != slow.journal.digest


def test_takers_beyond_the_path_come_only_where_they_are_assumed(tmp_path: Path) -> None:
    table = bars(tmp_path, [0.01] * DAY_BARS)
    calm, busy = (played(table, Assumptions(sole_maker=True, takers_per_day=n)).run for n in (0, 600))
    assert len(calm.fills) == 0
    assert len(busy.fills) > 50
    assert busy.equity() - busy.equity_start == sum(map(int, busy.ledger.totals().values()))


def test_beside_others_who_quote_better_takers_never_reach_us(tmp_path: Path) -> None:
    table = bars(tmp_path, [0.01] * DAY_BARS)
    run = played(table, Assumptions(takers_per_day=600, others_spread=Bps(20))).run
    assert len(run.fills) == 0


def test_a_queue_needs_sizes(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="bars do not say how much traded"):
        scene("test", bars(tmp_path, walk(9, 10)), settings(), Assumptions(fills="queue"))


def test_arbitrageurs_come_seconds_after_a_jump_and_take_so_much_at_a_time(tmp_path: Path) -> None:
    table = bars(tmp_path, [0.01] * (DAY_BARS // 2) + [0.0093] * (DAY_BARS // 2))
    jump = int(table.times[DAY_BARS // 2])
    at_once, later = (
        played(table, Assumptions(sole_maker=True, loss=0, latency_ms=60_000, arbitrageurs=n)).run
        for n in (0, 3)
    )
    assert min(int(fill.at) for fill in at_once.fills) == jump
    worth: dict[int, int] = {}
    for fill in later.fills:
        paid = int(fill.price) * int(fill.size) * later.paper.spec.quote_lot_size
        worth[int(fill.at) - jump] = worth.get(int(fill.at) - jump, 0) + paid
    assert 0 < min(worth) <= 10_000
    assert 10 * LAMPORTS_PER_SOL < max(worth.values()) <= 26 * LAMPORTS_PER_SOL
    # They keep 0.2 %: nothing nearer to the path than that is taken.
    near = 0.0093 * 1.002 / float(later.paper.spec.price(Ticks(1)))
    assert min(int(fill.price) for fill in later.fills) >= int(near)
    assert later.equity() - later.equity_start == sum(map(int, later.ledger.totals().values()))


def test_arbitrageurs_have_no_use_for_a_tape_of_trades(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="who took"):
        scene("test", trades(tmp_path, walk(9, 10)), settings(), Assumptions(arbitrageurs=1))


def test_takers_know_the_path_as_far_as_it_has_come(tmp_path: Path) -> None:
    made = scene(
        "test",
        bars(tmp_path, [0.01, 0.01, 0.0105, 0.0105, 0.0105, 0.0105, 0.0105]),
        settings(),
        Assumptions(),
    )
    floor = PaperFloor(made.run.paper, made.tape, lambda: (None, None))
    start, step = int(made.tape.times[0]), 900_000
    busy = [floor.activity_at(start + step * n) for n in range(7)]
    assert busy == pytest.approx([0.5, 0.5, 3.0, 3.0, 3.0, 3.0, 0.5])
    trend = floor.fair(start + 2 * step) / floor.fair(start)
    assert trend == pytest.approx(1.05, rel=1e-3)
    assert floor.look_again(start, 60_000, 2_000) == start + 60_000
    assert floor.look_again(start + step - 1_000, 60_000, 2_000) == start + step + 2_000


def test_no_reading_disagrees_with_the_fills_whatever_costs_are_paid(tmp_path: Path) -> None:
    run = played(bars(tmp_path, walk(10, DAY_BARS)), Assumptions(sole_maker=True, takers_per_day=300)).run
    assert len(run.fills) > 10
    assert "FILLS_DISAGREE" not in run.tally.incidents
    assert {int(view.gas) for view in run.state.views.values()} == {int(settings().gas_floor)}
