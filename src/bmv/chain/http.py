"""The border to services that speak HTTP: here, and only here, foreign failures become errors of bmv.

Rules of this file
- No error text carries a secret: only the host of a URL is shown, and what a server echoes is scrubbed.
- ``NotSent`` means the service cannot have seen the request. Any other ``Unreachable`` or ``Garbled`` leaves
  open what the service did with it: whoever sends, not reads, must treat the outcome as unknown.
- Every exchange has a total deadline and a bounded body; redirects are not followed.
- Repeating is bounded in number and in time, jittered, obeys Retry-After, and never repeats what was refused.
"""

import asyncio
import copy
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import aiohttp
import orjson

from bmv.errors import Garbled, OutsideError, RateLimited, Refused, Stale, Unreachable

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A hundred accounts of half a megabyte each in base64; nothing we ask for is larger."""
MAX_RETRY_AFTER_S = 3600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
STALE_PAUSE_S = (0.1, 0.4)
"""A node that is behind catches up within a slot or it is the wrong node."""

_SHORTEST_SECRET = 6
_RATE_CODES = frozenset({-32097, -32429, 429, -32005})
_STALE_CODES = frozenset({-32016})
_INTERNAL_CODE = -32603
_BEHIND_CODE = -32005
# The texts of these contain the whole URL; the others name the host at most.
_SPEAK_THE_URL = (aiohttp.ClientResponseError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError)

T = TypeVar("T")


class NotSent(Unreachable):
    """No connection was made: the service cannot have seen the request."""


class Endpoint:
    """One URL of one service, with its secrets known so that no text shows them."""

    __slots__ = ("_secrets", "url", "where")

    def __init__(self, service: str, url: str, secrets: Sequence[str] = ()) -> None:
        parts = urlsplit(url)
        found = [*secrets, *parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
        found += [parts.query, parts.username or "", parts.password or ""]
        self._secrets = sorted(
            {form for text in found for form in (text, unquote(text)) if len(form) >= _SHORTEST_SECRET},
            key=lambda text: (-len(text), text),
        )
        self.url = url
        self.where = f"{service} {parts.netloc.rpartition('@')[2] or '?'}"

    def at(self, path: str) -> Self:
        """Return the endpoint ``path`` below this one; ``path`` itself is no secret."""
        below = copy.copy(self)
        parts = urlsplit(self.url)
        below.url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
        return below

    def scrub(self, text: str) -> str:
        """Return foreign text as one short printable line without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]

    def __repr__(self) -> str:
        return f"Endpoint({self.where})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers (case-insensitive) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    timeout_s: float,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """POST ``body`` as JSON, or GET without one, and return the answer whatever its status.

    Raises NotSent, Unreachable (also when ``timeout_s`` for all of it is over), Garbled for a huge body.
    """
    sent = {"Content-Type": "application/json"} if body is not None else {}
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=timeout_s)
    try:
        async with session.request(
            "GET" if body is None else "POST",
            endpoint.url,
            data=body,
            headers={**sent, **(headers or {})},
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await _whole_body(response, endpoint))
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = transport_error(endpoint, error)
        cause = None if isinstance(error, _SPEAK_THE_URL) else error
    raise failure from cause


async def _whole_body(response: aiohttp.ClientResponse, endpoint: Endpoint) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Garbled(endpoint.where, f"an answer of more than {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def transport_error(endpoint: Endpoint, error: aiohttp.ClientError | TimeoutError) -> OutsideError:
    """Map what aiohttp raises without a usable answer."""
    where = endpoint.where
    match error:
        case aiohttp.InvalidURL():
            return Refused(where, "the configured URL is not valid")
        case aiohttp.ConnectionTimeoutError():
            return NotSent(where, "no connection in time")
        case aiohttp.ClientConnectorError():
            return NotSent(where, f"no connection: {endpoint.scrub(str(error.os_error))}")
        case TimeoutError():
            return Unreachable(where, "no complete answer in time")
        case aiohttp.ClientResponseError():
            return Garbled(where, "the answer is not HTTP")
        case _:
            return Unreachable(where, f"the connection broke: {type(error).__name__}")


def status_error(endpoint: Endpoint, answer: Answer) -> OutsideError | None:
    """Map the statuses that say all there is to say; None where the body decides."""
    status, where = answer.status, endpoint.where
    if status == 429:
        return RateLimited(where, f"HTTP 429{_words(endpoint, answer)}", retry_after(answer.headers))
    if status in {401, 403}:
        return Refused(where, f"HTTP {status}{_words(endpoint, answer)}", status)
    if status >= 500 or status == 408:
        return Unreachable(where, f"HTTP {status}{_words(endpoint, answer)}")
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After in seconds: a number, or a date measured against the answer's own Date; else None."""
    text = headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            ready, sent = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
            seconds = (ready - sent).total_seconds()
        except (ValueError, TypeError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def json_value(endpoint: Endpoint, answer: Answer) -> object:
    """Return the JSON of a plain (not JSON-RPC) answer.

    Raises RateLimited, Refused or Unreachable by its status, Garbled where it is not JSON (HTML, cut off).
    """
    failure = status_error(endpoint, answer)
    if failure is not None:
        raise failure
    if answer.status != 200:
        raise Refused(endpoint.where, f"HTTP {answer.status}{_words(endpoint, answer)}", answer.status)
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        failure = Garbled(endpoint.where, f"not JSON{_words(endpoint, answer)}")
    raise failure


def rpc_result(endpoint: Endpoint, answer: Answer, request_id: int) -> object:
    """Open a JSON-RPC 2.0 envelope and return its ``result``.

    Raises RateLimited, Stale, Refused (with the code), Unreachable or Garbled as the answer says.
    """
    failure = status_error(endpoint, answer)
    if failure is not None:
        raise failure
    reply = _object_or_none(answer.body)
    if reply and reply.get("error") is not None and reply.get("id") in (None, request_id):
        raise rpc_error(endpoint, reply["error"], retry_after(answer.headers))
    if answer.status != 200:
        raise Refused(endpoint.where, f"HTTP {answer.status}{_words(endpoint, answer)}", answer.status)
    if reply is None:
        raise Garbled(endpoint.where, f"not a JSON-RPC answer{_words(endpoint, answer)}")
    if reply.get("id") != request_id or "result" not in reply:
        raise Garbled(endpoint.where, "the answer to something else, or without a result")
    return reply["result"]


def rpc_error(endpoint: Endpoint, error: object, after: float | None = None) -> OutsideError:
    """Map the ``error`` of a JSON-RPC answer; providers reuse codes, so the text decides where it must."""
    if not isinstance(error, dict):
        return Refused(endpoint.where, endpoint.scrub(str(error)))
    code, message, data = error.get("code"), str(error.get("message", "")), error.get("data")
    if not isinstance(code, int):
        return Garbled(endpoint.where, f"an error without a code: {endpoint.scrub(message)}")
    inner = data.get("err") if isinstance(data, dict) else None
    detail = "" if inner is None else f" {orjson.dumps(inner).decode()}"
    why = f"{endpoint.scrub(message + detail)} ({code})"
    behind = code == _BEHIND_CODE and "behind" in message
    if behind or code in _STALE_CODES:
        return Stale(endpoint.where, why)
    if code in _RATE_CODES:
        return RateLimited(endpoint.where, why, after)
    if code == _INTERNAL_CODE:
        return Unreachable(endpoint.where, why)
    return Refused(endpoint.where, why, code)


def _object_or_none(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _words(endpoint: Endpoint, answer: Answer) -> str:
    reply = _object_or_none(answer.body) or {}
    error = reply.get("error", reply.get("message"))
    text = error.get("message") if isinstance(error, dict) else error
    if text is None:
        raw = answer.body[:400].decode("utf-8", "replace").lstrip()
        text = "an HTML page" if raw.startswith("<") else raw
    said = endpoint.scrub(str(text))
    return f": {said}" if said else ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often to repeat a read; ``on_error`` hears of every failed attempt, healed or not."""

    rng: random.Random
    attempts: int
    total_s: float
    on_error: Callable[[OutsideError], None] | None = None

    async def read(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        """Call ``attempt(timeout_s)`` until it returns; raise its last error when patience is over.

        All attempts with their pauses take ``total_s`` at most, one of several half of it.
        """
        longest = self.total_s if self.attempts == 1 else self.total_s / 2
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.total_s
        number = 0
        while True:
            number += 1
            try:
                return await attempt(min(longest, deadline - clock()))
            except OutsideError as error:
                if self.on_error is not None:
                    self.on_error(error)
                pause = self._pause(error, number)
                if isinstance(error, Refused) or number >= self.attempts or clock() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)

    def _pause(self, error: OutsideError, number: int) -> float:
        if isinstance(error, Stale):
            return self.rng.uniform(*STALE_PAUSE_S)
        pause = backoff(self.rng, number)
        return max(pause, error.retry_after or 0.0) if isinstance(error, RateLimited) else pause


def backoff(rng: random.Random, failures: int, longest_s: float = LONGEST_PAUSE_S) -> float:
    """Return the seconds to wait after ``failures`` in a row: exponential, bounded, full jitter."""
    return rng.uniform(0.0, min(longest_s, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 32)))
