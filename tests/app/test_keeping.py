"""What a demo did is in PostgreSQL, once, and agrees with its journal."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import asyncpg
import msgspec

from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import WorldOptions
from bmv.config import DAY_MS, HOUR_MS, Settings
from bmv.model import MarketSpec
from bmv.observe.segments import records
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.secret import Secret
from bmv.services.mending import completed, journalled
from bmv.services.recollection import recollect
from bmv.state.folder import StateFolder
from bmv.state.history import History
from bmv.state.rows import Opening
from bmv.units import Millis

RUN_S = 300


def demo(url: Secret, folder: Path) -> DemoOptions:
    world = WorldOptions(seed=2, wallets=2)
    lively = replace(world, crowd=replace(world.crowd, arrivals_per_day=60_000))
    settings = Settings().model_copy(update={"database_url": url, "redis_url": Secret("redis://127.0.0.1:1")})
    return DemoOptions(
        world=lively, settings=settings, speed=None, run_s=RUN_S, state_dir=folder, quiet=True, recorded=True
    )


async def _asked(url: Secret, query: str) -> object:
    connection = await asyncpg.connect(url.reveal(), server_settings={"search_path": "bmv"})
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_a_run_is_recorded_as_it_was_and_recording_changes_nothing(
    database_url: Secret, tmp_path: Path
) -> None:
    options = demo(database_url, tmp_path)
    result = run_demo(options)
    assert run_demo(replace(options, recorded=False, state_dir=None))["digest"] == result["digest"]

    def asked(query: str) -> object:
        return asyncio.run(_asked(database_url, query))

    # The journal is the other account of the same run, written by other code.
    journal = [json.loads(record.payload) for record in records(tmp_path / "journal")]
    events = [entry["event"] for entry in journal if "event" in entry]
    fills = [fill for event in events for fill in event.get("fills", ())]
    trades = [trade for event in events for trade in event.get("trades", ())]
    outcomes = [event["outcome"] for event in events if event["type"] == "BundleResolved"]
    actions = [entry["action"] for entry in journal if "action" in entry]
    reports = Counter(action["name"] for action in actions if action["type"] == "Report")
    assert min(len(fills), len(outcomes), reports["GRID_REBUILD"]) > 2

    assert asked("SELECT count(*) FROM fill") == len(fills)
    assert asked("SELECT sum(price * size) FROM fill") == sum(fill["price"] * fill["size"] for fill in fills)
    assert asked("SELECT count(*) FROM fill JOIN trade USING (market, seq, price, size)") == len(fills)
    traded = sum(trade["price"] * trade["size"] for trade in trades)
    assert asked("SELECT sum(price * size) FROM trade") == traded
    assert asked("SELECT sum(notional) FROM trade_hour") == traded
    assert asked("SELECT count(*) FROM bundle WHERE sent_at > 0") == len(outcomes)
    assert asked("SELECT count(*) FROM bundle WHERE outcome = 'landed'") == outcomes.count("landed")
    assert asked("SELECT count(*) FROM event WHERE name <> 'TRANSFER'") == reports.total()
    assert asked("SELECT count(*) FROM rebuild") == reports["GRID_REBUILD"]
    assert asked("SELECT count(*) FROM kill") == 1
    assert asked("SELECT count(*) FROM conversion") == reports["FIAT_INJECTION"] + reports["FIAT_RESERVE"]
    orphans = "fill LEFT JOIN own_order USING (market, order_id) WHERE own_order.seen_at IS NULL"
    assert asked(f"SELECT count(*) FROM {orphans}") == 0
    assert asked("SELECT count(*) FROM own_order WHERE ended_at IS NULL OR ending = 'gone'") == 0
    assert asked("SELECT sum(filled) FROM own_order") == asked("SELECT sum(size) FROM fill")
    assert asked("SELECT count(DISTINCT wallet) FROM balance") == options.world.wallets + 1
    assert asked("SELECT (belief ->> 'net_base')::bigint FROM market") == asked(
        "SELECT sum(CASE side WHEN 0 THEN size ELSE -size END) FROM fill"
    )
    assert not list(StateFolder(tmp_path).spool.iterdir())

    # A database that was lost gets the same rows from the journal, and they are what an engine goes on from.
    opening = asyncio.run(_read_back(database_url, tmp_path / "journal"))
    for table, columns in {
        "trade": "seq, at, price, size, own",
        "fill": "seq, at, seen_at, wallet, price, size, order_id, fee, rebate",
        "bundle": "bundle_id, sent_at, tickets, signatures, outcome, ended_at, slot, tip, fees",
        "event": "run, number, at, name, fields",
    }.items():
        both = [f"SELECT {columns} FROM {table} WHERE market = {market}" for market in (1, 2)]
        assert (
            asked(
                f"SELECT count(*) FROM ({both[0]}) one FULL JOIN ({both[1]}) two USING ({columns})"
                " WHERE one.* IS NULL OR two.* IS NULL"
            )
            == 0
        )
    memory = completed(None, opening, "market", ["owner"])
    assert memory is not None
    assert sum(hour.volume for hour in memory.hours.values()) == sum(trade["size"] for trade in trades)
    assert memory.first_start == opening.first_start


async def _read_back(url: Secret, folder: Path) -> Opening:
    """Write what a journal tells into a world of its own, twice; return what an engine would start from."""
    head = json.loads(next(records(folder)).payload)["run"]
    spec = msgspec.convert(head["market"], MarketSpec)
    clock = LoopClock(SimulatedLoop(1.0), head["at"] + RUN_S * 1_000)
    history = History.at(url, spec, "read back", clock)
    memory = recollect(folder)
    assert memory is not None
    for _ in range(2):
        for batch in journalled(folder, memory.pages, Millis(0)):
            await history.write(batch)
    opening = await history.opening(clock.now(), Millis(DAY_MS), Millis(HOUR_MS))
    await history.close()
    return opening
