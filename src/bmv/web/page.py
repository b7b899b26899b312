"""The page's routes: everybody on this machine may read, halting needs the token.

A slow client gets fewer pushes, never a queue: each push is made after the last one left.
Each holds what has changed since the one before it; the first holds everything.
"""

import asyncio
import contextlib
import hmac
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from bmv.web.guard import LoopbackGuard, json_answer
from bmv.web.pushing import Pushing
from bmv.web.view import ViewSource

STATIC = Path(__file__).parent / "static"
METRICS_TYPE = "text/plain; version=0.0.4"
HALT_REASON = "halt button on the page"
_SINCE = re.compile(r"-?[0-9]{1,18}")


def create_app(
    source: ViewSource, *, token: str, tick_s: float = 1.0, metrics: Callable[[], bytes] | None = None
) -> Starlette:
    """Return the app over ``source``; ``tick_s`` seconds lie between pushes; ValueError: an empty token.

    ``metrics`` is what Prometheus is answered; without it there is no such path.
    """
    if not token:
        raise ValueError("the page's token must not be empty")
    page = _Page(source, token.encode(), tick_s)
    scraped = [] if metrics is None else [_metrics_route(metrics)]
    return Starlette(
        routes=[
            Route("/", page.index),
            Route("/api/view", page.view),
            Route("/api/history", page.history),
            Route("/api/halt", page.halt, methods=["POST"]),
            WebSocketRoute("/ws", page.stream),
            Mount("/static", StaticFiles(directory=STATIC)),
            *scraped,
        ],
        middleware=[Middleware(LoopbackGuard)],
    )


class _Page:
    """The endpoints over one source."""

    def __init__(self, source: ViewSource, token: bytes, tick_s: float) -> None:
        self._source, self._token, self._pushing = source, token, Pushing(source, tick_s)

    async def index(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def view(self, _: Request) -> Response:
        return json_answer(self._source.view())

    async def history(self, request: Request) -> Response:
        since = _since(request.query_params)
        if since is None:
            return json_answer({"error": "since: a whole number"}, 400)
        return json_answer(self._source.history(since))

    async def halt(self, request: Request) -> Response:
        if not hmac.compare_digest(_given_token(request).encode(), self._token):
            return json_answer({"error": "the token is missing or wrong"}, 401)
        await self._source.halt(HALT_REASON)
        return json_answer({"accepted": True}, 202)

    async def stream(self, client: WebSocket) -> None:
        since = _since(client.query_params)
        if since is None:
            await client.close(1008)
            return
        with contextlib.suppress(WebSocketDisconnect):
            await client.accept()
            async with _departure(client) as gone:
                revision = 0
                while not gone.done():
                    message, revision, since = self._pushing.message(revision, since)
                    await client.send_text(message)
                    await asyncio.wait({gone}, timeout=self._pushing.wait_s())


def metrics_app(metrics: Callable[[], bytes], *, guarded: bool) -> Starlette:
    """Return an app that answers Prometheus and nothing else; ``guarded``: only this machine's."""
    return Starlette(
        routes=[_metrics_route(metrics)], middleware=[Middleware(LoopbackGuard)] if guarded else []
    )


def _metrics_route(metrics: Callable[[], bytes]) -> Route:
    async def scraped(_: Request) -> Response:
        return Response(metrics(), media_type=METRICS_TYPE)

    return Route("/metrics", scraped)


def _since(query: Mapping[str, str]) -> int | None:
    text = query.get("since", "0")
    return int(text) if _SINCE.fullmatch(text) else None


def _given_token(request: Request) -> str:
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return request.headers.get("x-bmv-token") or (bearer if scheme.lower() == "bearer" else "")


@contextlib.asynccontextmanager
async def _departure(client: WebSocket) -> AsyncIterator[asyncio.Task[Message]]:
    """Watch for the client's end; the page never speaks, so any message from it ends the stream too."""
    gone = asyncio.create_task(client.receive())
    try:
        yield gone
    finally:
        gone.cancel()
