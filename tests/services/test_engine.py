"""The engine under sabotage: whatever breaks inside, it halts, and nothing of ours stays on the chain."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmv.app.truth import locked_atoms
from bmv.core.decide import decide
from bmv.core.state import Phase
from bmv.events import FeedLost, HaltRequested, MarketSeen, Tick
from bmv.model import ForeignBook
from bmv.observe.journal import Journal
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.services import dispatch, engine
from bmv.services.packing import Packing
from bmv.services.recollection import recollect
from bmv.services.replay import replay
from bmv.units import Millis, Slot
from bmv.venue.openbook_v1.queues import decode_event_queue
from tests.full_disk import full_at
from tests.services.living_world import Living, living, virtually

Sabotage = Callable[[Living, pytest.MonkeyPatch], None]


def failing(calls: int, really: Callable[..., Any], error: Exception, times: int = 1) -> Callable[..., Any]:
    """Return a function that fails after ``calls`` calls, ``times`` times, and else does its work."""
    count = 0

    def call(*args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if calls < count <= calls + times:
            raise error
        return really(*args, **named)

    return call


def decide_fails(_: Living, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "decide", failing(40, decide, ZeroDivisionError("a bug")))


def decide_fails_often(_: Living, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "decide", failing(40, decide, ZeroDivisionError("a bug"), times=20))


def record_fails(it: Living, patch: pytest.MonkeyPatch) -> None:
    record = it.assembly.engine.record
    patch.setattr(record, "saw", failing(40, record.saw, KeyError("a bug")))


def reader_fails(it: Living, patch: pytest.MonkeyPatch) -> None:
    reader = it.assembly.feed._reader
    patch.setattr(reader, "read", failing(5, reader.read, IndexError("a bug"), times=5))


def packing_fails(_: Living, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dispatch, "Packing", failing(1, Packing, AssertionError("a bug")))


def outcomes_fail(it: Living, patch: pytest.MonkeyPatch) -> None:
    outcomes = it.assembly.dispatcher._outcomes
    patch.setattr(outcomes, "_poll", failing(3, outcomes._poll, TypeError("a bug")))


@pytest.mark.parametrize(
    ("sabotage", "kind"),
    [
        (decide_fails, "decide_ZeroDivisionError"),
        (decide_fails_often, "decide_ZeroDivisionError"),
        (record_fails, "decide_KeyError"),
        (reader_fails, "feed_IndexError"),
        (packing_fails, "dispatch_AssertionError"),
        (outcomes_fail, "dispatch_TypeError"),
    ],
)
def test_whatever_fails_inside_is_counted_and_ends_with_an_empty_book(
    sabotage: Sabotage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            sabotage(it, monkeypatch)
            running = asyncio.create_task(it.assembly.engine.run(it.assembly.feed, it.assembly.dispatcher))
            finish = await asyncio.wait_for(running, 600)
            assert finish.clean
            assert "failed" in finish.reason
            assert it.own_orders() == 0
            assert set(it.assembly.engine.record.errors) == {kind}

    virtually(scenario)


def test_a_journal_that_cannot_be_written_halts_the_engine_cleanly(tmp_path: Path) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, journal=Journal(tmp_path)) as it:
            running = it.assembly.engine.run(it.assembly.feed, it.assembly.dispatcher)
            with full_at(20_000):
                finish = await asyncio.wait_for(running, 600)
            assert finish.clean
            assert "journal" in finish.reason
            assert it.own_orders() == 0

    virtually(scenario)
    (again,) = replay(tmp_path)
    assert again.events > 1
    assert (again.complete, again.first_difference) == (False, None)


def test_killed_in_a_halt_for_a_loss_the_next_run_does_not_count_that_loss_again(tmp_path: Path) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, journal=Journal(tmp_path / "now")) as it:
            engine = it.assembly.engine
            running = asyncio.create_task(engine.run(it.assembly.feed, it.assembly.dispatcher))
            await asyncio.sleep(90)
            assert engine.state.guards.drawdown.peaks
            engine.state.guards.drawdown.gain -= 1 << 100
            while engine.state.phase is not Phase.HALTING:
                await asyncio.sleep(0.1)
            shutil.copytree(tmp_path / "now", tmp_path / "killed")
            await asyncio.wait_for(running, 600)

    virtually(scenario)
    found = recollect(tmp_path / "killed")
    assert found is not None
    assert found.belief is not None
    assert found.belief.peaks == ()


@pytest.mark.parametrize("kind", ["bundle_dropped", "rpc_unreachable", "rpc_stale", "jito_rate_limited"])
def test_halting_waits_out_an_outside_that_fails(kind: str) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            running = asyncio.create_task(it.assembly.engine.run(it.assembly.feed, it.assembly.dispatcher))
            await asyncio.sleep(60)
            assert it.own_orders() > 10
            it.world.faults.rates[kind] = 1.0
            it.assembly.engine.halt("stop")
            await asyncio.sleep(300)
            assert running.done() == (kind == "rpc_stale")
            it.world.faults.rates.clear()
            assert (await asyncio.wait_for(running, 300)).clean
            assert it.own_orders() == 0

    virtually(scenario)


def test_events_of_strangers_in_front_of_ours_do_not_hold_up_a_halt() -> None:
    async def scenario(clock: LoopClock) -> None:
        uncranked = CrowdOptions(crankers=0, arrivals_per_day=6_000)
        async with living(clock, seed=5, crowd=uncranked) as it:
            waiting = asyncio.create_task(it.run_engine(1_800))
            await asyncio.sleep(1_790)
            account = it.world.chain.account(bytes(it.assembly.market.event_queue))
            assert account is not None
            owners = decode_event_queue(bytes(account.data)).pending_owners()
            ours = {bytes(wallet.open_orders) for wallet in it.assembly.wallets}
            assert owners[0] not in ours
            assert ours & set(owners)
            assert await waiting
            assert it.own_orders() == 0
            assert locked_atoms(it.world.chain, it.assembly.wallets) == 0

    virtually(scenario)


def test_the_inbox_keeps_one_tick_of_many_and_everything_else() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            it_engine = it.assembly.engine
            seen = MarketSeen(at=Millis(2), slot=Slot(2), book=ForeignBook())
            for event in (
                Tick(at=Millis(1), slot=Slot(1)),
                Tick(at=Millis(2), slot=Slot(2)),
                seen,
                seen,
                Tick(at=Millis(3), slot=Slot(3)),
                FeedLost(at=Millis(3), reason="gone"),
                FeedLost(at=Millis(3), reason="gone"),
                Tick(at=Millis(4), slot=Slot(4)),
                Tick(at=Millis(5), slot=Slot(5)),
                HaltRequested(at=Millis(5), reason="stop"),
            ):
                it_engine.emit(event)
            kinds = [(type(event).__name__, int(event.at)) for event in it_engine._inbox]
            assert kinds == [
                ("Tick", 2),
                ("MarketSeen", 2),
                ("MarketSeen", 2),
                ("Tick", 3),
                ("FeedLost", 3),
                ("FeedLost", 3),
                ("Tick", 5),
                ("HaltRequested", 5),
            ]

    virtually(scenario)


def test_no_task_is_left_when_the_engine_has_ended() -> None:
    async def scenario(clock: LoopClock) -> None:
        before = asyncio.all_tasks()
        async with living(clock) as it:
            assert await it.run_engine(60)
            names = [str(task.get_coro()) for task in asyncio.all_tasks() - before]
            assert names
            assert not [name for name in names if re.search("Engine|Feed|Dispatcher|Outcomes", name)]
        await asyncio.sleep(1)
        assert asyncio.all_tasks() == before

    virtually(scenario)
