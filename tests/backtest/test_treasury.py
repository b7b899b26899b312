"""A backtest's treasury is the live one: it converts by the same rules, pays for it, and its books close."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.course import Course
from bmv.backtest.dollars import dollars_of
from bmv.backtest.measure import Columns, report
from bmv.backtest.paper import ChangeFailed, Paper, Purse
from bmv.backtest.scene import Scene, scene
from bmv.backtest.tape import Table, tape_of
from bmv.backtest.treasury import PaperTreasury
from bmv.core.decay import BPS, FINE
from bmv.core.ledger import Part
from bmv.errors import BadInput
from bmv.events import Collect, Convert, Fund
from bmv.model import Conversion, Direction, Rule, Share
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Bps, Lamports, MicroUsd, UsdPerSol
from tests.backtest.scenes import bars, settings, walk

DAY_BARS = 96
SOL = LAMPORTS_PER_SOL
PRICE = UsdPerSol(100 * MICROS_PER_USD)
RICH = Assumptions(usdc=MicroUsd(5_000 * MICROS_PER_USD))


def tables(folder: Path, days: int, sol: list[float], seed: int = 1) -> tuple[Table, Table]:
    """Return a token's bars and what a SOL cost meanwhile, in bars of the same length."""
    market = bars(folder, walk(seed, DAY_BARS * days, 0.004))
    (folder / "sol").mkdir(exist_ok=True)
    return market, bars(folder / "sol", sol)


def played(market: Table, sol: Table | None, assumed: Assumptions = RICH) -> Scene:
    made = scene("test", market, settings(), assumed, sol)
    made.run.run()
    return made


def test_in_a_fall_of_sol_the_damper_spends_dollars_and_the_books_close(tmp_path: Path) -> None:
    steps = DAY_BARS * 2
    falling = [100.0] * DAY_BARS + [100 - 60 * n / steps for n in range(steps - DAY_BARS)]
    made = played(*tables(tmp_path, 2, falling), msgspec.structs.replace(RICH, loss=0.2))
    run, held = made.run, made.run.treasury
    assert held is not None
    assert held.rules["damper"] > 1
    assert held.usdc == run.ledger.usdc < RICH.usdc
    assert held.bought > Lamports(0)
    parts = run.ledger.totals()
    assert run.equity() - run.equity_start == sum(map(int, parts.values()))
    assert int(parts[Part.CONVERSIONS]) < 0 < int(parts[Part.DOLLARS])
    # What was bought has gone to the wallets, where the bids are.
    assert held.sol < RICH.treasury_sol + held.bought // 4


def test_out_of_what_a_rise_sells_dollars_are_put_aside(tmp_path: Path) -> None:
    market = bars(tmp_path, [0.01 * 1.001**n for n in range(DAY_BARS)])
    (tmp_path / "sol").mkdir()
    made = played(market, bars(tmp_path / "sol", [100.0] * DAY_BARS), Assumptions())
    held = made.run.treasury
    assert held is not None
    assert set(held.rules) == {"upper half"}
    assert held.usdc > MicroUsd(0)
    told = report("test", market, made.tape, made.spec, made.run)["treasury"]
    assert told["conversions"] == sum(held.rules.values())
    assert 0 < told["usdc_share"]["end"] <= told["usdc_share"]["max"] < 0.3
    assert float(told["equity_usd"]["start"]) == pytest.approx(100 * made.run.equity_start / SOL, abs=0.01)


def test_without_prices_of_sol_nothing_is_converted(tmp_path: Path) -> None:
    made = played(tables(tmp_path, 1, [100.0] * DAY_BARS)[0], None)
    assert made.run.treasury is None
    told = report("test", bars(tmp_path, [1.0, 1.0]), made.tape, made.spec, made.run)
    assert told["treasury"] is None
    assert any("no treasury" in sentence for sentence in RICH.sentences())


def test_what_sol_costs_later_changes_nothing_before(tmp_path: Path) -> None:
    half = DAY_BARS // 2
    calm, wild = [100.0] * half + [100.0] * half, [100.0] * half + [60.0] * half
    digests = []
    for sol in (calm, wild):
        market, dollars = tables(tmp_path, 1, sol)
        made = scene("test", market, settings(), RICH, dollars)
        change = int(dollars.times[half])
        made.run.run(lambda _, run=made.run, until=change: run._now < until - 900_000)  # type: ignore[misc]
        digests.append(made.run.journal.digest)
    assert digests[0] == digests[1]


