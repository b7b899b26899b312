"""3,200 orders of 100 wallets on a market made for them: placed, then all replaced, in 50 bundles each."""

import asyncio
import random
from collections import Counter

from bmv.app.truth import standing_orders
from bmv.chain.rpc import Rpc
from bmv.events import AnyAction, BundleResolved, Execute, ExtendTable, OpenTable, Prepare
from bmv.model import Cancel, Outcome, Placement, Side
from bmv.sandbox.clock import LoopClock
from bmv.services.dispatch import Dispatcher
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Lamports, Slot, Ticks
from bmv.venue.openbook_v1.layouts import NODE_SIZE, SLAB_NODES
from tests.services.living_world import NOBODY, Living, living, virtually

WALLETS, PER_SIDE, MOST_BUNDLES = 100, 16, 50
ROOM = 2_048
"""Orders a side: ours, and a fifth for others."""
BOOK_SIDE = SLAB_NODES + NODE_SIZE * (2 * ROOM - 1) + 7
EVENTS = 8_192
TABLES = (range(80), range(80, WALLETS))
STEP = 26
"""Wallets that one bundle adds to a table."""


class Desk:
    """A dispatcher and a feed at work, and the outcomes that were told."""

    def __init__(self, it: Living) -> None:
        self.it, self.told = it, list[BundleResolved]()
        self.dispatcher: Dispatcher = it.dispatcher(self.told.append)
        self.task = asyncio.create_task(self.dispatcher.run())
        self.rpc = Rpc(it.session, it.url, rng=random.Random(1))
        self.ticket = 0

    def next(self) -> int:
        """Return a ticket number."""
        self.ticket += 1
        return self.ticket

    async def landed(self, *actions: AnyAction) -> list[BundleResolved]:
        """Have actions carried out, which must land, and return their bundles."""
        self.told.clear()
        # What the limits would say of a plan is not the question here.
        self.dispatcher._waiting.put_nowait(actions)
        async with asyncio.timeout(60):
            while sum(len(event.tickets) for event in self.told) < len(actions):
                await asyncio.sleep(0.5)
        assert {event.outcome for event in self.told} == {Outcome.LANDED}, self.told
        await self.look()
        return list(self.told)

    async def look(self) -> None:
        """Read the chain as the feed does."""
        await asyncio.sleep(2)
        reader = self.it.assembly.feed._reader
        reader.read(self.it.clock.now(), await self.rpc.accounts(reader.keys))

    async def open_tables(self) -> None:
        """Open two lookup tables for all wallets."""
        for wallets in TABLES:
            slot = Slot(self.it.world.chain.slot_at("confirmed"))
            await self.landed(OpenTable(self.next(), slot, tuple(wallets[:STEP])))
            table = str(self.it.assembly.feed._reader.tables.keys[-1])
            for start in range(STEP, len(wallets), STEP):
                await self.landed(ExtendTable(self.next(), table, tuple(wallets[start : start + STEP])))

    def change(self, wallet: int, offset: int, cancels: bool) -> Execute:
        """Place all orders of a wallet anew."""
        world = self.it.world
        fair = int(world.spec.ticks(world.reference.price_at(world.chain.now())))
        places = []
        for side in Side:
            for number in range(PER_SIDE):
                away = offset + wallet * PER_SIDE + number
                price = fair * 9 // 10 - away if side is Side.BID else fair * 11 // 10 + away
                client_id = 1 + side * PER_SIDE + number
                places.append(Placement(wallet, side, 1, Ticks(price), BaseLots(1), client_id))
        leaving = [Cancel(wallet, p.side, p.price, 0, p.client_id) for p in places] if cancels else []
        return Execute(self.next(), wallet, tuple(leaving), tuple(places))

    async def rebuild(self, offset: int, *, cancels: bool) -> int:
        """Place every order of every wallet anew; return how many bundles that took."""
        changes = [self.change(wallet, offset, cancels) for wallet in range(WALLETS)]
        wanted = Counter((p.wallet, p.side, int(p.price)) for change in changes for p in change.places)
        bundles = await self.landed(*changes)
        market, wallets = self.it.assembly.market, self.it.assembly.wallets
        found = standing_orders(self.it.world.chain, market, wallets)
        assert Counter((one.wallet, one.side, one.price) for one in found) == wanted
        return len(bundles)


def test_a_rebuild_of_3200_orders_lands_in_50_bundles_with_cranks_and_tips() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(
            clock, crowd=NOBODY, wallets=WALLETS, book_side_size=BOOK_SIDE, event_capacity=EVENTS
        ) as it:
            desk = Desk(it)
            wrap = Lamports(LAMPORTS_PER_SOL)
            await desk.landed(*(Prepare(desk.next(), wallet, wrap) for wallet in range(WALLETS)))
            await desk.open_tables()
            assert await desk.rebuild(0, cancels=False) <= MOST_BUNDLES
            assert await desk.rebuild(2_000, cancels=True) <= MOST_BUNDLES
            desk.task.cancel()

    virtually(scenario)
