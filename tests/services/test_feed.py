"""The feed against the simulated node: nothing lost, nothing twice, never backwards, always again."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from bmv.belief import QueueMark
from bmv.events import AnyEvent, FeedLost, MarketSeen, SupplySeen, Tick
from bmv.sandbox.account import Account
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.faults import RATES, STANDARD
from bmv.sandbox.ledger import SlotReport
from bmv.services.feed import RESYNC_S
from bmv.units import BaseAtoms, Slot
from bmv.venue.openbook_v1.queues import decode_event_queue
from tests.services.living_world import NOBODY, Living, living, virtually


@asynccontextmanager
async def listening(clock: LoopClock, **options: Any) -> AsyncIterator[tuple[Living, list[AnyEvent]]]:
    """Run the feed of a living world alone, and yield the list its events go to."""
    told: list[AnyEvent] = []
    async with living(clock, **options) as it:
        it.assembly.feed._emit = told.append
        running = asyncio.create_task(it.assembly.feed.run())
        try:
            yield it, told
        finally:
            running.cancel()
            await asyncio.wait({running})


def matches(it: Living) -> Callable[[], list[int]]:
    """Follow the event queue on the chain itself; return the seqs of all makers' fills so far, in order."""
    seqs: dict[int, None] = {}
    key = bytes(it.assembly.market.event_queue)

    def look(_: SlotReport) -> None:
        account = it.world.chain.account(key)
        assert account is not None
        queue = decode_event_queue(bytes(account.data))
        seqs.update(dict.fromkeys(one.seq for one in queue.since(0) if one.is_fill and one.is_maker))

    it.world.chain.listeners.append(look)
    return lambda: list(seqs)


ALONE = [(kind,) for kind in RATES if kind.startswith(("rpc", "ws"))]


@pytest.mark.parametrize("kinds", [(), *ALONE, ("ws_lost", "rpc_stale"), tuple(RATES)])
def test_every_trade_is_told_exactly_once_and_time_never_runs_backwards(kinds: tuple[str, ...]) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, seed=3) as (it, told):
            happened = matches(it)
            await asyncio.sleep(30)
            it.world.faults.rates.update(dict.fromkeys(kinds, 0.3))
            await asyncio.sleep(3_600)
            it.world.faults.rates.clear()
            await asyncio.sleep(60)
            seen = [event for event in told if isinstance(event, MarketSeen)]
            slots = [event.slot for event in seen]
            assert slots == sorted(slots)
            assert [trade.seq for event in seen for trade in event.trades] == happened()
            assert happened()

    virtually(scenario)


def test_without_any_notification_a_reading_is_made_at_every_resync() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (it, told):
            it.world.faults.rates["ws_lost"] = 1.0
            await asyncio.sleep(600)
            at = [int(event.at) for event in told if isinstance(event, MarketSeen)]
            assert max(later - earlier for earlier, later in pairwise(at)) <= RESYNC_S * 1_000
            assert it.assembly.engine.record.errors["ws_lost"] > 0

    virtually(scenario)


def test_a_node_that_fails_is_told_and_tried_again_until_it_answers() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (it, told):
            await asyncio.sleep(10)
            it.world.faults.rates["rpc_unreachable"] = 1.0
            await asyncio.sleep(120)
            assert isinstance(told[-1], FeedLost) or isinstance(told[-2], FeedLost)
            lost = sum(isinstance(event, FeedLost) for event in told)
            assert 5 < lost < 120
            it.world.faults.rates.clear()
            before = len(told)
            await asyncio.sleep(10)
            assert any(isinstance(event, MarketSeen) for event in told[before:])

    virtually(scenario)


def test_after_a_restart_no_reading_is_older_than_what_the_run_before_knew() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            told: list[AnyEvent] = []
            feed = it.assembly.feed
            feed._emit = told.append
            known = Slot(it.world.chain.slot_at("confirmed") + 50)
            feed.believe_from(known)
            feed.go_on_from(QueueMark(known, 0), ())
            running = asyncio.create_task(feed.run())
            await asyncio.sleep(60)
            running.cancel()
            await asyncio.wait({running})
            assert any(isinstance(event, FeedLost) for event in told)
            slots = [event.slot for event in told if isinstance(event, MarketSeen)]
            assert min(slots) >= known

    virtually(scenario)


def test_one_absurd_slot_does_not_blind_the_feed_for_ever() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (it, told):
            await asyncio.sleep(10)
            it.assembly.feed.refresh(Slot(10**17))
            await asyncio.sleep(60)
            lost = [number for number, event in enumerate(told) if isinstance(event, FeedLost)]
            assert len(lost) == 1
            assert any(isinstance(event, MarketSeen) for event in told[lost[0] :])

    virtually(scenario)


def test_the_supply_is_told_before_the_market_and_again_only_when_it_changes() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (it, told):
            await asyncio.sleep(120)
            assert isinstance(told[0], SupplySeen | Tick)
            first = next(event for event in told if not isinstance(event, Tick))
            supply = it.world.genesis.supply_atoms
            assert first == SupplySeen(at=first.at, supply=BaseAtoms(supply), locked=BaseAtoms(0))
            assert sum(isinstance(event, SupplySeen) for event in told) == 1
            mint = it.world.chain.account(it.world.mint)
            assert mint is not None
            burnt_mint = Account(mint.lamports, mint.data, mint.owner)
            struct.pack_into("<Q", burnt_mint.data, 36, supply - 5)
            it.world.chain.bank.put(it.world.mint, burnt_mint, it.world.chain.slot)
            await asyncio.sleep(60)
            burnt = [event for event in told if isinstance(event, SupplySeen)][1:]
            assert [int(event.supply) for event in burnt] == [supply - 5]

    virtually(scenario)


def test_time_is_told_while_nothing_happens() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (_it, told):
            await asyncio.sleep(60)
            ticks = [event for event in told if isinstance(event, Tick)]
            assert len(ticks) >= 25
            assert [tick.slot for tick in ticks] == sorted({tick.slot for tick in ticks})

    virtually(scenario)


def test_the_standard_faults_name_only_kinds_that_the_feed_survives() -> None:
    assert set(STANDARD) <= set(RATES)


def test_a_node_that_goes_away_is_noticed_before_the_next_resync() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, crowd=NOBODY) as (it, told):
            await asyncio.sleep(21)
            it.world.faults.rates.update(ws_disconnected=1.0, rpc_unreachable=1.0)
            gone = int(clock.now())
            await asyncio.sleep(15)
            lost = [event for event in told if isinstance(event, FeedLost)]
            assert lost
            assert int(lost[0].at) - gone <= 13_000

    virtually(scenario)
