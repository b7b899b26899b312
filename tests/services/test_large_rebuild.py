"""The engine places 3,200 orders of 100 wallets on a market for them, then replaces them, by its plan."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bmv.app.truth import standing_orders
from bmv.config import DAY_MS, KNOWN_KEYS, Settings
from bmv.events import ConfigChanged
from bmv.model import Side
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import PricePath
from bmv.services.outcomes import Sent
from bmv.units import Bps, Millis
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.layouts import NODE_SIZE, SLAB_NODES
from tests.services.living_world import START_MS, Living, living, settings_with, virtually

WALLETS, MOST_BUNDLES = 100, 50
LEVELS = WALLETS * 32 - 1
"""Every seat but one: where the zone touches P, a point is too near to it to be a level."""
ROOM = 3_000
"""Orders a side: two thirds of the ladder are bids, and a fifth of the room is left to others."""
BOOK_SIDE = SLAB_NODES + NODE_SIZE * (2 * ROOM - 1) + 7
EVENTS = 8_192
PRICE = Decimal("0.0499")
"""Of nearly 50,000 ticks: two ladders have few prices in common."""
STILL = PricePath("still", (START_MS, START_MS + DAY_MS), (PRICE, PRICE), DAY_MS)
ONE_QUOTER = CrowdOptions(quoters=1, dusters=0, walls=0, takers=0, arrivals_per_day=0, arbitrageurs=0)
NARROW = settings_with(
    idle_interval=Millis(DAY_MS),
    anchor_band=Bps(1),
    inside_spread=Bps(1),
    min_spread=Bps(1),
    buy_channel_width=Bps(4_000),
    sell_channel_width=Bps(8_000),
)
WIDE = NARROW.model_copy(update={"buy_channel_width": Bps(4_800), "sell_channel_width": Bps(9_600)})
FEWER_BIDS = WIDE.model_copy(update={"buy_density": Bps(10_000)})
"""Hundreds of orders become asks; a wallet's bids are no longer as many as its asks were."""
REPLACE = b"\0\x14"


class Watched:
    """An engine at work, and the bundles it sends."""

    def __init__(self, it: Living) -> None:
        self.it, self.engine, self.sent = it, it.assembly.engine, list[Sent]()
        sending = it.assembly.dispatcher._on_sending

        def noting(sent: Sent) -> None:
            self.sent.append(sent)
            sending(sent)

        it.assembly.dispatcher._on_sending = noting

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds and nothing is under way."""
        async with asyncio.timeout(600):
            await asyncio.sleep(5)
            while self.engine.state.in_flight or not holds():
                await asyncio.sleep(5)

    def stands_as_wanted(self) -> bool:
        """Say whether the chain's book holds, wallet by wallet, what the target wants and nothing else.

        A size may differ by SIZE_TOLERANCE, a quarter.
        """
        found = standing_orders(self.it.world.chain, self.it.assembly.market, self.it.assembly.wallets)
        stands = {(one.wallet, one.side, one.price): one.size for one in found if one.wallet is not None}
        wanted = {
            (one.wallet, one.side, int(one.price)): int(one.size) for one in self.engine.state.target.quotes
        }
        return wanted.keys() == stands.keys() and all(
            4 * abs(stands[key] - size) <= size for key, size in wanted.items()
        )

    def in_tables(self) -> int:
        """Count the wallets that a lookup table serves."""
        return sum(len(table.wallets) for table in self.engine.state.tables or ())

    def standing(self) -> set[tuple[int, int]]:
        """Return (wallet, order id) of every order the engine knows to stand."""
        return {
            (order.wallet, order.order_id) for v in self.engine.state.views.values() for order in v.orders
        }

    def asks(self) -> int:
        """Count the asks the engine knows to stand."""
        views = self.engine.state.views.values()
        return sum(order.side is Side.ASK for view in views for order in view.orders)

    def change(self, before: Settings, after: Settings) -> None:
        """Let the engine hear of new settings."""
        old, new = before.by_key(), after.by_key()
        changed = tuple(key for key in KNOWN_KEYS if old[key] != new[key])
        self.engine.emit(ConfigChanged(at=self.it.clock.now(), settings=after.written(), changed=changed))


def placing(bundles: list[Sent]) -> list[int]:
    """Return in how many transactions each wallet of each bundle places its orders."""
    payers = [Counter(map(payer_of, filter(places, bundle.raws))) for bundle in bundles]
    return [count for each in payers for count in each.values()]


def message(raw: bytes) -> MessageV0:
    found = VersionedTransaction.from_bytes(raw).message
    assert isinstance(found, MessageV0)
    return found


def payer_of(raw: bytes) -> Pubkey:
    return message(raw).account_keys[0]


def places(raw: bytes) -> bool:
    found = message(raw)
    return any(
        found.account_keys[one.program_id_index] == OPENBOOK_V1 and bytes(one.data)[:2] == REPLACE
        for one in found.instructions
    )


def test_the_engine_replaces_3200_orders_of_100_wallets_in_50_bundles_with_cranks_and_tips() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(
            clock,
            settings=NARROW,
            crowd=ONE_QUOTER,
            wallets=WALLETS,
            path=STILL,
            book_side_size=BOOK_SIDE,
            event_capacity=EVENTS,
        ) as it:
            desk = Watched(it)
            engine = desk.engine
            running = asyncio.create_task(engine.run(it.assembly.feed, it.assembly.dispatcher))
            await desk.until(desk.stands_as_wanted)
            assert len(desk.standing()) == LEVELS
            assert max(placing(desk.sent)) == 3, "a wallet's 32 orders without a lookup table"
            await desk.until(lambda: desk.in_tables() == WALLETS and not engine.state.own_pending)
            await rebuilt(desk, NARROW, WIDE)
            asks = desk.asks()
            await rebuilt(desk, WIDE, FEWER_BIDS)
            assert desk.asks() > asks + 300, "orders change sides"
            assert engine.record.bundles["landed"] == len(desk.sent)
            running.cancel()

    virtually(scenario)


async def rebuilt(desk: Watched, before: Settings, after: Settings) -> None:
    """Change the settings, and check that nearly every order is replaced in no more bundles than asked."""
    standing, first = desk.standing(), len(desk.sent)
    desk.change(before, after)
    await desk.until(desk.stands_as_wanted)
    rebuild = desk.sent[first:]
    assert len(desk.standing()) == LEVELS
    assert len(desk.standing() - standing) > 3_000, "what is wanted at another price was replaced"
    assert len(rebuild) <= MOST_BUNDLES
    assert max(placing(rebuild)) == 2, "a wallet's 32 orders with a lookup table"
    assert not desk.engine.state.own_pending, "the bundles cranked what they did"
