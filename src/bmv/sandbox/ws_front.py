"""The WebSocket front: subscriptions, and notifications after every executed slot.

Rules
- Notifications tell of changes only; there is no snapshot at subscription. They go out when a slot is
  executed, whatever commitment was asked for.
- Subscription ids count up per connection. A client that does not read fast enough is cut off.
- Idle slots are announced at most every ``slot_notify_ms``; a slot with changes always is.
- Faults: a notification may be lost, come after its successor, or break the connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import WSMsgType, web

from bmv.sandbox.account import Account
from bmv.sandbox.chain import LAG_SLOTS, Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.ledger import Landed, SlotReport
from bmv.sandbox.wire import (
    INVALID_PARAMS,
    AccountEncoder,
    Json,
    Method,
    RpcError,
    argument,
    call,
    config,
    failure,
    public_key,
)

QUEUE_LIMIT = 10_000


@dataclass(slots=True)
class Connection:
    """One client: its subscriptions by id, and what is still to be written to it."""

    transport: asyncio.Transport
    outbox: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    accounts: dict[int, tuple[bytes, dict[str, Json]]] = field(default_factory=dict)
    logs: dict[int, bytes | None] = field(default_factory=dict)
    signatures: dict[int, str] = field(default_factory=dict)
    slots: dict[int, None] = field(default_factory=dict)
    last_id: int = 0
    held_back: bytes | None = None

    def next_id(self) -> int:
        """Return a fresh subscription id."""
        self.last_id += 1
        return self.last_id

    def write(self, message: bytes) -> None:
        """Queue one message; cut the client off when it is too far behind."""
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.transport.abort()


class WsFront:
    """Serve WebSocket connections about one chain."""

    def __init__(
        self,
        chain: Chain,
        faults: Faults,
        encoder: AccountEncoder,
        slot_notify_ms: int,
        on_slots_wanted: Callable[[], None],
    ) -> None:
        self._chain, self._faults, self._encoder = chain, faults, encoder
        self._slot_notify_ms, self._on_slots_wanted = slot_notify_ms, on_slots_wanted
        self._connections: list[Connection] = []
        self._announced_slot, self._announced_ms = 0, 0
        chain.listeners.append(self.on_report)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Talk to one client until it leaves or is cut off."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        connection = Connection(transport)
        self._connections.append(connection)
        writer = asyncio.create_task(_write(socket, connection))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(connection, message.data)
        finally:
            self._connections.remove(connection)
            writer.cancel()
        return socket

    def close(self) -> None:
        """Cut every connection."""
        for connection in self._connections:
            connection.transport.abort()

    def next_idle_ms(self) -> int | None:
        """Return when the next idle slot is to be announced; None while nobody subscribes to slots."""
        if not any(connection.slots for connection in self._connections):
            return None
        return self._announced_ms + self._slot_notify_ms

    def announce_idle(self) -> None:
        """Announce the newest slot, where it is time and it has not been announced."""
        due = self.next_idle_ms()
        if due is not None and self._chain.now() >= due:
            self._announce(self._chain.slot)

    def on_report(self, report: SlotReport) -> None:
        """Notify every subscriber of what one slot changed."""
        for connection in list(self._connections):
            for subscription, (key, options) in connection.accounts.items():
                if key in report.changed_keys:
                    self._notify_account(connection, subscription, key, options, report.slot)
            for landed in report.transactions:
                self._notify_transaction(connection, landed)
        self._announce(report.slot)

    def _announce(self, slot: int) -> None:
        self._announced_ms = self._chain.now()
        if slot <= self._announced_slot:
            return
        self._announced_slot = slot
        clock = self._chain.clock
        value = {
            "parent": clock.at_or_before(slot - 1),
            "root": clock.at_or_before(slot - LAG_SLOTS["finalized"]),
            "slot": slot,
        }
        for connection in self._connections:
            for subscription in connection.slots:
                self._notify(connection, "slot", subscription, value)

    def _notify_account(
        self, connection: Connection, subscription: int, key: bytes, options: dict[str, Json], slot: int
    ) -> None:
        account = self._chain.account(key) or Account()
        value = self._encoder.encode(key, account, options)
        self._notify(connection, "account", subscription, {"context": {"slot": slot}, "value": value})

    def _notify_transaction(self, connection: Connection, landed: Landed) -> None:
        context = {"slot": landed.slot}
        for subscription, mentioned in connection.logs.items():
            if mentioned is None or mentioned in landed.tx.keys:
                value = {
                    "signature": landed.tx.signature,
                    "err": landed.outcome.err,
                    "logs": landed.outcome.logs,
                }
                self._notify(connection, "logs", subscription, {"context": context, "value": value})
        for subscription, signature in list(connection.signatures.items()):
            if signature == landed.tx.signature:
                del connection.signatures[subscription]
                value = {"err": landed.outcome.err}
                self._notify(connection, "signature", subscription, {"context": context, "value": value})

    def _notify(self, connection: Connection, what: str, subscription: int, result: Json) -> None:
        """Write one notification, or let a fault have it."""
        if self._faults.strikes("ws_disconnected"):
            connection.transport.abort()
        if self._faults.strikes("ws_lost"):
            return
        params = {"result": result, "subscription": subscription}
        message = orjson.dumps({"jsonrpc": "2.0", "method": f"{what}Notification", "params": params})
        if connection.held_back is None and self._faults.strikes("ws_reordered"):
            connection.held_back = message
            return
        connection.write(message)
        if connection.held_back is not None:
            connection.write(connection.held_back)
            connection.held_back = None

    def _receive(self, connection: Connection, text: str) -> None:
        self._chain.run_due()
        after: list[Landed] = []
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            connection.write(orjson.dumps(failure(RpcError(-32700, "Parse error"), None)))
            return
        connection.write(orjson.dumps(call(request, self._methods(connection, after))))
        for landed in after:
            self._notify_transaction(connection, landed)

    def _methods(self, connection: Connection, after: list[Landed]) -> dict[str, Method]:
        """Return the methods of one connection; ``after`` collects what is told right after the answer."""

        def subscribe_account(params: list[Json]) -> Json:
            key, options = public_key(argument(params, 0, str)), config(params, 1)
            self._encoder.encode(key, Account(), options)
            connection.accounts[subscription := connection.next_id()] = (key, options)
            return subscription

        def subscribe_logs(params: list[Json]) -> Json:
            connection.logs[subscription := connection.next_id()] = _mentions(params)
            return subscription

        def subscribe_signature(params: list[Json]) -> Json:
            signature = argument(params, 0, str)
            connection.signatures[subscription := connection.next_id()] = signature
            landed = self._chain.ledger.get(signature)
            after.extend([landed] if landed else [])
            return subscription

        def subscribe_slots(_params: list[Json]) -> Json:
            connection.slots[subscription := connection.next_id()] = None
            self._on_slots_wanted()
            return subscription

        return {
            "accountSubscribe": subscribe_account,
            "logsSubscribe": subscribe_logs,
            "signatureSubscribe": subscribe_signature,
            "slotSubscribe": subscribe_slots,
            "accountUnsubscribe": _forget(connection.accounts),
            "logsUnsubscribe": _forget(connection.logs),
            "signatureUnsubscribe": _forget(connection.signatures),
            "slotUnsubscribe": _forget(connection.slots),
        }


async def _write(socket: web.WebSocketResponse, connection: Connection) -> None:
    """Send what is queued, one message at a time, until the connection ends."""
    while True:
        message = await connection.outbox.get()
        try:
            await socket.send_frame(message, WSMsgType.TEXT)
        except ConnectionError:
            return


def _forget(subscriptions: dict[int, Json]) -> Method:
    def unsubscribe(params: list[Json]) -> Json:
        if subscriptions.pop(argument(params, 0, int), _forget) is _forget:
            raise RpcError(INVALID_PARAMS, "Invalid subscription id.")
        return True

    return unsubscribe


def _mentions(params: list[Json]) -> bytes | None:
    """Return the one key a logs subscription is about, None for all."""
    wanted = params[0] if params else None
    if wanted in ("all", "allWithVotes"):
        return None
    if not isinstance(wanted, dict) or len(wanted.get("mentions", ())) != 1:
        raise RpcError(INVALID_PARAMS, "Invalid Request: Only 1 address supported")
    return public_key(wanted["mentions"][0])
