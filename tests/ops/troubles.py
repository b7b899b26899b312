"""Runs in which things go wrong, and what the real alert rules make of their scrapes."""

import asyncio
import contextlib
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from solders.system_program import TransferParams, transfer

from bmv.app.assembly import Assembly
from bmv.app.world import World
from bmv.events import ConfigChanged
from bmv.model import Side
from bmv.sandbox.dollar_genesis import Purse
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.people.floor import Floor, Trader
from bmv.services.lag import Lag
from tests.app.outage import Outage
from tests.app.recorded_run import settings_of
from tests.app.scraped_run import EVERY_S, Seen, scraping

RULES = Path(__file__).parents[2] / "ops" / "prometheus" / "bmv.rules.yml"
ALERTS = re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8"))
POOR = Purse(Decimal(0), Decimal(0))
MINUTE = 60
FEED, THEFT, WASH, LATE, OWN_TRADE, END = (n * MINUTE for n in (12, 18, 20, 22, 44, 46))
"""When something goes wrong in ``troubled``, in seconds since the start."""
LOST, FOUND = 6 * MINUTE, 34 * MINUTE
"""Between these bundles are lost in ``losing``."""
AWAY, BACK = 4 * MINUTE, 24 * MINUTE
"""Between these PostgreSQL and Redis are away there."""
MOST_ROWS, SPOOL_BYTES = 100, 20_000
"""So many rows does the memory take there meanwhile, and so much the disk."""
RAISED = 20 * MINUTE
"""Then the budget is raised in ``poor``."""


