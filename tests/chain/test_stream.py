"""The push feed: its protocol message by message, then over a real socket that misbehaves."""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.chain.http import Endpoint
from bmv.chain.stream import (
    AccountStream,
    AccountTouched,
    SlotSeen,
    StreamDown,
    StreamEvent,
    StreamUp,
    Subscriptions,
)
from bmv.errors import Garbled, OutsideError, RateLimited, Refused
from bmv.units import Slot
from tests.chain.stage import KEY, Hurried

A, B, C = (Pubkey.from_bytes(bytes([n] * 32)) for n in (1, 2, 3))


def said(**members: Any) -> bytes:
    """One message of a node."""
    return orjson.dumps({"jsonrpc": "2.0", **members})


def ack(request: int, subscription: int) -> bytes:
    """The node's answer to a subscription."""
    return said(id=request, result=subscription)


def new_slot(slot: Any) -> bytes:
    """A slot notification."""
    notice = {"slot": slot, "parent": 0, "root": 0}
    return said(method="slotNotification", params={"result": notice, "subscription": 0})


def changed(subscription: int, slot: Any, data: str = "") -> bytes:
    """An account notification, with data as from a node that ignores ``dataSlice``."""
    value = {"data": [data, "base64"], "lamports": 5, "owner": str(A), "rentEpoch": 2**64 - 1}
    params = {"result": {"context": {"slot": slot}, "value": value}, "subscription": subscription}
    return said(method="accountNotification", params=params)


def subscriptions(*accounts: Pubkey) -> Subscriptions:
    """A fresh connection's protocol."""
    return Subscriptions(Endpoint("stream", "ws://node/"), accounts, "processed")


def heard(feed: Subscriptions, *messages: bytes) -> list[StreamEvent]:
    """All a connection tells about these messages."""
    return [event for message in messages for event in feed.take(message)]


def standing(*accounts: Pubkey) -> Subscriptions:
    """A connection that is up: account n has subscription 10 + n."""
    feed = subscriptions(*accounts)
    assert heard(feed, ack(1, 0), *(ack(n + 2, 10 + n) for n in range(len(accounts)))) == [StreamUp()]
    return feed


def test_each_account_is_asked_for_once_and_without_its_data() -> None:
    asked = [orjson.loads(one) for one in subscriptions(A, B, A).requests()]
    assert [(one["id"], one["method"]) for one in asked] == [
        (1, "slotSubscribe"),
        (2, "accountSubscribe"),
        (3, "accountSubscribe"),
    ]
    assert asked[2]["params"] == [
        str(B),
        {"encoding": "base64", "commitment": "processed", "dataSlice": {"offset": 0, "length": 0}},
    ]


def test_it_is_up_only_when_everything_is_acknowledged_in_whatever_order() -> None:
    feed = subscriptions(A, B)
    assert heard(feed, ack(3, 12), ack(1, 0)) == []
    assert heard(feed, ack(2, 11)) == [StreamUp()]
    assert heard(feed, changed(12, 5), changed(11, 6)) == [
        AccountTouched(B, Slot(5)),
        AccountTouched(A, Slot(6)),
    ]


def test_what_comes_before_the_acknowledgement_is_told_after_it() -> None:
    feed = subscriptions(A, B)
    assert (
        heard(feed, new_slot(9), changed(11, 8), changed(11, 9), changed(77, 9), ack(1, 0), ack(3, 12)) == []
    )
    assert heard(feed, ack(2, 11)) == [StreamUp(), SlotSeen(Slot(9)), AccountTouched(A, Slot(9))]
    assert heard(feed, changed(77, 10)) == []


def test_old_and_unknown_notifications_are_ignored_and_repeated_ones_are_not_lost() -> None:
    feed = standing(A, B)
    assert heard(feed, changed(10, 7), changed(10, 6), changed(11, 6), changed(99, 8), changed(10, 7)) == [
        AccountTouched(A, Slot(7)),
        AccountTouched(B, Slot(6)),
        AccountTouched(A, Slot(7)),  # a second change in the same slot is a change
    ]


def test_slots_are_told_once_and_upwards() -> None:
    feed = standing(A)
    assert heard(feed, *(new_slot(n) for n in (5, 5, 4, 7, 6, 8))) == [
        SlotSeen(Slot(5)),
        SlotSeen(Slot(7)),
        SlotSeen(Slot(8)),
    ]


def test_one_id_for_two_accounts_touches_both() -> None:
    feed = subscriptions(A, B)
    heard(feed, ack(1, 0), ack(2, 11), ack(3, 11))
    assert heard(feed, changed(11, 4)) == [AccountTouched(A, Slot(4)), AccountTouched(B, Slot(4))]


