"""Unpacking of instruction bodies (the bytes after version and tag); anything odd is ``invalid``.

Source: the program's instruction.rs.
"""

from struct import Struct
from typing import NamedTuple

from bmv.sandbox.openbook.failure import invalid

BID_SIDE, ASK_SIDE = 0, 1
DECREMENT_TAKE, CANCEL_PROVIDE, ABORT_TRANSACTION = range(3)
LIMIT, IMMEDIATE_OR_CANCEL, POST_ONLY = range(3)

SHORT_ORDER_SIZE = 46
ORDER_SIZE = 54
MAX_ORDERS = MAX_CLIENT_IDS = 8
NEVER = 2**63 - 1
"""The ``max_ts`` of an order that does not expire."""

_ORDER = Struct("<IQQQIIQHq")
_CANCEL = Struct("<IQQ")
_INITIALIZE = Struct("<QQHQQ")
_OLD_ORDER = Struct("<IQQI")
_TAKE = Struct("<IQQQ")
_U64_FIELD = Struct("<Q")
_U32_FIELD = Struct("<I")
_U16_FIELD = Struct("<H")


class NewOrder(NamedTuple):
    """The order of a NewOrderV3 or replace: price in ticks, ``max_quote`` in atoms with fees."""

    side: int
    price: int
    lots: int
    max_quote: int
    self_trade: int
    order_type: int
    client_id: int
    limit: int
    max_ts: int

    @property
    def is_bid(self) -> bool:
        """Return whether the order buys base."""
        return self.side == BID_SIDE


class InitializeMarket(NamedTuple):
    """The parameters of a new market: lots in atoms."""

    base_lot: int
    quote_lot: int
    fee_rate_bps: int
    vault_nonce: int
    quote_dust: int


def unpack_order(body: bytes) -> NewOrder:
    """Unpack one order of 54 bytes, or of 46 without a ``max_ts``; raises ``ProgramError``."""
    if len(body) == SHORT_ORDER_SIZE:
        body += NEVER.to_bytes(8, "little")
    order = NewOrder(*_ORDER.unpack(body))
    if not (order.price and order.lots and order.max_quote):
        raise invalid("zero price or quantity")
    if order.side > ASK_SIDE or order.self_trade > ABORT_TRANSACTION or order.order_type > POST_ONLY:
        raise invalid("unknown side, self-trade behaviour or order type")
    return order


def unpack_orders(body: bytes) -> list[NewOrder]:
    """Unpack a counted list of up to eight orders; raises ``ProgramError``."""
    count = (len(body) - 8) // ORDER_SIZE
    if _U64_FIELD.unpack_from(body)[0] != count:
        raise invalid("order count does not fit the length")
    return [unpack_order(body[at : at + ORDER_SIZE]) for at in range(8, len(body), ORDER_SIZE)]


def unpack_cancel(body: bytes) -> tuple[bool, int]:
    """Unpack (is bid, order id); raises ``ProgramError``."""
    side, low, high = _CANCEL.unpack_from(body)
    if side > ASK_SIDE:
        raise invalid("unknown side")
    return side == BID_SIDE, high << 64 | low


def unpack_client_ids(body: bytes) -> frozenset[int]:
    """Unpack up to eight client ids; zeroes say nothing."""
    return frozenset(client_id for (client_id,) in _U64_FIELD.iter_unpack(body)) - {0}


def unpack_client_id(body: bytes) -> int:
    """Unpack one client id."""
    return int(_U64_FIELD.unpack(body)[0])


def unpack_limit(body: bytes) -> int:
    """Unpack a u16 limit."""
    return int(_U16_FIELD.unpack(body)[0])


def unpack_initialize(body: bytes) -> InitializeMarket:
    """Unpack the parameters of a new market."""
    return InitializeMarket(*_INITIALIZE.unpack(body))


def check_old_order(body: bytes) -> None:
    """Fail where a first- or second-generation order is malformed; raises ``ProgramError``."""
    side, price, lots, order_type = _OLD_ORDER.unpack_from(body)
    self_trade = _U32_FIELD.unpack_from(body, 32)[0] if len(body) > 32 else 0
    if not (price and lots):
        raise invalid("zero price or quantity")
    if side > ASK_SIDE or order_type > POST_ONLY or self_trade > ABORT_TRANSACTION:
        raise invalid("unknown side, self-trade behaviour or order type")


def check_send_take(body: bytes) -> None:
    """Fail where a SendTake is malformed; raises ``ProgramError``."""
    side, *amounts = _TAKE.unpack_from(body)
    if side > ASK_SIDE or not all(amounts):
        raise invalid("unknown side, or zero price or quantity")