def firing(seen: Seen, folder: Path) -> dict[str, list[int]]:
    """Return in which minutes of a run, and the one after it, which alerts fire, as promtool has it."""
    minutes = range(1, len(seen.scrapes) * EVERY_S // MINUTE + 2)
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": f"{EVERY_S}s",
                "input_series": _series(seen),
                # Nothing is expected; what is there instead is what promtool complains about.
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": alert} for minute in minutes for alert in ALERTS
                ],
            }
        ],
    }
    (folder / "tests.yml").write_text(json.dumps(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", str(folder / "tests.yml")],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    found: dict[str, list[int]] = defaultdict(list)
    for alert, *told in re.findall(r"alertname: (\w+), time: (?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?", said):
        days, hours, minute = (int(each or 0) for each in told)
        found[alert].append((days * 24 + hours) * 60 + minute)
    assert (done.returncode == 0) == (not found), said
    return dict(found)


def _series(seen: Seen) -> list[dict[str, str]]:
    """Return what the rules read of the scrapes, in the words of promtool."""
    names = set(re.findall(r"\bbmv_\w+", RULES.read_text(encoding="utf-8")))
    keys = {key for scrape in seen.scrapes for key in scrape if key[0] in names}
    found = [{"series": 'up{job="bmv"}', "values": f"1x{len(seen.scrapes)}"}]
    for name, labels in sorted(keys):
        shown = ",".join(f'{key}="{value}"' for key, value in labels)
        values = (scrape.get((name, labels)) for scrape in seen.scrapes)
        told = " ".join("_" if value is None else f"{value:.12g}" for value in values)
        found.append({"series": f"{name}{{{shown}}}", "values": told})
    return found


@cache
def troubled() -> Seen:
    """Run through one trouble after the other, with a treasury that cannot help."""
    late = [0.0]

    @contextlib.asynccontextmanager
    async def beside(world: World, assembly: Assembly) -> AsyncIterator[None]:
        task = asyncio.create_task(_troubles(world, assembly, late))
        yield
        task.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lag, "worst", lambda _: late[0])
        return scraping(END, beside, wallets=2, purse=POOR, settings=settings_of(16))


async def _troubles(world: World, assembly: Assembly, late: list[float]) -> None:
    began = asyncio.get_running_loop().time()

    async def until(seconds: float) -> None:
        await asyncio.sleep(began + seconds - asyncio.get_running_loop().time())

    floor = Floor(world.chain, world.spec, world.reference)
    own = [Trader(floor, keypair) for keypair in world.keypairs]
    await until(FEED)
    world.faults.rates.update(rpc_unreachable=1.0, ws_disconnected=1.0)
    await until(FEED + 4 * MINUTE)
    world.faults.rates.clear()
    await until(THEFT)
    account = world.chain.account(bytes(own[1].wallet))
    assert account is not None
    away = seeded_keypair(7, "thief", 0).pubkey()
    amount = account.lamports - 20_000_000
    own[1].send([transfer(TransferParams(from_pubkey=own[1].wallet, to_pubkey=away, lamports=amount))])
    _forget_costs(assembly)
    washing = asyncio.create_task(_wash(world, floor))
    await until(LATE)
    late[0] = 2.0
    await until(OWN_TRADE)
    washing.cancel()
    _trade_with_ourselves(floor, own)


def _forget_costs(assembly: Assembly) -> None:
    """Let the books miss from now on what bundles cost."""
    ledger = assembly.engine.record.ledger
    assert ledger is not None
    ledger.record_bundle = lambda *_: None  # type: ignore[method-assign]


def _trade_with_ourselves(floor: Floor, own: list[Trader]) -> None:
    """Let one of our wallets sell to another one, past the engine: what must never happen."""
    wallets, lots = {trader.open_orders: trader for trader in own}, 0
    for order in floor.side(Side.BID).orders:
        if order.owner in wallets:
            seller = next(trader for trader in own if trader.open_orders != order.owner)
            limit = order.price_ticks
            seller.send([seller.take(Side.ASK, limit, lots + 1, floor.cost(lots + 1, limit))])
            return
        lots += order.size_lots


async def _wash(world: World, floor: Floor) -> None:
    """Let two of the crowd trade to and fro inside the spread, as a program would."""
    await asyncio.sleep(WASH - THEFT)
    pair = [Trader(floor, seeded_keypair(world.options.seed, "taker", index)) for index in range(2)]
    number = 0
    while True:
        bid, ask = floor.best(Side.BID), floor.best(Side.ASK)
        if bid is not None and ask is not None and ask - bid > 1:
            price, (seller, buyer) = (bid + ask) // 2, pair if number % 2 else pair[::-1]
            number += 1
            seller.send(seller.place(Side.ASK, [seller.post(Side.ASK, 9_000 + number, price, 20)]))
            await asyncio.sleep(1)
            buyer.send([buyer.take(Side.BID, price, 20, floor.cost(21, price))])
        await asyncio.sleep(15)


@cache
def losing() -> Seen:
    """Run in a lively market without databases for a while, and with bundles of which none lands."""
    outage = Outage(SPOOL_BYTES)

    @contextlib.asynccontextmanager
    async def beside(world: World, _: Assembly) -> AsyncIterator[None]:
        loop, rates = asyncio.get_running_loop(), world.faults.rates
        loop.call_later(LOST, rates.update, {"bundle_dropped": 1.0})
        loop.call_later(FOUND, rates.clear)
        loop.call_later(AWAY, setattr, outage, "away", True)
        loop.call_later(BACK, setattr, outage, "away", False)
        yield

    crowd = CrowdOptions(arrivals_per_day=7_200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmv.services.history.MOST_ROWS", MOST_ROWS)
        return scraping(FOUND + MINUTE, beside, outage=outage, crowd=crowd, settings=settings_of(40))


@cache
def outside() -> Seen:
    """Run in pivot mode far below the Pivot; the wallets' accounts are closed at the end."""
    keys = {"SEED_PRICE": "0.02", "SEED_DAILY_VOLUME": "5000", "CHANNEL_MODE": "pivot"}
    keys |= {"CLOSE_ACCOUNTS_AT_HALT": "on"}
    return scraping(20 * MINUTE, wallets=2, settings=settings_of(16, **keys))


@cache
def poor() -> Seen:
    """Run in a lively market, with budgets for tips and fees that are soon spent, and raised near the end."""

    @contextlib.asynccontextmanager
    async def beside(_: World, assembly: Assembly) -> AsyncIterator[None]:
        def raised() -> None:
            engine, written = assembly.engine, settings_of(16, DAILY_COST_BUDGET_SOL="1").written()
            engine.emit(
                ConfigChanged(at=engine.state.now, settings=written, changed=("DAILY_COST_BUDGET_SOL",))
            )

        asyncio.get_running_loop().call_later(RAISED, raised)
        yield

    budgets = {"DAILY_COST_BUDGET_SOL": "0.00014", "HOURLY_COST_BUDGET_SOL": "0.00014"}
    settings, crowd = settings_of(16, **budgets), CrowdOptions(arrivals_per_day=7_200)
    return scraping(RAISED + 4 * MINUTE, beside, wallets=2, crowd=crowd, settings=settings)
