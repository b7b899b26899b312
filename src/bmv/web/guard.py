"""Who may talk to the page: this machine's own browser and programs.

Rules of this file
- A request whose Host is not a loopback name is refused (DNS rebinding), one from another Origin as well.
- Nothing is loaded from elsewhere and nobody may frame the page: the headers say so on every answer.
"""

import re

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def json_answer(value: object, status: int = 200) -> Response:
    """Return ``value`` as JSON that nobody caches."""
    content = msgspec.json.encode(value)
    return Response(content, status, {"cache-control": "no-store"}, media_type="application/json")


class LoopbackGuard:
    """Refuse foreign Hosts and Origins, and put the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403 (a WebSocket is refused before it opens)."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        if _is_local(scope):
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            refusal = json_answer({"error": "only for this machine's own page"}, 403)
            await refusal(scope, receive, send_guarded)


def _is_local(scope: Scope) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    if not _LOOPBACK_HOST.fullmatch(host):
        return False
    # Browsers name the origin where it matters; other clients have none and still need the token.
    return origin is None or origin.lower() == f"http://{host}".lower()
