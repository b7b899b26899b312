"""The same hours in the sandbox and in a backtest: the same people come, and find nearly the same.

A day agrees within 5 % (docs/backtest.md); in a few hours one sweep is as much of the volume.
"""

from decimal import Decimal
from pathlib import Path

from bmv.app.demo import VIRTUAL_START_MS, DemoOptions, run_demo
from bmv.app.world import WorldOptions
from bmv.backtest.assumptions import Assumptions
from bmv.backtest.scene import scene
from bmv.backtest.tape import cut, read_table
from bmv.config import read
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import load_prices
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Lamports, MicroUsd

HOURS, SEED = 4, 7
ARRIVALS = 600
PRICES = (0.1085, 0.1115, 0.1071, 0.1077, 0.1062)
SETTINGS = {
    "BMV_GRID_LEVELS": "40",
    "BMV_TARGET_CONTROL_PCT": "0",
    "BMV_SEED_PRICE": "0.1085",
    "BMV_SEED_DAILY_VOLUME": "92.166",
}


def column(path: Path, values: tuple[float, ...]) -> Path:
    rows = [f"{VIRTUAL_START_MS + 3_600_000 * hour},{value}" for hour, value in enumerate(values)]
    path.write_text("ts,close\n" + "\n".join(rows) + "\n")
    return path


def test_fills_agree_within_five_percent_by_count_and_ten_by_volume(tmp_path: Path) -> None:
    prices, dollars = column(tmp_path / "token.csv", PRICES), column(tmp_path / "sol.csv", (40.0,) * 5)
    settings, run_ms = read(None, SETTINGS).settings, HOURS * 3_600_000
    world = WorldOptions(
        seed=SEED,
        path=load_prices(prices),
        sol_usd=load_prices(dollars),
        run_ms=run_ms,
        crowd=CrowdOptions(arrivals_per_day=ARRIVALS, same_takers=True).without_makers(),
    )
    lived = run_demo(DemoOptions(world, settings, None, run_ms / 1000, None, quiet=True))
    assumed = Assumptions(
        sole_maker=True,
        takers_per_day=ARRIVALS,
        arbitrageurs=3,
        loss=0.0,
        sol=Lamports(480 * LAMPORTS_PER_SOL),
        tokens_worth=Lamports(480 * LAMPORTS_PER_SOL),
        treasury_sol=Lamports(40 * LAMPORTS_PER_SOL),
        usdc=MicroUsd(6_000 * MICROS_PER_USD),
        seed=SEED,
    )
    table = cut(read_table(prices), Decimal(HOURS) / 24)
    played = scene("the same", table, settings, assumed, read_table(dollars))
    played.run.run()
    assert lived["fills"] > 50
    assert abs(len(played.run.fills) / lived["fills"] - 1) <= 0.05
    volume = played.run.tally.volume / LAMPORTS_PER_SOL
    assert abs(volume / float(lived["volume_sol"]) - 1) <= 0.10
