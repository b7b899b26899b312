"""The chain's push feed: which watched accounts changed, and that the node is alive.

Rules of this file
- Notifications are triggers, not data: they say *that* an account changed at a slot. Whoever needs its bytes
  reads a consistent snapshot, always after ``StreamUp`` (what happened before it is not told).
- A node that shows no new slot for ``silence_s`` is dead, whatever else it sends.
- Half a stream is none: one refused subscription ends the connection, the next one subscribes to everything.
- Nothing is remembered over connections, so one absurd slot cannot silence an account for ever.

Shapes: Solana WebSocket API (``slotSubscribe``, ``accountSubscribe`` with an empty ``dataSlice``).
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NoReturn

import aiohttp
import msgspec
import orjson
from solders.pubkey import Pubkey

from bmv.chain.http import Answer, Endpoint, backoff, rpc_error, status_error, transport_error
from bmv.errors import Garbled, OutsideError, RateLimited, Refused, Unreachable
from bmv.units import Slot

LONGEST_PAUSE_S = 15.0
PING_S = 30.0
"""Some providers cut connections on which the client is silent."""
CLOSE_S = 0.5
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""For nodes that ignore ``dataSlice`` and send whole accounts."""


@dataclass(frozen=True, slots=True)
class StreamUp:
    """Everything is subscribed: read a snapshot now."""


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """The node processed a slot higher than all before on this connection."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class AccountTouched:
    """A watched account changed at ``slot``; told at least once, never with a slot older than before."""

    key: Pubkey
    slot: Slot


@dataclass(frozen=True, slots=True)
class StreamDown:
    """There is no connection, for this reason; another attempt follows.

    ``silent``: the connection stood, but the node showed no new slot.
    """

    reason: str
    silent: bool = False


StreamEvent = StreamUp | SlotSeen | AccountTouched | StreamDown
_Natural = Annotated[int, msgspec.Meta(ge=0)]


class NodeSilent(Unreachable):
    """The connection stands, and no new slot comes."""


class _Context(msgspec.Struct):
    slot: _Natural


class _Notice(msgspec.Struct):
    slot: _Natural | None = None
    context: _Context | None = None


class _Params(msgspec.Struct):
    subscription: int
    result: _Notice


class _Message(msgspec.Struct):
    """The few fields read; everything else, account data above all, is skipped without being built."""

    id: int | None = None
    method: str = ""
    result: int | None = None
    error: dict[str, object] | None = None
    params: _Params | None = None


class Subscriptions:
    """The protocol of one connection without its socket: bytes in, events out."""

    def __init__(self, endpoint: Endpoint, accounts: Sequence[Pubkey], commitment: str) -> None:
        self._endpoint = endpoint
        self._accounts = list(dict.fromkeys(accounts))
        self._commitment = commitment
        self._waiting: dict[int, Pubkey | None] = dict(enumerate([None, *self._accounts], start=1))
        self._keys: dict[int, list[Pubkey]] = {}
        self._touched: dict[int, Slot] = {}
        self._slot = Slot(-1)
        self._decode = msgspec.json.Decoder(_Message).decode

    def requests(self) -> list[str]:
        """Return what to send first: the slot subscription, then one per account."""
        options = {
            "encoding": "base64",
            "commitment": self._commitment,
            "dataSlice": {"offset": 0, "length": 0},
        }
        asked: list[tuple[str, list[object]]] = [("slotSubscribe", [])]
        asked += [("accountSubscribe", [str(key), options]) for key in self._accounts]
        return [
            orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()
            for number, (method, params) in enumerate(asked, start=1)
        ]

    def take(self, data: str | bytes) -> list[StreamEvent]:
        """Return what one message tells; what comes before everything is subscribed is told right after.

        Raises Garbled for a message that does not fit, what ``rpc_error`` says for a refused subscription.
        """
        try:
            message = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbled(self._endpoint.where, f"a message that does not fit: {error}") from error
        if message.error is not None:
            raise rpc_error(self._endpoint, message.error)
        if message.id in self._waiting:
            return self._acknowledged(message.id, message.result)
        notice = message.params.result if message.params else None
        if message.params and notice and message.method == "slotNotification":
            return self._slot_seen(notice.slot)
        if message.params and notice and notice.context and message.method == "accountNotification":
            return self._account_touched(message.params.subscription, Slot(notice.context.slot))
        return []

    def _acknowledged(self, request: int, subscription: int | None) -> list[StreamEvent]:
        if subscription is None:
            raise Garbled(self._endpoint.where, "a subscription without an id")
        key = self._waiting.pop(request)
        if key is not None:
            self._keys.setdefault(subscription, []).append(key)
        if self._waiting:
            return []
        early: list[StreamEvent] = [SlotSeen(self._slot)] if self._slot >= Slot(0) else []
        self._touched = {number: slot for number, slot in self._touched.items() if number in self._keys}
        for number, slot in self._touched.items():
            early += [AccountTouched(key, slot) for key in self._keys[number]]
        return [StreamUp(), *early]

    def _slot_seen(self, slot: int | None) -> list[StreamEvent]:
        if slot is None or Slot(slot) <= self._slot:
            return []
        self._slot = Slot(slot)
        return [] if self._waiting else [SlotSeen(self._slot)]

    def _account_touched(self, subscription: int, slot: Slot) -> list[StreamEvent]:
        known = subscription in self._keys
        if slot < self._touched.get(subscription, slot) or not (known or self._waiting):
            return []
        self._touched[subscription] = slot
        if self._waiting:
            return []
        return [AccountTouched(key, slot) for key in self._keys[subscription]]


class AccountStream:
    """Follow the slots of a node and changes of ``accounts``, over as many connections as it takes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ws_url: str,
        accounts: Sequence[Pubkey],
        *,
        rng: random.Random,
        silence_s: float = 5.0,
        commitment: Literal["processed", "confirmed"] = "processed",
    ) -> None:
        self._session = session
        self._endpoint = Endpoint("stream", ws_url)
        self._accounts = tuple(accounts)
        self._rng = rng
        self._silence_s = silence_s
        self._commitment = commitment

    async def run(self, emit: Callable[[StreamEvent], None]) -> NoReturn:
        """Connect, subscribe, and tell ``emit`` what happens, for ever; ends only by being cancelled."""
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            began = clock()
            try:
                await self._follow(emit)
            except OutsideError as error:
                failures = 1 if clock() - began > 2 * self._silence_s else failures + 1
                pause = self._pause(error, failures)
                emit(StreamDown(error.why, silent=isinstance(error, NodeSilent)))
            await asyncio.sleep(pause)

    def _pause(self, error: OutsideError, failures: int) -> float:
        if isinstance(error, Refused):
            return LONGEST_PAUSE_S
        pause = backoff(self._rng, failures, LONGEST_PAUSE_S)
        return max(pause, error.retry_after or 0.0) if isinstance(error, RateLimited) else pause

    async def _follow(self, emit: Callable[[StreamEvent], None]) -> NoReturn:
        """Live through one connection; raises the OutsideError that ended it."""
        try:
            async with asyncio.timeout(self._silence_s):
                socket = await self._session.ws_connect(
                    self._endpoint.url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    max_msg_size=MAX_MESSAGE_BYTES,
                )
            try:
                await self._listen(socket, emit)
            finally:
                await socket.close()
        except aiohttp.WSServerHandshakeError as error:
            answer = Answer(error.status, error.headers or {}, b"")
            failure = status_error(self._endpoint, answer) or Refused(
                self._endpoint.where, f"HTTP {error.status} instead of a WebSocket", error.status
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = transport_error(self._endpoint, error)
        raise failure

    async def _listen(
        self, socket: aiohttp.ClientWebSocketResponse, emit: Callable[[StreamEvent], None]
    ) -> NoReturn:
        clock = asyncio.get_running_loop().time
        alive_until, ping_at = clock() + self._silence_s, clock() + PING_S
        feed = Subscriptions(self._endpoint, self._accounts, self._commitment)
        async with asyncio.timeout(self._silence_s):
            for request in feed.requests():
                await socket.send_str(request)
        while True:
            for event in feed.take(await self._receive(socket, alive_until - clock())):
                if isinstance(event, SlotSeen):
                    alive_until = clock() + self._silence_s
                emit(event)
            if clock() >= ping_at:
                ping_at = clock() + PING_S
                await socket.ping()

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, patience_s: float) -> str | bytes:
        where = self._endpoint.where
        try:
            # aiohttp takes 0 for "no limit"
            message = await socket.receive(max(patience_s, 0.001))
        except TimeoutError as error:
            raise NodeSilent(where, f"no new slot for {self._silence_s:g} s") from error
        if isinstance(message.data, str | bytes):
            return message.data
        raise Unreachable(where, f"the connection ended ({socket.close_code})")