def test_prices_of_sol_are_known_from_their_time_on_and_must_span_the_tape(tmp_path: Path) -> None:
    market, sol = tables(tmp_path, 1, [float(100 + n) for n in range(DAY_BARS)])
    spec = scene("test", market, settings(), RICH).spec
    dollars = dollars_of(sol, tape_of(market, spec))
    for number in (0, 1, 50):
        at = int(sol.times[number])
        assert int(dollars.at(at)) == (100 + number) * MICROS_PER_USD
        assert number == 0 or int(dollars.at(at - 1)) == (99 + number) * MICROS_PER_USD
    for part in (slice(1, None), slice(0, DAY_BARS - 2)):
        with pytest.raises(BadInput, match="for the whole tape"):
            dollars_of(sol.rows(part), tape_of(market, spec))


def test_holding_and_a_constant_mix_count_the_dollars_too(tmp_path: Path) -> None:
    made = scene("test", bars(tmp_path, walk(1, 9)), settings(), RICH)
    course, price = Course(), 10_000
    lots = 100 * SOL // (price * made.spec.quote_lot_size)
    for number, sol_usd in enumerate((100, 50, 100)):
        held = 150 * SOL, lots, 5_000 * MICROS_PER_USD, sol_usd * MICROS_PER_USD
        course.note(number * 1_000, price * FINE, made.run.paper, *held)
    columns = Columns(course, made.spec.quote_lot_size)
    # 5,000 dollars are 50 SOL, then 100, then 50 again; the mix has sold half of the gain, and keeps it.
    assert columns.hold.tolist() == pytest.approx([300, 350, 300], rel=1e-4)
    assert columns.equity.tolist() == pytest.approx(columns.hold.tolist())
    sixth = 300 * (1 + 1 / 6)
    assert columns.mix.tolist() == pytest.approx([300, sixth, sixth * (1 - 1 / 12)], rel=1e-4)
    assert columns.usdc_share.tolist() == pytest.approx([0.25, 0.4, 0.25])


def wallets(spec_of: Scene) -> Paper:
    return Paper(spec_of.spec, [Purse(SOL, 10 * SOL, 0), Purse(SOL, 20 * SOL, 0)], "through")


def swap(direction: Direction, sol: int, usdc: int) -> Convert:
    sizes = MicroUsd(usdc * MICROS_PER_USD), Lamports(sol * SOL)
    return Convert(1, Conversion(Rule.UPPER, direction, *sizes, "test"))


def test_a_swap_brings_the_price_less_its_cost_or_fails_whole(tmp_path: Path) -> None:
    paper = wallets(scene("test", bars(tmp_path, walk(1, 9)), settings(), RICH))
    held = PaperTreasury(Lamports(10 * SOL), MicroUsd(500 * MICROS_PER_USD), Bps(10))
    sold = held.carry_out(swap(Direction.SELL_SOL, 2, 200), paper, PRICE, settings())
    assert (int(sold[0]), int(sold[1])) == (-2 * SOL, 200 * MICROS_PER_USD * (BPS - 10) // BPS)
    bought = held.carry_out(swap(Direction.BUY_SOL, 1, 100), paper, PRICE, settings())
    assert (int(bought[0]), int(bought[1])) == (SOL * (BPS - 10) // BPS, -100 * MICROS_PER_USD)
    before = replace(held)
    for beyond in (swap(Direction.SELL_SOL, 99, 9_900), swap(Direction.BUY_SOL, 50, 5_000)):
        with pytest.raises(ChangeFailed):
            held.carry_out(beyond, paper, PRICE, settings())
    # The price has left what was signed for: 1 % from the oracle and 0.5 % more.
    with pytest.raises(ChangeFailed):
        held.carry_out(swap(Direction.SELL_SOL, 1, 100), paper, UsdPerSol(98 * MICROS_PER_USD), settings())
    assert replace(held) == before


def test_what_is_sent_to_wallets_and_collected_from_them_is_neither_made_nor_lost(tmp_path: Path) -> None:
    paper = wallets(scene("test", bars(tmp_path, walk(1, 9)), settings(), RICH))
    held = PaperTreasury(Lamports(3 * SOL), MicroUsd(0), Bps(0))

    def total() -> int:
        return int(held.sol) + sum(purse.gas + purse.quote for purse in paper.purses)

    before = total()
    shares = Share(0, Lamports(SOL), is_gas=True), Share(1, Lamports(SOL))
    held.carry_out(Fund(1, shares), paper, PRICE, settings())
    held.carry_out(Collect(2, 1, Lamports(5 * SOL)), paper, PRICE, settings())
    assert [(p.gas, p.quote) for p in paper.purses] == [(2 * SOL, 10 * SOL), (SOL, 16 * SOL)]
    assert (int(held.sol), total(), paper.changed) == (6 * SOL, before, {0, 1})
    for beyond in (Fund(3, (Share(0, Lamports(7 * SOL)),)), Collect(4, 0, Lamports(11 * SOL))):
        with pytest.raises(ChangeFailed):
            held.carry_out(beyond, paper, PRICE, settings())
    assert total() == before
