"""Every number of the report against a second working out from the raw tables."""

import asyncio
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import WorldOptions
from bmv.config import Settings
from bmv.core.ledger import Part
from bmv.errors import BadInput
from bmv.model import MarketSpec, Side, Trade
from bmv.report.files import write_csv
from bmv.report.material import Material, read
from bmv.report.page import page
from bmv.report.telling import report
from bmv.secret import Secret
from bmv.state.database import Database
from bmv.state.history import History
from bmv.state.rows import (
    Batch,
    BookRow,
    BundleEnd,
    BundleSent,
    EventRow,
    FillRow,
    MarkoutRow,
    OrderEnd,
    OrderRow,
    SampleRow,
)
from bmv.units import BaseLots, Millis, Ticks
from tests.report import printed
from tests.report.recomputed import HORIZONS, Recomputed, differences, leaves, rows_of
from tests.state.real_clock import RealClock

BEGAN = 1_767_225_600_000
HOUR, DAY = 3_600_000, 86_400_000
SPEC = MarketSpec("market", "mint", 6, 9, 1_000_000, 1_000, 100, 100, 100)


def material_of(
    url: Secret, market: str | None = None, start: int | None = None, end: int | None = None
) -> Material:
    async def asked() -> Material:
        database = Database(url, RealClock())
        try:
            async with database.connection() as connection:
                return await read(connection, market, start, end)
        finally:
            await database.close()

    return asyncio.run(asked())


def wrong(
    url: Secret, market: int, start: int | None = None, end: int | None = None
) -> tuple[list[str], int]:
    """Return what differs from the second working out, and how much was compared."""
    told = json.loads(json.dumps(report(material_of(url, None, start, end))))
    rows = asyncio.run(rows_of(url))
    return differences(told, Recomputed(rows, market, start, end).told()), leaves(told)


def misprinted(url: Secret, folder: Path) -> list[str]:
    """Return what of the page, its plots and the CSV files differs from the second working out."""
    material = material_of(url)
    told = report(material)
    rows = Recomputed(asyncio.run(rows_of(url)), 1)
    true, html = rows.told(), page(told, material)
    found = printed.wrong_rows(printed.tiles_of(html), printed.tiles(true))
    for shown, expected in zip(printed.tables_of(html), printed.tables(true), strict=True):
        found += printed.wrong_rows(shown, expected)
    for drawn, heights in zip(printed.plots_of(html), printed.plots(rows, true), strict=True):
        found += printed.wrong_plot(drawn, heights)
    sheets = printed.spreadsheets(true)
    for file in write_csv(told, folder):
        found += printed.wrong_lines(file, sheets.pop(file.name))
    return [*found, *sheets]


def demo(url: Secret, folder: Path, run_s: float, arrivals: int) -> dict[str, Any]:
    world = WorldOptions(seed=4, wallets=2)
    settings = Settings().model_copy(update={"database_url": url, "redis_url": Secret("redis://127.0.0.1:1")})
    return run_demo(
        DemoOptions(
            world=replace(world, crowd=replace(world.crowd, arrivals_per_day=arrivals)),
            settings=settings,
            speed=None,
            run_s=run_s,
            state_dir=folder,
            quiet=True,
            recorded=True,
        )
    )


def test_a_run_is_reported_as_its_rows_and_its_own_counters_say(database_url: Secret, tmp_path: Path) -> None:
    ran = demo(database_url, tmp_path, run_s=1_200, arrivals=40_000)
    found, compared = wrong(database_url, market=1)
    assert (found, compared > 250) == ([], True)
    assert misprinted(database_url, tmp_path) == []
    told = report(material_of(database_url))
    # What fills while the demo withdraws its orders is not in its own report.
    assert told["fills"]["count"] >= ran["fills"] > 5
    assert ran["identity_residual_lamports"] == told["pnl"]["residual_lamports"] == 0
    assert told["pnl"]["ledger_rows_missing"] == 0
    # The drain at the end costs something more than the demo's own books say: they are closed before it.
    parts, closed = told["pnl"]["parts_lamports"], ran["pnl_parts_lamports"]
    assert parts["rebates"] >= closed["rebates"] > 0
    assert parts["network_fees"] <= closed["network_fees"] < 0
    uptime = told["quotes"]["uptime"]
    assert uptime["bid"] > 0.9
    assert min(uptime["bid"], uptime["ask"]) >= uptime["both"] > 0.5
    assert {told["markouts"]["by_side"][side]["1s"]["fills"] > 0 for side in ("bid", "ask")} == {True}
    assert "unknown" not in told["fill_ratio"]["bid"]["filled_share_by_level"]


