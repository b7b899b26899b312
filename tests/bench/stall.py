"""The longest time the event loop stands still while 80 bundles are built, packed, signed and sent.

The dispatcher is the real one; its node, block engine and reader answer at once. A task beside it takes the
time of each of its turns. The baseline is the same work at one go, as it was before it let the loop go on.
Where other processes want the processor, ``cpu`` says what of a turn was ours.
"""

import asyncio
import base64
import random
import time
from types import SimpleNamespace
from typing import Any, cast

import orjson

from bmv.chain.rpc import Blockhash
from bmv.config import Settings
from bmv.events import AnyAction, Execute
from bmv.services.dispatch import Dispatcher
from bmv.units import BlockHeight, Millis, Slot
from tests.bench.bundles import SPEC, Swarm, change, ours, replacing_all

BUNDLES, WALLETS_PER_BUNDLE = 80, 2
ROUNDS = 10


class Engine:
    """A block engine that takes everything, after encoding it as the real client does."""

    def __init__(self) -> None:
        self.sent = 0

    async def send_bundle(self, raws: list[bytes]) -> None:
        """Encode, and yield as a socket would."""
        orjson.dumps([base64.b64encode(raw).decode() for raw in raws])
        self.sent += 1
        await asyncio.sleep(0)


class Node:
    """A node that knows one blockhash."""

    async def latest_blockhash(self, _: str) -> Blockhash:
        """Return it."""
        return Blockhash("1" * 32, BlockHeight(1_000), Slot(1))


Turn = tuple[float, float]
"""Seconds that passed, and those of them that this thread worked."""


async def turns(swarm: Swarm, actions: list[AnyAction]) -> tuple[list[Turn], int]:
    """Return how long each turn of the loop took while the actions were sent, and how many bundles."""
    engine = Engine()
    tables = SimpleNamespace(of_payer=lambda payer: swarm.tables[payer][:1])
    reader = SimpleNamespace(tables=tables, queue=None, chain_seconds=lambda now: int(now) // 1000)
    dispatcher = Dispatcher(
        rpc=cast(Any, Node()),
        block_engine=cast(Any, engine),
        signer=swarm.signer,
        spec=SPEC,
        market=swarm.market,
        wallets=swarm.wallets,
        reader=cast(Any, reader),
        settings=lambda: Settings.model_validate({"JITO_TIP_MODE": "fixed"}),
        clock=cast(Any, SimpleNamespace(now=lambda: Millis(int(time.time() * 1000)))),
        rng=random.Random(1),
        emit=lambda _: None,
        on_sending=lambda _: None,
    )
    dispatcher._owed = [action.ticket for action in actions if isinstance(action, Execute)]
    sending = asyncio.create_task(dispatcher._send_all(actions))
    gaps, last = [], (time.perf_counter(), time.thread_time())
    while not sending.done():
        await asyncio.sleep(0)
        now = (time.perf_counter(), time.thread_time())
        gaps.append((now[0] - last[0], now[1] - last[1]))
        last = now
    await sending
    return gaps, engine.sent


def run() -> dict[str, object]:
    """Send 80 bundles a few times; return the longest turns of the best round, in milliseconds."""
    swarm = Swarm(random.Random(22))
    best: list[Turn] = []
    for round_number in range(ROUNDS):
        wallets = [number % len(swarm.wallets) for number in range(BUNDLES * WALLETS_PER_BUNDLE)]
        actions: list[AnyAction] = [
            change(ticket, wallet, ticket + 1)
            for ticket, wallet in enumerate(wallets, start=round_number * 1_000)
        ]
        gaps, sent = asyncio.run(turns(swarm, actions))
        if sent != BUNDLES:
            raise AssertionError(f"{sent} bundles instead of {BUNDLES}")
        best = min(best or gaps, gaps, key=max)
    began = time.perf_counter()
    ours(swarm, replacing_all(5_000))
    at_one_go = time.perf_counter() - began
    passed, worked = (sorted(values) for values in zip(*best, strict=True))
    percentile = len(best) * 99 // 100
    return {
        "bench": "loop_stall",
        "bundles": BUNDLES,
        "turns": len(best),
        "baseline_ms": round(at_one_go * 1e3, 2),
        "p99_ms": round(passed[percentile] * 1e3, 2),
        "p99_cpu_ms": round(worked[percentile] * 1e3, 2),
        "longest_ms": round(passed[-1] * 1e3, 2),
        "ratio": round(at_one_go / passed[-1], 1),
    }
