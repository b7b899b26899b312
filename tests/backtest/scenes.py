"""Small tapes for backtests."""

import random
from pathlib import Path

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.scene import Scene, scene
from bmv.backtest.tape import Table, read_table
from bmv.config import Settings, read

START = 1_700_000_000


def settings(levels: int = 40) -> Settings:
    return read(None, {"BMV_GRID_LEVELS": str(levels)}).settings


def walk(seed: int, bars: int, step: float = 0.006) -> list[float]:
    rng, price, found = random.Random(seed), 0.01, []
    for _ in range(bars):
        price *= 1 + rng.gauss(0, step)
        found.append(price)
    return found


def bars(folder: Path, closes: list[float], every_s: int = 900) -> Table:
    file = folder / "bars.csv"
    rows = [f"{START + every_s * number},{price!r}" for number, price in enumerate(closes)]
    file.write_text("ts,close\n" + "\n".join(rows) + "\n")
    return read_table(file)


def trades(folder: Path, prices: list[float], every_s: int = 20) -> Table:
    rng, file = random.Random(1), folder / "trades.csv"
    rows = [f"{START + every_s * n},{price!r},{rng.uniform(10, 500):.3f}" for n, price in enumerate(prices)]
    file.write_text("ts,price,size\n" + "\n".join(rows) + "\n")
    return read_table(file)


def played(table: Table, assumed: Assumptions | None = None, chosen: Settings | None = None) -> Scene:
    made = scene("test", table, chosen or settings(), assumed or Assumptions())
    made.run.run()
    return made
