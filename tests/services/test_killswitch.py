"""The kill switch is heard wherever it is raised, and latches every halt but an orderly end."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bmv.core.kill import begin_halt
from bmv.errors import BmvError
from bmv.events import HaltRequested
from bmv.services.killswitch import KillSwitch
from bmv.state.folder import StateFolder
from bmv.state.hot import HotState
from bmv.state.latch import Latch, Latched, LatchFile
from bmv.units import Millis
from tests.core.belongings import START, quoting_state, wallet
from tests.services.living_world import StillClock
from tests.state.valkey import Valkey, running

SOON_S = 3.0


class Desk:
    """A switch, what it told the engine, and the places it watches."""

    def __init__(self, server: Valkey, folder: Path) -> None:
        self.server, self.file = server, LatchFile(StateFolder(folder))
        self.hot = HotState(server.url, "MARKET", StillClock(), timeout_s=0.3)
        self.heard: list[HaltRequested] = []
        self.switch = KillSwitch(self.file, self.hot, self.heard.append, StillClock())

    async def until_heard(self) -> str:
        async with asyncio.timeout(SOON_S):
            while not self.heard:
                await asyncio.sleep(0.02)
        return self.heard[0].reason


def at_a_desk(folder: Path, scenario: Callable[[Desk], Awaitable[None]], *, watching: bool = True) -> None:
    async def whole(server: Valkey) -> None:
        desk = Desk(server, folder)
        task = asyncio.create_task(desk.switch.run()) if watching else None
        await scenario(desk)
        if task is not None:
            assert not task.done()
            task.cancel()
        await desk.hot.close()

    with running() as server:
        asyncio.run(whole(server))


def test_a_touched_file_is_heard_also_while_redis_is_dead(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        desk.server.kill()
        await asyncio.sleep(0.3)
        desk.file.path.parent.mkdir(exist_ok=True)
        desk.file.path.touch()
        assert "set by hand in HALT" in await desk.until_heard()

    at_a_desk(tmp_path, scenario)


def test_a_call_and_a_key_are_heard_each_by_itself(tmp_path: Path) -> None:
    async def by_call(desk: Desk) -> None:
        await asyncio.sleep(0.2)
        desk.server.direct.publish(desk.hot.key("halt"), "by call")
        assert "by call" in await desk.until_heard()

    async def by_key(desk: Desk) -> None:
        await asyncio.sleep(0.2)
        desk.server.direct.set(desk.hot.key("halt"), "by key")
        assert "by key" in await desk.until_heard()

    at_a_desk(tmp_path / "one", by_call)
    at_a_desk(tmp_path / "two", by_key)


def test_a_key_that_was_raised_while_redis_was_away_is_heard_when_it_is_back(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        desk.server.direct.set(desk.hot.key("halt"), "meanwhile")
        desk.server.direct.execute_command("WAITAOF", 1, 0, 2_000)  # type: ignore[no-untyped-call]
        desk.heard.clear()
        desk.server.kill()
        await asyncio.sleep(0.3)
        desk.heard.clear()
        desk.server.start()
        assert "meanwhile" in await desk.until_heard()

    at_a_desk(tmp_path, scenario)


def test_a_halt_of_the_engine_itself_is_latched_in_both_places(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        state = quoting_state([wallet(0)])
        desk.switch.follow(state)
        assert desk.file.read() is None
        begin_halt(state, "trading lost too much")
        desk.switch.follow(state)
        latch = desk.file.read()
        assert latch is not None
        assert (latch.reason, latch.by) == ("trading lost too much", "the engine")
        await desk.switch.last_word()
        assert await desk.hot.flag() == latch

    at_a_desk(tmp_path, scenario, watching=False)


def test_an_orderly_end_and_a_hand_over_latch_nothing(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        ordered = quoting_state([wallet(0)])
        desk.switch.stop(HaltRequested(at=START, reason="SIGTERM received"))
        begin_halt(ordered, desk.heard[0].reason)
        theirs = quoting_state([wallet(0)])
        theirs.halt.hand_over = True
        begin_halt(theirs, "the lease went to another")
        for state in (ordered, theirs):
            desk.switch.follow(state)
        await desk.switch.last_word()
        assert desk.file.read() is None
        assert await desk.hot.flag() is None

    at_a_desk(tmp_path, scenario, watching=False)


def test_nothing_starts_while_either_place_is_latched_until_it_is_released(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.switch.admit()
        flag = Latch(at=Millis(10), reason="enough", by="me")
        await desk.hot.raise_flag(flag)
        with pytest.raises(Latched, match="halted by me: enough"):
            await desk.switch.admit()
        # Released while Redis was away: the older flag there is lowered by the next start.
        desk.file.release(Latch(at=Millis(20), reason="all is well", by="me"))
        await desk.switch.admit()
        assert await desk.hot.flag() is None
        await desk.hot.raise_flag(Latch(at=Millis(30), reason="again", by="me"))
        with pytest.raises(Latched, match="again"):
            await desk.switch.admit()
        await desk.hot.lower_flag()
        desk.file.raise_(flag)
        with pytest.raises(BmvError, match="bmv resume --state"):
            await desk.switch.admit()

    at_a_desk(tmp_path, scenario, watching=False)
