"""Instruction data of the program: values <-> bytes.

Data is a version byte 0, a little-endian u32 tag and the body. ``parse_body`` refuses what the program
refuses as an invalid argument, and the old instructions it no longer implements. ``encode_body`` refuses
more: values that do not fit, and a match limit of 0, with which the program *posts* an immediate-or-cancel
order that does not cross. Source: ``dex/src/instruction.rs``; docs/layouts.md.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar, Protocol, Self, cast

import msgspec

from bmv.errors import BadBytes, BadInput
from bmv.model import Placement, Side

MAX_BATCH = 8
"""The most orders or client ids one instruction takes."""
NO_LIMIT = 0xFFFF
NEVER = 2**63 - 1
"""The ``max_ts`` of an order that does not expire."""

_WHAT = "instruction"
_HEAD = struct.Struct("<BI")
_SHORT_ORDER = struct.Struct("<IQQQIIQH")
_ORDER = struct.Struct("<IQQQIIQHq")
ORDER_BYTES = _ORDER.size
"""What each order adds to the data of ReplaceOrders."""
REPLACE_BYTES = _HEAD.size + 8
"""Of the data of ReplaceOrders without an order."""
_LOW_WORD = (1 << 64) - 1


class SelfTrade(IntEnum):
    """What happens when an order meets one of the same OpenOrders account."""

    DECREMENT_TAKE = 0
    CANCEL_PROVIDE = 1
    ABORT = 2


class OrderType(IntEnum):
    """Whether an order may rest, may take, or both."""

    LIMIT = 0
    IOC = 1
    POST_ONLY = 2


class NewOrder(msgspec.Struct, frozen=True):
    """An order to place: ``price`` in ticks, ``size`` in base lots, ``max_quote`` in quote atoms with fees.

    ``limit`` is how many resting orders it may match; ``max_ts`` the last unix second at which it is valid.
    """

    side: Side
    price: int
    size: int
    max_quote: int
    client_id: int
    order_type: OrderType = OrderType.POST_ONLY
    self_trade: SelfTrade = SelfTrade.ABORT
    limit: int = NO_LIMIT
    max_ts: int | None = None


class Body(msgspec.Struct, frozen=True):
    """One instruction's own arguments; the default layout packs the fields in order."""

    tag: ClassVar[int]
    layout: ClassVar[struct.Struct] = struct.Struct("<")

    def encode(self) -> bytes:
        """Return the bytes after the tag; raise struct.error when a value does not fit."""
        return self.layout.pack(*msgspec.structs.astuple(self))

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag; raise struct.error or ValueError for none."""
        return cls(*cls.layout.unpack(body))


class InitializeMarket(Body, frozen=True):
    """Turn seven zeroed accounts into a market; lot sizes are atoms per lot."""

    tag = 0
    layout = struct.Struct("<QQHQQ")
    base_lot_size: int
    quote_lot_size: int
    fee_rate_bps: int
    vault_signer_nonce: int
    quote_dust_threshold: int


class MatchOrders(Body, frozen=True):
    """Do nothing (kept by the program for old callers)."""

    tag = 2
    layout = struct.Struct("<H")
    limit: int


class ConsumeEvents(Body, frozen=True):
    """Apply up to ``limit`` events of the queue to the OpenOrders accounts named."""

    tag = 3
    layout = struct.Struct("<H")
    limit: int


class SettleFunds(Body, frozen=True):
    """Pay out what is free in an OpenOrders account."""

    tag = 5


class PlaceOrder(Body, frozen=True):
    """Place one order (NewOrderV3); 46 bytes, or 54 with ``max_ts``."""

    tag = 10
    order: NewOrder

    def encode(self) -> bytes:
        """Return the bytes after the tag."""
        return _encode_order(self.order)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        return cls(_parse_order(body))


class CancelOrder(Body, frozen=True):
    """Cancel by order id (CancelOrderV2)."""

    tag = 11
    layout = struct.Struct("<IQQ")
    side: Side
    order_id: int

    def encode(self) -> bytes:
        """Return the bytes after the tag."""
        return self.layout.pack(self.side, self.order_id & _LOW_WORD, self.order_id >> 64)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        side, low, high = cls.layout.unpack(body)
        return cls(Side(side), high << 64 | low)


class CancelOrderByClientId(Body, frozen=True):
    """Cancel the order in the lowest slot with this client id (CancelOrderByClientIdV2)."""

    tag = 12
    layout = struct.Struct("<Q")
    client_id: int


class SendTake(Body, frozen=True):
    """Take without an OpenOrders account; the program panics on it, it is only here to be recognised."""

    tag = 13
    layout = struct.Struct("<IQQQQQH")
    side: Side
    price: int
    size: int
    max_quote: int
    min_size: int
    min_quote: int
    limit: int

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        side, price, size, max_quote, *rest = cls.layout.unpack(body)
        _check_positive(price, size, max_quote)
        return cls(Side(side), price, size, max_quote, *rest)


class CloseOpenOrders(Body, frozen=True):
    """Close an empty OpenOrders account."""

    tag = 14


class InitOpenOrders(Body, frozen=True):
    """Turn a zeroed account into an OpenOrders account."""

    tag = 15


class Prune(Body, frozen=True):
    """Cancel up to ``limit`` orders of somebody (permissioned markets)."""

    tag = 16
    layout = struct.Struct("<H")
    limit: int


class ConsumeEventsPermissioned(Body, frozen=True):
    """Apply events on a market whose crank is permissioned."""

    tag = 17
    layout = struct.Struct("<H")
    limit: int


class CancelOrdersByClientIds(Body, frozen=True):
    """Cancel every live order with one of up to 8 client ids; unknown ids and 0 are skipped."""

    tag = 18
    client_ids: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the bytes after the tag."""
        _check_batch(len(self.client_ids))
        return struct.pack(f"<{len(self.client_ids)}Q", *self.client_ids)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        _check_batch(len(body) // 8)
        return cls(struct.unpack(f"<{len(body) // 8}Q", body))


class ReplaceOrder(Body, frozen=True):
    """Cancel the orders with the new order's client id, then place it (ReplaceOrderByClientId)."""

    tag = 19
    order: NewOrder

    def encode(self) -> bytes:
        """Return the bytes after the tag."""
        return _encode_long_order(self.order)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        return cls(_parse_long_order(body))


class ReplaceOrders(Body, frozen=True):
    """Cancel and place up to 8 orders of one side (ReplaceOrdersByClientIds)."""

    tag = 20
    orders: tuple[NewOrder, ...]

    def encode(self) -> bytes:
        """Return the bytes after the tag."""
        _check_batch(len(self.orders))
        return struct.pack("<Q", len(self.orders)) + b"".join(map(_encode_long_order, self.orders))

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the value of the bytes after the tag."""
        (count,) = struct.unpack_from("<Q", body)
        _check_batch(count)
        if len(body) != 8 + count * _ORDER.size:
            raise ValueError(f"{count} orders in {len(body)} bytes")
        starts = range(8, len(body), _ORDER.size)
        return cls(tuple(_parse_long_order(body[start : start + _ORDER.size]) for start in starts))


_BODIES: dict[int, type[Body]] = {body.tag: body for body in Body.__subclasses__()}


def encode_body(body: Body) -> bytes:
    """Return the instruction data; raise BadInput when a value does not fit or an order is not sound."""
    try:
        return _HEAD.pack(0, body.tag) + body.encode()
    except (struct.error, ValueError) as error:
        raise BadInput(type(body).__name__, body, str(error), _WHAT) from error


class _Terms(Protocol):
    """What an order says, as plain numbers."""

    price: int
    size: int
    client_id: int


_REPLACE_HEADS = [
    _HEAD.pack(0, ReplaceOrders.tag) + struct.pack("<Q", count) for count in range(MAX_BATCH + 1)
]


def encode_post_only(places: Sequence[Placement], quote_lot_size: int, max_ts: int) -> list[bytes]:
    """Return the orders of one side for ReplaceOrders: post-only, ending where they would meet their own.

    The bytes are those of NewOrder with its defaults. Raises BadInput for a value that does not fit.
    """
    side, pack = int(places[0].side) if places else 0, _ORDER.pack
    abort, post_only = int(SelfTrade.ABORT), int(OrderType.POST_ONLY)
    # Units are plain integers at run time, and a plan packs thousands of orders.
    terms = cast("Sequence[_Terms]", places)
    try:
        return [
            pack(
                side,
                one.price,
                one.size,
                one.price * one.size * quote_lot_size or _nothing(),
                abort,
                post_only,
                one.client_id,
                NO_LIMIT,
                max_ts,
            )
            for one in terms
        ]
    except (struct.error, ValueError) as error:
        raise BadInput(ReplaceOrders.__name__, places, str(error), _WHAT) from error


def _nothing() -> int:
    raise ValueError("price and size must be at least 1")


def replace_orders_data(orders: Sequence[bytes]) -> bytes:
    """Return the data of ReplaceOrders for up to 8 encoded orders; ValueError for more."""
    _check_batch(len(orders))
    return b"".join((_REPLACE_HEADS[len(orders)], *orders))


def parse_body(data: bytes) -> Body:
    """Return the value of instruction data; raise BadBytes where the program would refuse the argument."""
    if len(data) < _HEAD.size:
        raise BadBytes(_WHAT, f"{len(data)} bytes of data")
    version, tag = _HEAD.unpack_from(data)
    if version or tag not in _BODIES:
        raise BadBytes(_WHAT, f"version {version}, tag {tag} is not a current instruction")
    try:
        return _BODIES[tag].parse(data[_HEAD.size :])
    except (struct.error, ValueError) as error:
        raise BadBytes(_WHAT, f"{_BODIES[tag].__name__}: {error}") from error


def _encode_order(order: NewOrder) -> bytes:
    _check_positive(order.price, order.size, order.max_quote)
    if not order.limit:
        raise ValueError("a match limit of 0 would post an immediate-or-cancel order; use 1 to 65535")
    fields = (
        order.side,
        order.price,
        order.size,
        order.max_quote,
        order.self_trade,
        order.order_type,
        order.client_id,
        order.limit,
    )
    return _SHORT_ORDER.pack(*fields) if order.max_ts is None else _ORDER.pack(*fields, order.max_ts)


def _encode_long_order(order: NewOrder) -> bytes:
    if order.max_ts is None:
        raise ValueError("a replacing order needs max_ts (NEVER for none)")
    return _encode_order(order)


def _parse_order(body: bytes) -> NewOrder:
    max_ts: int | None
    if len(body) == _SHORT_ORDER.size:
        side, price, size, max_quote, self_trade, kind, client_id, limit = _SHORT_ORDER.unpack(body)
        max_ts = None
    else:
        side, price, size, max_quote, self_trade, kind, client_id, limit, max_ts = _ORDER.unpack(body)
    _check_positive(price, size, max_quote)
    return NewOrder(
        Side(side),
        price,
        size,
        max_quote,
        client_id,
        OrderType(kind),
        SelfTrade(self_trade),
        limit,
        max_ts,
    )


def _parse_long_order(body: bytes) -> NewOrder:
    if len(body) != _ORDER.size:
        raise ValueError(f"an order of {len(body)} bytes")
    return _parse_order(body)


def _check_positive(price: int, size: int, max_quote: int) -> None:
    if not price or not size or not max_quote:
        raise ValueError("price, size and max_quote must be at least 1")


def _check_batch(count: int) -> None:
    if count > MAX_BATCH:
        raise ValueError(f"{count} items; at most {MAX_BATCH} fit")
