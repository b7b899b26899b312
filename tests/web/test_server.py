"""The page's server on loopback, asked by a real client; the engine behind it is the sample one."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from bmv.errors import BadInput
from bmv.observe.view import HistoryPoint, View
from bmv.web.page import create_app
from bmv.web.server import MetricsServer, WebServer
from tests.web.sample_source import SampleSource

TOKEN = "correct horse"
TICK_S = 0.02


class Push(msgspec.Struct):
    view: dict[str, Any]
    history: list[HistoryPoint]


@dataclass
class Desk:
    url: str
    source: SampleSource
    server: WebServer
    client: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        async with self.client.get(self.url + path, headers=_dashed(headers)) as answer:
            return answer.status, await answer.read(), {k.lower(): v for k, v in answer.headers.items()}

    async def halt(self, **headers: str) -> int:
        async with self.client.post(self.url + "api/halt", headers=_dashed(headers)) as answer:
            return answer.status


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def _desk(tick_s: float) -> AsyncIterator[Desk]:
    source = SampleSource(steps=30)
    server = WebServer(source, token=TOKEN, tick_s=tick_s)
    url = await server.start(port=0)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
        try:
            yield Desk(url, source, server, client)
        finally:
            await server.stop()


def on_a_desk(ask: Callable[[Desk], Awaitable[None]], tick_s: float = TICK_S) -> None:
    async def run() -> None:
        async with _desk(tick_s) as desk:
            await ask(desk)

    asyncio.run(asyncio.wait_for(run(), 15))


def test_halting_needs_exactly_the_token() -> None:
    async def ask(desk: Desk) -> None:
        assert await desk.halt() == 401
        assert await desk.halt(x_bmv_token="") == 401
        assert await desk.halt(x_bmv_token="wrong") == 401
        assert await desk.halt(x_bmv_token=TOKEN + " x") == 401
        assert await desk.halt(authorization=f"Basic {TOKEN}") == 401
        assert desk.source.halts == []
        assert await desk.halt(x_bmv_token=TOKEN) == 202
        assert desk.source.halts == ["halt button on the page"]

    on_a_desk(ask)


def test_the_token_may_come_as_a_bearer() -> None:
    async def ask(desk: Desk) -> None:
        assert await desk.halt(authorization=f"Bearer {TOKEN}") == 202

    on_a_desk(ask)


def test_halting_is_no_get() -> None:
    async def ask(desk: Desk) -> None:
        status, _, _ = await desk.get("api/halt", x_bmv_token=TOKEN)
        assert status == 405
        assert desk.source.halts == []

    on_a_desk(ask)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "localhost@evil", ""],
)
def test_a_foreign_host_may_neither_read_nor_halt(host: str) -> None:
    async def ask(desk: Desk) -> None:
        for path in ("", "api/view", "api/history", "static/app.js"):
            assert (await desk.get(path, host=host))[0] == 403
        assert await desk.halt(host=host, x_bmv_token=TOKEN) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await desk.client.ws_connect(desk.url + "ws", headers={"host": host})
        assert desk.source.halts == []

    on_a_desk(ask)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_a_foreign_origin_may_neither_read_nor_halt_even_with_the_token(origin: str) -> None:
    async def ask(desk: Desk) -> None:
        named = origin.format(port=desk.port)
        assert await desk.halt(origin=named, x_bmv_token=TOKEN) == 403
        assert (await desk.get("api/view", origin=named))[0] == 403
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await desk.client.ws_connect(desk.url + "ws", headers={"origin": named})
        assert desk.source.halts == []

    on_a_desk(ask)


def test_the_page_s_own_origin_may_halt_with_the_token() -> None:
    async def ask(desk: Desk) -> None:
        assert await desk.halt(origin=f"http://127.0.0.1:{desk.port}", x_bmv_token=TOKEN) == 202

    on_a_desk(ask)


def test_a_tunnelled_port_is_still_this_machine() -> None:
    async def ask(desk: Desk) -> None:
        for host in ("localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"):
            assert (await desk.get("api/view", host=host))[0] == 200

    on_a_desk(ask)


def test_every_answer_carries_the_security_headers() -> None:
    async def ask(desk: Desk) -> None:
        answers = [await desk.get(path) for path in ("", "static/app.js", "api/view", "nothing")]
        answers.append(await desk.get("", host="evil.example"))
        for _, _, headers in answers:
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'self'; ")
            assert "unsafe" not in policy
            assert "script-src" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert "server" not in headers

    on_a_desk(ask)


def test_the_page_and_its_files_are_served() -> None:
    async def ask(desk: Desk) -> None:
        status, page, headers = await desk.get("")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        for path in re.findall(rb'(?:src|href)="/([^"]+)"', page):
            assert (await desk.get(path.decode()))[0] == 200, path
        _, _, headers = await desk.get("static/app.js")
        assert headers["content-type"].startswith("text/javascript")
        assert (await desk.get("static/../server.py"))[0] == 404
        assert (await desk.get("static/%2e%2e/server.py"))[0] == 404

    on_a_desk(ask)


def test_the_view_reads_back_as_the_view() -> None:
    async def ask(desk: Desk) -> None:
        status, body, headers = await desk.get("api/view")
        view = msgspec.json.decode(body, type=View)
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert (view.symbol, view.state, view.counters.self_trades) == ("BMV", "quoting", 0)
        assert len(view.ladder) == 84
        assert isinstance(json.loads(body)["ladder"][0]["price"], str)

    on_a_desk(ask)


def test_prometheus_is_answered_what_the_metrics_are_at_that_moment() -> None:
    async def scenario() -> None:
        scrapes = iter((b"bmv_fills_total 1\n", b"bmv_fills_total 2\n"))
        server = WebServer(SampleSource(steps=1), token=TOKEN, metrics=lambda: next(scrapes))
        url = await server.start(port=0)
        try:
            async with aiohttp.ClientSession() as client:
                for number in (1, 2):
                    async with client.get(url + "metrics") as answer:
                        assert answer.content_type == "text/plain"
                        assert await answer.text() == f"bmv_fills_total {number}\n"
        finally:
            await server.stop()

    asyncio.run(scenario())


def test_history_starts_after_since() -> None:
    async def ask(desk: Desk) -> None:
        points = msgspec.json.decode((await desk.get("api/history?since=25"))[1], type=list[HistoryPoint])
        assert [point.seq for point in points] == [26, 27, 28, 29, 30]
        assert len(json.loads((await desk.get("api/history"))[1])) == 30
        for wrong in ("x", "1.5", "", "9" * 30):
            assert (await desk.get(f"api/history?since={wrong}"))[0] == 400

    on_a_desk(ask)


def test_the_stream_pushes_the_view_and_every_point_once() -> None:
    async def ask(desk: Desk) -> None:
        seen: list[int] = []
        known: dict[str, Any] = {}
        async with desk.client.ws_connect(desk.url + "ws?since=10") as stream:
            for _ in range(6):
                push = msgspec.json.decode((await stream.receive()).data, type=Push)
                seen += [point.seq for point in push.history]
                known |= push.view
                view = msgspec.convert(known, View)
                assert view.slot == 301_224_000 + seen[-1] * 5
        assert seen == list(range(11, seen[-1] + 1))
        assert seen[-1] >= 34

    on_a_desk(ask)


def test_a_push_holds_what_has_changed_since_the_clients_last_one_and_nothing_else() -> None:
    async def ask(desk: Desk) -> None:
        async with desk.client.ws_connect(desk.url + "ws") as stream:
            first = msgspec.json.decode((await stream.receive()).data, type=Push)
            later = msgspec.json.decode((await stream.receive()).data, type=Push)
        assert set(first.view) == set(View.__struct_fields__)
        assert {"now", "slot", "ladder"} <= set(later.view)
        assert set(later.view).isdisjoint({"market", "symbol", "started", "treasury.sol", "wallets"})
        async with desk.client.ws_connect(desk.url + "ws") as stream:
            again = msgspec.json.decode((await stream.receive()).data, type=Push)
        assert set(again.view) == set(View.__struct_fields__)

    on_a_desk(ask)


def test_however_many_look_the_view_is_taken_once_a_tick() -> None:
    async def ask(desk: Desk) -> None:
        streams = [await desk.client.ws_connect(desk.url + "ws") for _ in range(20)]
        for _ in range(3):
            slots = [
                msgspec.json.decode((await stream.receive()).data, type=Push).view["slot"]
                for stream in streams
            ]
        # The sample moves by five slots a view: twenty clients that each took one would move it by a hundred.
        assert max(slots) - min(slots) <= 10
        for stream in streams:
            await stream.close()

    on_a_desk(ask, tick_s=0.2)


def test_a_stream_with_a_senseless_since_is_refused() -> None:
    async def ask(desk: Desk) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await desk.client.ws_connect(desk.url + "ws?since=never")

    on_a_desk(ask)


def test_a_client_that_speaks_is_let_go() -> None:
    async def ask(desk: Desk) -> None:
        async with desk.client.ws_connect(desk.url + "ws") as stream:
            await stream.send_str("hello")
            async for _ in stream:
                pass
            assert stream.closed

    on_a_desk(ask)


def test_stopping_ends_an_open_stream_and_frees_the_port() -> None:
    async def ask(desk: Desk) -> None:
        stream = await desk.client.ws_connect(desk.url + "ws", autoclose=False)
        await stream.receive()
        await asyncio.wait_for(desk.server.stop(), 2)
        while (last := await stream.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        again = WebServer(desk.source, token=TOKEN)
        assert await again.start(port=desk.port) == desk.url
        await again.stop()

    on_a_desk(ask)


def test_a_client_that_never_reads_gets_no_queue_and_does_not_hold_up_the_stop() -> None:
    async def ask(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port, limit=1)
        own_socket: socket.socket = writer.get_extra_info("socket")
        own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        await reader.read(1)
        # The sample moves by five slots per view: once only our own questions move it, the stream waits.
        slot = 0
        while (now := msgspec.json.decode((await desk.get("api/view"))[1], type=View).slot) != slot + 5:
            slot = now
            await asyncio.sleep(0.05)
        await asyncio.wait_for(desk.server.stop(), 4)
        writer.transport.abort()

    on_a_desk(ask, tick_s=0.001)


def test_stopping_twice_or_before_a_start_does_nothing() -> None:
    async def run() -> None:
        server = WebServer(SampleSource(steps=1), token=TOKEN)
        await server.stop()
        await server.start(port=0)
        await server.stop()
        await server.stop()

    asyncio.run(run())


def test_a_taken_port_names_the_flag_the_value_and_the_way_out() -> None:
    async def ask(desk: Desk) -> None:
        with pytest.raises(BadInput, match="it is taken") as caught:
            await WebServer(desk.source, token=TOKEN).start(port=desk.port)
        assert (caught.value.field, caught.value.value) == ("--port", desk.port)
        assert "0 for any" in caught.value.allowed
        assert caught.value.source == "command line"

    on_a_desk(ask)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(BadInput, match="--port"):
        asyncio.run(WebServer(SampleSource(steps=1), token=TOKEN).start(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "192.168.1.4", ""])
def test_an_address_others_can_reach_is_refused(host: str) -> None:
    with pytest.raises(BadInput, match="SSH tunnel"):
        asyncio.run(WebServer(SampleSource(steps=1), token=TOKEN).start(host, 0))


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="token"):
        create_app(SampleSource(steps=1), token="")


def test_the_callers_signal_handlers_stay() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def ask(desk: Desk) -> None:
        # The runner of asyncio owns SIGINT while it runs; SIGTERM is the one uvicorn would take as well.
        assert signal.getsignal(signal.SIGTERM) == before[1]
        assert "uvicorn" not in repr(signal.getsignal(signal.SIGINT))

    on_a_desk(ask)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_metrics_alone_are_told_elsewhere_only_where_the_settings_say_so() -> None:
    async def status(server: MetricsServer, asked_for: str) -> int:
        url = await server.open(0)
        port = url.rstrip("/").rpartition(":")[2]
        try:
            async with aiohttp.ClientSession() as client:
                headers = {"Host": asked_for}
                async with client.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
                    return answer.status
        finally:
            await server.stop()

    async def act() -> None:
        assert await status(MetricsServer(lambda: b""), "localhost:9101") == 200
        assert await status(MetricsServer(lambda: b""), "engine:9101") == 403
        assert await status(MetricsServer(lambda: b"", "0.0.0.0"), "engine:9101") == 200

    asyncio.run(act())
