"""Keeping the lease: how long it lasts is told, and losing it ends the engine in the right way."""

import asyncio

import msgspec
import pytest

from bmv.events import HaltRequested, LeaseSeen
from bmv.services import lease as keeping
from bmv.services.lease import LeaseKeeper
from bmv.state.hot import HotState
from bmv.state.lease import LEASE_MS, Holder, Lease, take_lease
from tests.core.belongings import START
from tests.services.living_world import START_MS, StillClock
from tests.state.valkey import Valkey, running

OURS = Holder(host="here", pid=1, since=START, instance="one", wallets="these", nonce="1")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "EXTEND_EVERY_S", 0.05)


class Desk:
    """A keeper of a lease on a real server, and what it told."""

    def __init__(self, hot: HotState, lease: Lease) -> None:
        self.hot, self.lease = hot, lease
        self.seen: list[LeaseSeen] = []
        self.stopped: list[HaltRequested] = []
        self.keeper = LeaseKeeper(lease, self.seen.append, self.stopped.append, StillClock())

    @classmethod
    async def at(cls, server: Valkey) -> "Desk":
        hot = HotState(server.url, "MARKET", StillClock(), timeout_s=0.2)
        return cls(hot, await take_lease(hot, StillClock(), OURS))


def test_it_is_extended_and_told_through_an_outage_of_redis() -> None:
    async def scenario(server: Valkey) -> None:
        desk = await Desk.at(server)
        desk.keeper.tell()
        assert int(desk.seen[0].until) == START_MS + int(LEASE_MS)
        task = asyncio.create_task(desk.keeper.run())
        await asyncio.sleep(0.3)
        assert len(desk.seen) > 2
        server.kill()
        told = len(desk.seen)
        await asyncio.sleep(0.3)
        assert len(desk.seen) <= told + 1
        server.direct.close()
        server.start()
        await asyncio.sleep(0.4)
        assert len(desk.seen) > told + 1
        assert desk.stopped == []
        task.cancel()
        await desk.hot.close()

    with running() as server:
        asyncio.run(scenario(server))


@pytest.mark.parametrize(("wallets", "hand_over"), [("these", True), ("others", False)])
def test_a_lease_that_went_to_another_ends_the_engine_once(wallets: str, hand_over: bool) -> None:
    async def scenario(server: Valkey) -> None:
        desk = await Desk.at(server)
        other = msgspec.structs.replace(OURS, pid=2, instance="two", wallets=wallets, nonce="2")
        server.direct.delete(desk.hot.key("lease"))
        await take_lease(desk.hot, StillClock(), other)
        task = asyncio.create_task(desk.keeper.run())
        await asyncio.sleep(0.4)
        (request,) = desk.stopped
        assert (request.hand_over, request.alone) == (hand_over, False)
        assert request.reason == "the lease on the market went to process 2 on here"
        assert desk.seen == []
        task.cancel()
        await desk.hot.close()

    with running() as server:
        asyncio.run(scenario(server))
