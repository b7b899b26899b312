"""A loopback server that plays a script: each request gets the next reply, the last one for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

Reply = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]

KEY = "s3cret-api-key-0123456789"
"""Sits in the path, the query and the header of what the tests call; must show up in no text."""


class Stage:
    """Server and client session in one ``async with``; ``requests`` holds what was asked, parsed."""

    def __init__(self, *script: Reply) -> None:
        self._script = list(script)
        self.requests: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        self.url = f"{self.base}/{KEY}?api-key={KEY}"
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(orjson.loads(body) if body else None)
        self.headers.append(request.headers)
        self.paths.append(request.path)
        reply = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return await reply(request, self.requests[-1])


class Hurried(random.Random):
    """Randomness that always takes the shortest wait."""

    def uniform(self, a: float, b: float) -> float:
        return a


def envelope(**members: Any) -> Reply:
    """Answer with these members; ``id`` is the request's own unless given."""

    async def reply(_: web.Request, asked: Any) -> web.StreamResponse:
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **members})

    return reply


def result(value: Any) -> Reply:
    """Answer a JSON-RPC request with ``value``."""
    return envelope(result=value)


def at_slot(slot: int, value: Any) -> Reply:
    """Answer with a value and the slot it is from."""
    return envelope(result={"context": {"slot": slot}, "value": value})


def failure(error: Any, status: int = 200, **members: Any) -> Reply:
    """Answer a JSON-RPC request with an error."""

    async def reply(_: web.Request, asked: Any) -> web.StreamResponse:
        body = {"jsonrpc": "2.0", "id": asked["id"], "error": error, **members}
        return web.json_response(body, status=status)

    return reply


def raw(status: int, body: str | bytes, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with exactly this."""

    async def reply(_: web.Request, asked: Any) -> web.StreamResponse:
        sent = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=sent, headers=headers)

    return reply


async def hang(_: web.Request, asked: Any) -> web.StreamResponse:
    """Read the request and never answer."""
    await asyncio.sleep(30)
    raise AssertionError("a client waited for half a minute")


async def drip(request: web.Request, asked: Any) -> web.StreamResponse:
    """Answer a byte at a time, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def cut(request: web.Request, asked: Any) -> web.StreamResponse:
    """Promise a body, send half of it, hang up."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"jsonrpc":')
    assert request.transport is not None
    request.transport.close()
    return response


async def hang_up(request: web.Request, asked: Any) -> web.StreamResponse:
    """Take the request and close the connection without a word."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()