@pytest.mark.soak
def test_a_month_is_reported_as_its_rows_say(database_url: Secret, tmp_path: Path) -> None:
    ran = demo(database_url, tmp_path, run_s=30 * 86_400, arrivals=400)
    found, compared = wrong(database_url, market=1)
    assert (found, compared > 1_000) == ([], True)
    assert misprinted(database_url, tmp_path) == []
    told = report(material_of(database_url))
    assert told["fills"]["count"] >= ran["fills"] > 100
    assert told["pnl"]["residual_lamports"] == 0
    assert len(told["days"]) >= 30


# ---- a made-up history: several runs, lost rows, samples taken while something flew ----------------------


def written(url: Secret, batch: Batch) -> None:
    async def told() -> None:
        history = History.at(url, SPEC, "w", RealClock())
        await history.write(batch)
        await history.close()

    asyncio.run(told())


def made_up(rng: random.Random) -> Batch:
    batch = Batch()
    ended = BEGAN
    for number in range(3):
        ended = _run(rng, batch, ended + rng.randrange(DAY), number == 0)
    for seq in range(150):
        at, price, size = BEGAN + rng.randrange(6 * DAY), rng.randrange(90, 110), rng.randrange(1, 50)
        own = rng.random() < 0.4
        batch.trades.append(Trade(seq, Millis(at), Ticks(price), BaseLots(size), rng.choice(list(Side)), own))
        if own:
            _fill(rng, batch, seq, at, price, size)
    for number in range(60):
        at = BEGAN + rng.randrange(6 * DAY)
        tickets = [number, number + 1]
        outcome = rng.choice(["landed", "landed", "failed", "expired"])
        batch.sent.append(BundleSent(str(number), at, tickets, ["s"], 9, 7, 5))
        batch.resolved.append(BundleEnd(str(number), at + 900, outcome, 1, "", rng.randrange(99), 5))
        if rng.random() < 0.3:
            batch.books.append(BookRow(1, number + 1, at + 1_000, "conversions", 3, f"conversion {number}"))
            name = rng.choice(["FIAT_INJECTION", "FIAT_RESERVE"])
            fields: dict[str, str | int] = {"usdc": 10**6 + number, "sol": 10**9 + number, "proven": 1}
            batch.events.append(EventRow(1, number, at + 1_000, name, fields | {"rule": "upper"}))
        if rng.random() < 0.2:
            lost: dict[str, str | int] = {"wallet": 0, "lamports": 10**7 + number, "account": "a"}
            batch.events.append(EventRow(2, number, at, "RENT_RECLAIM", lost))
    return batch


def _run(rng: random.Random, batch: Batch, run: int, old: bool) -> int:
    at, booked = run, 0
    for _ in range(rng.randrange(20, 60)):
        at += rng.choice([60_000, 90_000, HOUR, 3 * HOUR])
        for _ in range(rng.randrange(5)):
            booked += 1
            if rng.random() < 0.97:
                part = rng.choice(list(Part)).value
                batch.books.append(BookRow(run, booked, at, part, rng.randrange(-(10**6), 10**6), "cause"))
        quoting = rng.randrange(1, 60_000)
        bid, ask = rng.randrange(quoting + 1), rng.randrange(quoting + 1)
        sums = [rng.randrange(10**15) for _ in range(8)]
        batch.samples.append(
            SampleRow(
                run=run,
                at=at,
                booked=booked,
                settled=rng.random() < 0.8 or at == run,
                sol=10**12 + rng.randrange(10**11),
                base=rng.randrange(10**6),
                usdc=rng.randrange(10**10),
                sol_usd=rng.randrange(10**8, 2 * 10**8),
                mark=rng.randrange(90, 110),
                rent=rng.randrange(10**8),
                price_fine=100 << 24,
                pivot_fine=None,
                orders=3,
                quoting=quoting,
                present_bid=bid,
                present_ask=ask,
                spread_weighted=rng.randrange(10**9),
                spread_millis=rng.randrange(60_000),
                depth_millis=60_000,
                depth=sums + [each + rng.randrange(10**15) for each in sums],
                present_both=None if old else rng.randrange(min(bid, ask) + 1),
            )
        )
    return at