def test_without_accounts_it_follows_the_slots() -> None:
    feed = subscriptions()
    assert heard(feed, ack(1, 0), new_slot(3)) == [StreamUp(), SlotSeen(Slot(3))]


def test_answers_to_questions_never_asked_are_ignored() -> None:
    feed = standing(A)
    strange = said(method="rootNotification", params={"result": {}, "subscription": 4})
    assert heard(feed, ack(2, 50), ack(99, 51), said(id=5, result=None), strange) == []
    assert heard(feed, changed(10, 4)) == [AccountTouched(A, Slot(4))]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (said(id=2, error={"code": -32602, "message": "Invalid param"}), Refused),
        (said(id=None, error={"code": -32005, "message": "too many requests"}), RateLimited),
        (said(id=2, result=True), Garbled),
        (said(id=2, result=None), Garbled),
        (said(id=2, result="11"), Garbled),
        (new_slot("76"), Garbled),
        (new_slot(-1), Garbled),
        (changed(10, 1.5), Garbled),
        (b"<html>", Garbled),
        (b'{"jsonrpc":', Garbled),
        (b"[]", Garbled),
        (b"\xff\xfe", Garbled),
        (b"", Garbled),
    ],
)
def test_a_refused_subscription_or_a_broken_message_ends_the_connection(
    message: bytes, kind: type[OutsideError]
) -> None:
    feed = subscriptions(A)
    heard(feed, ack(1, 0))
    with pytest.raises(kind):
        feed.take(message)


@given(
    st.lists(st.tuples(st.sampled_from([10, 11, 12, 13]), st.integers(0, 6)), max_size=60), st.integers(0, 60)
)
def test_whatever_the_order_the_newest_change_of_every_account_is_told(
    notices: list[tuple[int, int]], acknowledged_at: int
) -> None:
    feed = subscriptions(A, B, C)
    acks = [ack(1, 0), ack(2, 10), ack(3, 11), ack(4, 12)]
    random.Random(acknowledged_at).shuffle(acks)
    sent = [changed(*notice) for notice in notices]
    events = heard(feed, *sent[:acknowledged_at], *acks, *sent[acknowledged_at:])
    assert events[0] == StreamUp()
    told = [event for event in events if isinstance(event, AccountTouched)]
    for key, subscription in ((A, 10), (B, 11), (C, 12)):
        slots = [event.slot for event in told if event.key == key]
        asked = [slot for number, slot in notices if number == subscription]
        assert slots == sorted(slots)
        assert slots[-1:] == ([max(asked)] if asked else [])


# Over a socket

Script = Callable[[web.WebSocketResponse], Awaitable[None]]
SILENCE_S = 2.0


async def welcome(ws: web.WebSocketResponse, *, accounts: int = 1, first: int = 0) -> None:
    """Acknowledge every subscription: account n gets 10 + n + ``first``."""
    for number in range(accounts + 1):
        request = orjson.loads(await ws.receive_str())
        await ws.send_bytes(ack(request["id"], first + 9 + number))


async def beat(ws: web.WebSocketResponse, slots: Iterator[int], every_s: float = 0.02) -> None:
    """Tell slots for ever."""
    for slot in slots:
        await ws.send_str(new_slot(slot).decode())
        await asyncio.sleep(every_s)


