"""What the live page costs the engine's process: 800 orders at ten updates a second, and fifty clients.

The real ``Showing`` over a belief whose price moves before every update, so that the whole ladder is told
anew each time: the worst case. Clients are another process, so that only the server's work counts, as the
processor time of its thread. The baseline writes the whole view for every client, as the page did before it
pushed what had changed. ``late_ms`` is how late a task beside it gets its turn (99 of 100 are quicker), with
fifty clients at the product's one update a second and with none.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from bmv.config import Settings
from bmv.core.decay import FINE
from bmv.core.price import PriceReading
from bmv.core.state import State
from bmv.model import Quote, Side, Why
from bmv.observe.view import View
from bmv.services.record import Record
from bmv.services.showing import Showing
from bmv.units import BaseLots, Ticks
from bmv.web.server import WebServer
from tests.core.belongings import market, order, quoting_state, wallet

WALLETS, ORDERS_EACH, SECONDS = 25, 32, 6.0
CLIENT = """
import asyncio, sys, aiohttp
async def one(session, url):
    async with session.ws_connect(url, max_msg_size=0) as stream:
        async for _ in stream:
            pass
async def main(url, number):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, url) for _ in range(number)))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


class Moving(Showing):
    """An engine whose price moves before every look."""

    def view(self) -> View:
        """Move, and present."""
        state: State = self._engine.state
        assert state.market.reading is not None
        state.market.reading = msgspec.structs.replace(
            state.market.reading, price_fine=state.market.reading.price_fine + FINE
        )
        return super().view()


def moving() -> Moving:
    """Return it, with 800 orders, each of them wanted where it stands."""
    quotes = [
        Quote(
            number,
            side,
            at,
            Ticks(60_000 - 40 * at - number if side is Side.BID else 60_100 + 40 * at + number),
            BaseLots(1_000 + at),
            Why(at, at, 12_000, 10**11),
        )
        for number in range(WALLETS)
        for side in Side
        for at in range(ORDERS_EACH // 2)
    ]
    views = [
        wallet(
            number,
            orders=[order(number, q.side, int(q.price), int(q.size)) for q in quotes if q.wallet == number],
        )
        for number in range(WALLETS)
    ]
    state = quoting_state(views, quotes)
    state.market.reading = PriceReading(60_050 * FINE, "trades", True, 60_050 * FINE)
    record = Record(market(), Counter())
    engine = SimpleNamespace(state=state, record=record, settings=Settings())
    accounts = [SimpleNamespace(owner=f"owner {number}") for number in range(WALLETS)]
    return Moving(cast(Any, engine), market(), cast(Any, accounts), "live")


def run() -> dict[str, object]:
    """Measure; shares are of one core."""
    source = moving()
    assert len(source.view().ladder) == WALLETS * ORDERS_EACH
    whole, shared = _whole(source), asyncio.run(_served(source, clients=1, tick_s=0.1))
    crowd, alone = (asyncio.run(_served(source, clients=n, tick_s=1.0)) for n in (50, 0))
    return {
        "bench": "page",
        "orders": WALLETS * ORDERS_EACH,
        "updates_per_s": round(shared["updates"], 1),
        "core_share": round(shared["core"], 4),
        "baseline_core_share": round(whole * 10, 4),
        "clients": 50,
        "core_share_50_clients": round(crowd["core"], 4),
        "late_ms_50_clients": round(crowd["late_ms"], 2),
        "late_ms_no_client": round(alone["late_ms"], 2),
    }


def _whole(source: Moving) -> float:
    """Return the processor time of writing the whole view once, all of it anew."""
    best = float("inf")
    for _ in range(20):
        source._rungs._texts.clear()
        began = time.thread_time()
        msgspec.json.encode(source.view()).decode()
        best = min(best, time.thread_time() - began)
    return best


async def _served(source: Moving, *, clients: int, tick_s: float) -> dict[str, float]:
    server = WebServer(source, token="bench", tick_s=tick_s)
    url = await server.start(port=0)
    asked = f"{url.replace('http', 'ws', 1)}ws"
    others = subprocess.Popen([sys.executable, "-c", CLIENT, asked, str(clients)]) if clients else None
    try:
        await asyncio.sleep(3.0)
        before = source._engine.state.market.reading
        began, worked, late = time.perf_counter(), time.thread_time(), []
        while time.perf_counter() - began < SECONDS:
            asked_for = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - asked_for)
        passed, done = time.perf_counter() - began, time.thread_time() - worked
        after = source._engine.state.market.reading
        assert before is not None
        assert after is not None
        updates = (after.price_fine - before.price_fine) // FINE
        return {
            "updates": updates / passed,
            "core": done / passed,
            "late_ms": sorted(late)[len(late) * 99 // 100] * 1_000,
        }
    finally:
        if others is not None:
            others.terminate()
            others.wait()
        await server.stop()
