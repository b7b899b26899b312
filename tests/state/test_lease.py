"""The lease: one holder, rising fences, nothing that an expired or forgetful server could break."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec
import pytest

from bmv.errors import Garbled
from bmv.state.folder import StateFolder
from bmv.state.hot import HotState
from bmv.state.lease import LEASE_MS, Holder, LeaseTaken, take_lease, this_process
from bmv.units import Millis
from tests.state.valkey import Valkey

START = Millis(1_767_225_600_000)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> Millis:
        return self.time

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


def holder(name: str, since: Millis = START) -> Holder:
    return Holder(host="here", pid=1, since=since, instance=name, wallets="w", nonce=f"nonce {name}")


def hot(server: Valkey) -> HotState:
    return HotState(server.url, "MARKET", HandClock())


def test_a_second_engine_is_refused_and_told_by_whom_since_when(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        await take_lease(there, clock, holder("one"))
        clock.time = START + Millis(125_000)
        with pytest.raises(LeaseTaken, match=r"process 1 on here, for 125 s") as refused:
            await take_lease(there, clock, holder("two"))
        assert refused.value.exit_code == 3
        assert refused.value.holder == holder("one")
        await there.close()

    asyncio.run(scenario())


def test_the_end_of_a_lease_is_counted_from_before_it_was_asked_for(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        lease = await take_lease(there, clock, holder("one"))
        assert lease.until == START + LEASE_MS
        left = valkey.direct.pttl(there.key("lease"))
        assert int(LEASE_MS) - 2_000 < left <= int(LEASE_MS)
        valkey.direct.pexpire(there.key("lease"), 1_000)
        clock.time = START + Millis(5_000)
        assert await lease.extend()
        assert lease.until == START + Millis(5_000) + LEASE_MS
        assert valkey.direct.pttl(there.key("lease")) > int(LEASE_MS) - 2_000
        await there.close()

    asyncio.run(scenario())


def test_a_clock_that_runs_faster_counts_the_lease_so_much_longer(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        lease = await take_lease(there, clock, holder("one"), haste=24)
        assert int(lease.until - START) == 24 * int(LEASE_MS)
        assert valkey.direct.pttl(there.key("lease")) <= int(LEASE_MS)
        clock.time = START + Millis(7_000)
        assert await lease.extend()
        assert int(lease.until - clock.time) == 24 * int(LEASE_MS)
        await there.close()

    asyncio.run(scenario())


def test_fences_rise_whoever_takes_the_lease_even_when_the_server_forgot_all(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock, fences = hot(valkey), HandClock(), []
        for number in range(6):
            lease = await take_lease(there, clock, holder(str(number)))
            fences.append(lease.fence)
            if number == 2:
                valkey.direct.flushall()
                await asyncio.sleep(0.005)
            elif number == 4:
                valkey.direct.delete(there.key("lease"))
            else:
                await lease.release()
        assert fences == sorted(set(fences))
        await there.close()

    asyncio.run(scenario())


def test_a_lease_another_has_taken_is_lost_for_good(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        old = await take_lease(there, clock, holder("old"))
        valkey.direct.delete(there.key("lease"))
        new = await take_lease(there, clock, holder("new"))
        assert not await old.extend()
        assert old.lost_to == holder("new")
        await old.release()
        assert await new.extend()
        await new.release()
        # Nobody holds it now, and still it is not the old one's any more.
        assert not await old.extend()
        assert old.lost_to is None
        await there.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("forgets", ["only the lease", "everything"])
def test_a_lease_that_is_gone_but_nobody_elses_is_taken_up_again(valkey: Valkey, forgets: str) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        lease = await take_lease(there, clock, holder("one"))
        if forgets == "everything":
            valkey.direct.flushall()
        else:
            valkey.direct.delete(there.key("lease"))
        assert await lease.extend()
        with pytest.raises(LeaseTaken):
            await take_lease(there, clock, holder("two"))
        assert valkey.direct.get(there.key("fence")) == b"%d" % lease.fence
        await there.close()

    asyncio.run(scenario())


def test_an_engine_of_the_same_folder_does_not_wait_for_the_dead_one(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        dead = await take_lease(there, clock, holder("folder"))
        again = msgspec.structs.replace(holder("folder"), pid=2, nonce="another life")
        lease = await take_lease(there, clock, again)
        assert lease.fence > dead.fence
        assert not await dead.extend()
        elsewhere = msgspec.structs.replace(again, host="there", nonce="a copy of the folder")
        with pytest.raises(LeaseTaken):
            await take_lease(there, clock, elsewhere)
        await there.close()

    asyncio.run(scenario())


def test_a_hundred_engines_at_once_are_one_engine(valkey: Valkey) -> None:
    async def scenario() -> None:
        there, clock = hot(valkey), HandClock()
        taken = await asyncio.gather(
            *(take_lease(there, clock, holder(str(number))) for number in range(100)), return_exceptions=True
        )
        assert sum(isinstance(one, LeaseTaken) for one in taken) == 99
        await there.close()

    asyncio.run(scenario())


def test_a_lease_that_is_not_ours_is_not_read_as_one(valkey: Valkey) -> None:
    async def scenario() -> None:
        there = hot(valkey)
        valkey.direct.set(there.key("lease"), "somebody")
        with pytest.raises(Garbled, match="lease"):
            await take_lease(there, HandClock(), holder("one"))
        await there.close()

    asyncio.run(scenario())


def test_a_folder_keeps_its_name_and_a_process_does_not(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    one, two = (this_process(folder, "w", START) for _ in range(2))
    assert one.instance == two.instance
    assert one.nonce != two.nonce
    assert this_process(StateFolder(tmp_path / "other"), "w", START).instance != one.instance