def follow(
    enough: Callable[[list[StreamEvent]], bool], *scripts: Script | int, silence_s: float = SILENCE_S
) -> tuple[list[StreamEvent], int]:
    """Follow a node whose n-th connection plays the n-th script (a number: a status); count connections."""

    async def run() -> tuple[list[StreamEvent], int]:
        events: list[StreamEvent] = []
        connections = 0
        done = asyncio.Event()

        async def serve(request: web.Request) -> web.StreamResponse:
            nonlocal connections
            script = scripts[min(connections, len(scripts) - 1)]
            connections += 1
            if isinstance(script, int):
                return web.Response(status=script, text=f"<html>{KEY}</html>")
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            await script(ws)
            return ws

        def emit(event: StreamEvent) -> None:
            events.append(event)
            if enough(events):
                done.set()

        app = web.Application()
        app.router.add_get("/{key}", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            url = f"ws://127.0.0.1:{port}/{KEY}?api-key={KEY}"
            stream = AccountStream(session, url, [A], rng=Hurried(), silence_s=silence_s)
            task = asyncio.create_task(stream.run(emit))
            await asyncio.wait_for(done.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await runner.cleanup()
        return events, connections

    return asyncio.run(run())


def reasons(events: list[StreamEvent]) -> list[str]:
    """Why connections ended."""
    return [event.reason for event in events if isinstance(event, StreamDown)]


def test_changes_and_slots_arrive_over_the_socket() -> None:
    async def node(ws: web.WebSocketResponse) -> None:
        await welcome(ws)
        await ws.send_bytes(changed(10, 4, data="A" * 5_000_000))  # larger than aiohttp's own limit
        await beat(ws, iter(range(5, 500)))

    events, connections = follow(lambda events: SlotSeen(Slot(6)) in events, node)
    assert events[:3] == [StreamUp(), AccountTouched(A, Slot(4)), SlotSeen(Slot(5))]
    assert connections == 1


def test_after_a_cut_everything_is_subscribed_again_under_new_ids() -> None:
    async def cut(ws: web.WebSocketResponse) -> None:
        await welcome(ws)
        await ws.send_bytes(changed(10, 900))
        await ws.close()

    async def again(ws: web.WebSocketResponse) -> None:
        await welcome(ws, first=40)
        await ws.send_bytes(changed(10, 901))  # an id of the old connection
        await ws.send_bytes(changed(50, 7))  # another node, behind the first: its word counts now
        await beat(ws, iter(range(8, 500)))

    events, connections = follow(lambda events: SlotSeen(Slot(8)) in events, cut, again)
    touched = [event for event in events if isinstance(event, AccountTouched)]
    assert touched == [AccountTouched(A, Slot(900)), AccountTouched(A, Slot(7))]
    assert [type(event) for event in events] == [
        StreamUp,
        AccountTouched,
        StreamDown,
        StreamUp,
        AccountTouched,
        SlotSeen,
    ]
    assert connections == 2


async def _silent(ws: web.WebSocketResponse) -> None:
    await asyncio.sleep(30)


async def _mute(ws: web.WebSocketResponse) -> None:
    await welcome(ws)
    await asyncio.sleep(30)


async def _stuck(ws: web.WebSocketResponse) -> None:
    await welcome(ws)
    await beat(ws, iter([7] * 500))


async def _busy_without_slots(ws: web.WebSocketResponse) -> None:
    await welcome(ws)
    for slot in range(500):
        await ws.send_bytes(changed(10, slot))
        await asyncio.sleep(0.02)


async def _never_acknowledges(ws: web.WebSocketResponse) -> None:
    await beat(ws, iter(range(500)))


@pytest.mark.parametrize("script", [_silent, _mute, _stuck, _busy_without_slots, _never_acknowledges])
def test_a_node_without_new_slots_is_dead_whatever_else_it_says(script: Script) -> None:
    began = time.monotonic()
    events, connections = follow(lambda events: len(reasons(events)) == 2, script, silence_s=0.2)
    assert set(reasons(events)) == {"no new slot for 0.2 s"}
    assert connections >= 2
    assert time.monotonic() - began < 2.5


def test_a_refused_subscription_brings_the_stream_down_with_its_reason() -> None:
    async def refuse(ws: web.WebSocketResponse) -> None:
        request = orjson.loads(await ws.receive_str())
        error = {"code": -32005, "message": f"too many requests for {KEY}"}
        await ws.send_bytes(said(id=request["id"], error=error))
        await asyncio.sleep(30)

    events, _ = follow(lambda events: len(reasons(events)) == 1, refuse)
    assert events == [StreamDown("too many requests for *** (-32005)")]


@pytest.mark.parametrize("status", [200, 401, 404, 429, 502])
def test_a_refused_handshake_is_told_without_the_url(status: int) -> None:
    events, _ = follow(lambda events: len(events) == 1, status)
    assert isinstance(events[0], StreamDown)
    assert str(status) in events[0].reason
    assert KEY not in events[0].reason


def test_a_refusal_is_not_repeated_hot_but_a_failure_is_tried_again() -> None:
    refused = follow_for(0.3, 403)
    assert refused == 1
    failing = follow_for(0.3, 502)
    assert failing > 3  # the test's randomness takes the shortest wait


def follow_for(seconds: float, status: int) -> int:
    """Count the connections made in some time to a node that answers with a status."""

    async def run() -> int:
        connections = 0

        async def serve(request: web.Request) -> web.StreamResponse:
            nonlocal connections
            connections += 1
            return web.Response(status=status)

        app = web.Application()
        app.router.add_get("/", serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
            stream = AccountStream(session, url, [A], rng=Hurried())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.run(lambda event: None), seconds)
        await runner.cleanup()
        return connections

    return asyncio.run(run())


def test_nobody_listening_is_told_and_tried_again() -> None:
    async def run() -> list[StreamEvent]:
        events: list[StreamEvent] = []
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            async with aiohttp.ClientSession() as session:
                url = f"ws://127.0.0.1:{held.getsockname()[1]}/{KEY}"
                stream = AccountStream(session, url, [A], rng=Hurried())
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(stream.run(events.append), 0.1)
        return events

    told = reasons(asyncio.run(run()))
    assert len(told) > 1
    assert all("no connection" in reason and KEY not in reason for reason in told)
