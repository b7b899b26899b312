"""The WebSocket front: subscriptions, and notifications after every executed slot.

Rules
- Notifications tell of changes only; there is no snapshot at subscription. They go out when the slot has
  reached the commitment asked for (finalized by default) and show the account as of that slot.
- Subscription ids count up per connection. A client that does not read fast enough is cut off.
- Idle slots are announced at most every ``slot_notify_ms``; a slot with changes always is.
- Faults: a notification may be lost, come after its successor, or break the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import orjson
from aiohttp import WSMsgType, web

from bmv.sandbox.account import Account
from bmv.sandbox.chain import LAG_SLOTS, Chain, Commitment
from bmv.sandbox.faults import Faults
from bmv.sandbox.ledger import Landed, SlotReport
from bmv.sandbox.rpc_accounts import commitment_of
from bmv.sandbox.wire import (
    INVALID_PARAMS,
    PARSE_ERROR,
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
SLOW_LEVELS: tuple[Commitment, ...] = ("confirmed", "finalized")
Kind = Literal["account", "logs", "signature", "slot"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one subscription asked for; a logs subscription without ``key`` is to all."""

    kind: Kind
    commitment: Commitment = "processed"
    key: bytes | None = None
    signature: str = ""
    options: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Connection:
    """One client: its subscriptions by id, and what is still to be written to it."""

    transport: asyncio.Transport
    outbox: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    last_id: int = 0
    held_back: bytes | None = None

    def add(self, subscription: Subscription) -> int:
        """Keep a subscription and return its id."""
        self.last_id += 1
        self.subscriptions[self.last_id] = subscription
        return self.last_id

    def wants(self, kind: Kind) -> list[int]:
        """Return the ids of all subscriptions of a kind."""
        return [number for number, wanted in self.subscriptions.items() if wanted.kind == kind]

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
        on_subscribed: Callable[[], None],
    ) -> None:
        self._chain, self._faults, self._encoder = chain, faults, encoder
        self._slot_notify_ms, self._on_subscribed = slot_notify_ms, on_subscribed
        self._connections: list[Connection] = []
        self._unsettled: dict[Commitment, deque[SlotReport]] = {level: deque() for level in SLOW_LEVELS}
        self._announced_slot, self._announced_ms = 0, 0
        chain.listeners.append(self._on_report)

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
        """Cut every connection and stop listening to the chain."""
        if self._on_report in self._chain.listeners:
            self._chain.listeners.remove(self._on_report)
        for connection in self._connections:
            connection.transport.abort()

    def next_due_ms(self) -> int | None:
        """Return when ``run_due`` next has something to tell anybody; None where it has not."""
        wanted = [one for connection in self._connections for one in connection.subscriptions.values()]
        dues = []
        if any(one.kind == "slot" for one in wanted):
            dues.append(self._announced_ms + self._slot_notify_ms)
        for level, reports in self._unsettled.items():
            if reports and any(one.commitment == level for one in wanted):
                settled = self._chain.clock.at_or_after(reports[0].slot + LAG_SLOTS[level])
                dues.append(self._chain.clock.starts_ms(settled))
        return min(dues, default=None)

    def run_due(self) -> None:
        """Tell of slots that have settled meanwhile, and announce the newest slot where it is time."""
        for level, reports in self._unsettled.items():
            while reports and reports[0].slot <= self._chain.slot_at(level):
                self._tell_all(level, reports.popleft())
        if self._chain.now() >= self._announced_ms + self._slot_notify_ms:
            self._announce(self._chain.slot)

    def _on_report(self, report: SlotReport) -> None:
        """Tell what one slot changed, and keep it for those who wait for it to settle."""
        for reports in self._unsettled.values():
            reports.append(report)
        self._tell_all("processed", report)
        self._announce(report.slot)
        self.run_due()

    def _tell_all(self, level: Commitment, report: SlotReport) -> None:
        for connection in list(self._connections):
            for number, wanted in list(connection.subscriptions.items()):
                if wanted.commitment == level:
                    self._tell(connection, number, wanted, report)

    def _tell(self, connection: Connection, number: int, wanted: Subscription, report: SlotReport) -> None:
        if wanted.kind == "account" and wanted.key in report.changed_keys:
            account = self._chain.bank.account(wanted.key, report.slot) or Account()
            value = self._encoder.encode(wanted.key, account, wanted.options)
            self._notify(connection, "account", number, _at(report.slot, value))
        for landed in report.transactions:
            if wanted.kind == "logs" and (wanted.key is None or wanted.key in landed.tx.keys):
                self._notify(connection, "logs", number, _at(landed.slot, _logs(landed)))
            elif wanted.kind == "signature" and wanted.signature == landed.tx.signature:
                self._tell_signature(connection, number, landed)

    def _tell_signature(self, connection: Connection, number: int, landed: Landed) -> None:
        """Tell of a landed transaction once; that ends the subscription."""
        del connection.subscriptions[number]
        self._notify(connection, "signature", number, _at(landed.slot, {"err": landed.outcome.err}))

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
            for number in connection.wants("slot"):
                self._notify(connection, "slot", number, value)

    def _notify(self, connection: Connection, kind: Kind, number: int, result: Json) -> None:
        """Write one notification, or let a fault have it."""
        if self._faults.strikes("ws_disconnected"):
            connection.transport.abort()
        if self._faults.strikes("ws_lost"):
            return
        params = {"result": result, "subscription": number}
        message = orjson.dumps({"jsonrpc": "2.0", "method": f"{kind}Notification", "params": params})
        if connection.held_back is None and self._faults.strikes("ws_reordered"):
            connection.held_back = message
            return
        connection.write(message)
        if connection.held_back is not None:
            connection.write(connection.held_back)
            connection.held_back = None

    def _receive(self, connection: Connection, text: str) -> None:
        self._chain.run_due()
        self.run_due()
        try:
            answer = call(orjson.loads(text), self._methods(connection))
        except orjson.JSONDecodeError:
            answer = failure(RpcError(PARSE_ERROR, "Parse error"), None)
        connection.write(orjson.dumps(answer))
        for number in connection.wants("signature"):
            wanted = connection.subscriptions[number]
            landed = self._chain.ledger.get(wanted.signature)
            if landed is not None and landed.slot <= self._chain.slot_at(wanted.commitment):
                self._tell_signature(connection, number, landed)
        self._on_subscribed()

    def _methods(self, connection: Connection) -> dict[str, Method]:
        def subscribe_account(params: list[Json]) -> Json:
            key, options = public_key(argument(params, 0, str)), config(params, 1)
            self._encoder.encode(key, Account(), options)  # refuses an encoding nobody could be told in
            return connection.add(Subscription("account", commitment_of(options), key, options=options))

        def subscribe_logs(params: list[Json]) -> Json:
            return connection.add(Subscription("logs", commitment_of(config(params, 1)), _mentioned(params)))

        def subscribe_signature(params: list[Json]) -> Json:
            signature, level = argument(params, 0, str), commitment_of(config(params, 1))
            return connection.add(Subscription("signature", level, signature=signature))

        def unsubscribe(kind: Kind) -> Method:
            def forget(params: list[Json]) -> Json:
                number = argument(params, 0, int)
                if number not in connection.wants(kind):
                    raise RpcError(INVALID_PARAMS, "Invalid subscription id.")
                del connection.subscriptions[number]
                return True

            return forget

        return {
            "accountSubscribe": subscribe_account,
            "logsSubscribe": subscribe_logs,
            "signatureSubscribe": subscribe_signature,
            "slotSubscribe": lambda _: connection.add(Subscription("slot")),
            "accountUnsubscribe": unsubscribe("account"),
            "logsUnsubscribe": unsubscribe("logs"),
            "signatureUnsubscribe": unsubscribe("signature"),
            "slotUnsubscribe": unsubscribe("slot"),
        }


async def _write(socket: web.WebSocketResponse, connection: Connection) -> None:
    """Send what is queued, one message at a time, until the connection ends."""
    while True:
        message = await connection.outbox.get()
        try:
            await socket.send_frame(message, WSMsgType.TEXT)
        except ConnectionError:
            return


def _at(slot: int, value: Json) -> dict[str, Json]:
    return {"context": {"slot": slot}, "value": value}


def _logs(landed: Landed) -> dict[str, Json]:
    return {"signature": landed.tx.signature, "err": landed.outcome.err, "logs": landed.outcome.logs}


def _mentioned(params: list[Json]) -> bytes | None:
    """Return the one key a logs subscription is about, None for all."""
    wanted = params[0] if params else None
    if wanted in ("all", "allWithVotes"):
        return None
    if not isinstance(wanted, dict) or len(wanted.get("mentions", ())) != 1:
        raise RpcError(INVALID_PARAMS, "Invalid Request: Only 1 address supported")
    return public_key(wanted["mentions"][0])
