"""Hot state over a real Valkey: packed, fenced, readable after the engine has died, silent about its URL."""

import asyncio
import time

import msgspec
import pytest

from bmv.errors import BadInput, Garbled, OutsideError, Refused, Unreachable
from bmv.secret import Secret
from bmv.state.hot import HotState
from bmv.state.latch import Latch
from bmv.state.snapshot import VERSION, packed, sequence_of, unpacked
from bmv.units import Millis, Ticks
from tests.services.living_world import StillClock
from tests.state.samples import purse, snapshot
from tests.state.valkey import PASSWORD, Valkey, running


def hot(server: Valkey, market: str = "MARKET", **options: float) -> HotState:
    return HotState(server.url, market, StillClock(), **options)


def test_a_packed_snapshot_is_read_as_it_was_written() -> None:
    first = snapshot(wallets=100, orders=32)
    assert unpacked(packed(first), "here") == first


def test_an_order_of_a_snapshot_knows_its_whole_id() -> None:
    order_id = (12_000 << 64) | 77
    (order, *_) = purse(0, 1).orders
    told = msgspec.structs.replace(order, price=Ticks(12_000), sequence=sequence_of(order_id))
    assert told.order_id == order_id


@pytest.mark.parametrize("raw", [b"", b"\xc1", packed(snapshot())[:-3], b"[]", b"\x91\xa1x"])
def test_what_is_no_snapshot_is_garbled(raw: bytes) -> None:
    with pytest.raises(Garbled, match="here: not a snapshot"):
        unpacked(raw, "here")


def test_a_snapshot_of_another_version_is_told_from_a_broken_one() -> None:
    later = msgspec.msgpack.encode([VERSION + 1, "who knows"])
    with pytest.raises(Garbled, match=f"version {VERSION + 1}"):
        unpacked(later, "here")


def test_hot_state_outlives_its_engine_and_tells_its_age(valkey: Valkey) -> None:
    async def scenario() -> None:
        engine = hot(valkey)
        assert await engine.read() is None
        assert await engine.write(packed(snapshot()), 7)
        await engine.close()
        await asyncio.sleep(0.12)
        later = hot(valkey)
        seen = await later.read()
        assert seen is not None
        assert seen.snapshot == snapshot()
        assert 100 <= seen.age_ms < 5_000
        assert await later.write(None, 7)
        beaten = await later.read()
        assert beaten is not None
        assert beaten.age_ms < 100
        assert beaten.snapshot == snapshot()
        await later.close()

    asyncio.run(scenario())


def test_two_markets_do_not_see_each_other(valkey: Valkey) -> None:
    async def scenario() -> None:
        one, other = hot(valkey), hot(valkey, "OTHER")
        await one.write(packed(snapshot()), 7)
        await one.raise_flag(Latch(reason="enough"))
        assert await other.read() is None
        assert await other.flag() is None
        await one.close()
        await other.close()

    asyncio.run(scenario())


def test_an_engine_with_an_older_fence_writes_no_more(valkey: Valkey) -> None:
    async def scenario() -> None:
        old = hot(valkey)
        valkey.direct.set(old.key("fence"), 8)
        assert await old.write(packed(snapshot(fence=8)), 8)
        assert not await old.write(packed(snapshot(wallets=1)), 7)
        seen = await old.read()
        assert seen is not None
        assert seen.snapshot.author.fence == 8
        await old.close()

    asyncio.run(scenario())


def test_the_flag_works_by_key_and_by_call_and_keeps_its_first_reason(valkey: Valkey) -> None:
    async def scenario() -> None:
        engine, second = hot(valkey), hot(valkey)
        heard: asyncio.Queue[Latch] = asyncio.Queue()
        listening = asyncio.create_task(engine.listen(heard.put_nowait))
        while not valkey.direct.pubsub_numsub(engine.key("halt"))[0][1]:
            await asyncio.sleep(0.01)
        first = Latch(at=Millis(1), reason="first", by="me")
        await second.raise_flag(first)
        assert await asyncio.wait_for(heard.get(), 2) == first
        await second.raise_flag(Latch(at=Millis(2), reason="second", by="me"))
        assert (await asyncio.wait_for(heard.get(), 2)).reason == "second"
        assert await engine.flag() == first
        valkey.direct.publish(engine.key("halt"), "by hand")
        assert (await asyncio.wait_for(heard.get(), 2)).reason == "by hand"
        await engine.lower_flag()
        assert await second.flag() is None
        listening.cancel()
        await engine.close()
        await second.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("value", ["1", "", "\x00\xff", '{"reason": 5}'])
def test_any_value_is_a_raised_flag(valkey: Valkey, value: str) -> None:
    async def scenario() -> None:
        engine = hot(valkey)
        valkey.direct.set(engine.key("halt"), value)
        latch = await engine.flag()
        assert latch is not None
        assert "by hand" in latch.by
        await engine.close()

    asyncio.run(scenario())


def test_a_server_that_is_killed_is_unreachable_and_then_there_again() -> None:
    async def scenario(server: Valkey) -> None:
        engine = hot(server)
        await engine.write(packed(snapshot()), 7)
        listening = asyncio.create_task(engine.listen(lambda _: None))
        await asyncio.sleep(0.05)
        server.kill()
        with pytest.raises(Unreachable):
            await engine.write(packed(snapshot()), 7)
        with pytest.raises(Unreachable):
            await asyncio.wait_for(listening, 2)
        server.start()
        assert await engine.write(packed(snapshot()), 7)
        await engine.close()

    with running() as server:
        asyncio.run(scenario(server))


def test_a_server_that_says_nothing_is_given_up_in_time(valkey: Valkey) -> None:
    async def scenario() -> None:
        engine = hot(valkey, timeout_s=0.2)
        await engine.flag()
        valkey.direct.client_pause(1_500)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await engine.flag()
        assert time.monotonic() - began < 1
        await engine.close()
        valkey.direct.client_unpause()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"redis://:{PASSWORD}@127.0.0.1:1/0", Unreachable),
        (f"unix://:{PASSWORD}@/nowhere/valkey.sock", Unreachable),
        ("with a wrong password", Refused),
        ("with a wrong key", Refused),
    ],
)
def test_no_error_tells_the_password(valkey: Valkey, url: str, kind: type[OutsideError]) -> None:
    async def scenario() -> None:
        address = valkey.url
        if "wrong password" in url:
            address = Secret(valkey.url.reveal().replace(PASSWORD, PASSWORD + "x"))
        elif "://" in url:
            address = Secret(url)
        engine = HotState(address, "MARKET", StillClock())
        if "wrong key" in url:
            valkey.direct.lpush(engine.key("halt"), PASSWORD)
        with pytest.raises(kind) as raised:
            await engine.flag()
        assert PASSWORD not in repr(raised.value) + str(raised.value) + repr(engine)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        await engine.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("url", [f"http://:{PASSWORD}@here", f"redis://:{PASSWORD}@here:port", PASSWORD])
def test_a_url_nobody_can_use_is_bad_input_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(BadInput, match="REDIS_URL") as raised:
        HotState(Secret(url), "MARKET", StillClock())
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("answers", [True, False])
def test_a_cancellation_that_the_client_swallows_is_not_lost(valkey: Valkey, answers: bool) -> None:
    async def scenario() -> None:
        async def deaf() -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if not answers:
                    raise ConnectionError("while connecting") from None
            return "as if nothing had been asked"

        asking = asyncio.create_task(hot(valkey).ask(deaf))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scenario())