def _fill(rng: random.Random, batch: Batch, seq: int, at: int, price: int, size: int) -> None:
    side, order_id = rng.randrange(2), seq // 2
    other = rng.choice("abcd")
    batch.fills.append(
        FillRow(seq, at, at, "wallet", side, price, size, True, 2, 1, order_id, 1, other, rng.random() < 0.05)
    )
    level = rng.choice([None, 0, 1, 2, 3, 7, 20])
    batch.orders.append(OrderRow(order_id, "wallet", side, price, size * 3, 1, at, level))
    if rng.random() < 0.7:
        ending = rng.choice(["filled", "cancelled", "gone"])
        batch.ends.append(OrderEnd(order_id, at + 5, ending, size))
    batch.markouts += [
        MarkoutRow(seq, horizon, at, rng.randrange(90 << 24, 110 << 24))
        for horizon in HORIZONS
        if rng.random() < 0.9
    ]


@pytest.mark.parametrize("seed", range(4))
def test_any_history_is_reported_as_its_rows_say_whole_or_in_part(database_url: Secret, seed: int) -> None:
    rng = random.Random(seed)
    written(database_url, made_up(rng))
    assert wrong(database_url, 1)[0] == []
    start = BEGAN + DAY + rng.randrange(DAY)
    assert wrong(database_url, 1, start, start + 3 * DAY + rng.randrange(DAY))[0] == []


def test_where_nothing_was_recorded_the_report_says_so(database_url: Secret) -> None:
    with pytest.raises(BadInput, match="bmv db migrate"):
        material_of(database_url)
    written(database_url, made_up(random.Random(1)))
    with pytest.raises(BadInput, match="nothing recorded"):
        material_of(database_url, None, BEGAN - 2 * DAY, BEGAN - DAY)
    with pytest.raises(BadInput, match="MARKET"):
        material_of(database_url, "another")


class Tags(HTMLParser):
    """Gather what a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {value}" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_that_people_read_is_that_of_the_rows(
    database_url: Secret, tmp_path: Path, seed: int
) -> None:
    written(database_url, made_up(random.Random(seed)))
    assert misprinted(database_url, tmp_path) == []


def test_the_page_needs_nothing_else_and_the_files_hold_the_same_numbers(
    database_url: Secret, tmp_path: Path
) -> None:
    written(database_url, made_up(random.Random(2)))
    material = material_of(database_url)
    told = report(material)
    html, tags = page(told, material), Tags()
    tags.feed(html)
    assert tags.loads == []
    assert len(re.findall(r"Plotly\.newPlot\(", html)) == 6
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        wide = {len(re.findall("<t[dh]>", row)) for row in table.split("</tr>")[:-1]}
        assert len(wide) == 1, table
    assert f"{told['pnl']['parts_lamports']['spread'] / 1e9:+.9f}" in tags.words
    files = {path.name: path.read_text().splitlines() for path in write_csv(told, tmp_path)}
    assert len(files["days.csv"]) == len(told["days"]) + 1
    assert f"spread,{told['pnl']['parts_lamports']['spread']}" in files["parts.csv"]
    assert len(files["depth.csv"]) == 9
    curves = 2 + sum(len(levels) for levels in told["markouts"]["by_level"].values())
    assert len(files["markouts.csv"]) == curves * len(HORIZONS) + 1
