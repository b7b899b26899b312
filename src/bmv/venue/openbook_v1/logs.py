"""What ConsumeEvents writes to the log: one fill and one balance record per fill it applies.

A record is a "Program data: " line with base64 of an 8-byte discriminator and packed fields. They appear only
when somebody cranks, so they confirm fills and do not announce them. Source: ``dex/src/state.rs``.
"""

import base64
import binascii
import struct

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.model import Side

_PREFIX = "Program data: "
_WHAT = "log record"
_FILL = bytes.fromhex("5269478b048e6b3a")
_BALANCE = bytes.fromhex("578a5436e382c6ac")
_FILL_HEAD = struct.Struct("<32s32s32sBBQQQQQBB")
_BALANCE_FIELDS = struct.Struct("<32s32s32sQQQQQ")
_SOME = struct.Struct("<Q")


class FillLog(msgspec.Struct, frozen=True):
    """One side of a match; native amounts are atoms, fees counted: a maker bid paid notional - rebate."""

    market: Pubkey
    open_orders: Pubkey
    owner: Pubkey
    side: Side
    maker: bool
    native_paid: int
    native_received: int
    native_fee_or_rebate: int
    order_id: int
    owner_slot: int
    fee_tier: int
    client_id: int | None
    referrer_rebate: int | None


class BalanceLog(msgspec.Struct, frozen=True):
    """An OpenOrders account's funds after a fill was applied, in atoms."""

    open_orders: Pubkey
    owner: Pubkey
    market: Pubkey
    quote_total: int
    base_total: int
    base_free: int
    quote_free: int
    referrer_rebates: int


def decode_log(line: str) -> FillLog | BalanceLog | None:
    """Return the record of one log line, None if it holds none of ours; raise BadBytes for a broken one."""
    if not line.startswith(_PREFIX):
        return None
    try:
        data = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return None
    kind, fields = data[:8], data[8:]
    if kind == _FILL:
        return _fill(fields)
    if kind == _BALANCE:
        return _balance(fields)
    return None


def _fill(data: bytes) -> FillLog:
    if len(data) < _FILL_HEAD.size:
        raise BadBytes(_WHAT, f"a fill of {len(data)} bytes")
    market, open_orders, owner, bid, maker, paid, received, fee, low, high, slot, tier = (
        _FILL_HEAD.unpack_from(data)
    )
    client_id, rest = _option(data[_FILL_HEAD.size :])
    referrer_rebate, rest = _option(rest)
    if rest or bid > 1 or maker > 1:
        raise BadBytes(_WHAT, "a fill with impossible fields")
    return FillLog(
        Pubkey(market),
        Pubkey(open_orders),
        Pubkey(owner),
        Side.BID if bid else Side.ASK,
        bool(maker),
        paid,
        received,
        fee,
        high << 64 | low,
        slot,
        tier,
        client_id,
        referrer_rebate,
    )


def _balance(data: bytes) -> BalanceLog:
    if len(data) != _BALANCE_FIELDS.size:
        raise BadBytes(_WHAT, f"a balance of {len(data)} bytes")
    open_orders, owner, market, *amounts = _BALANCE_FIELDS.unpack(data)
    return BalanceLog(Pubkey(open_orders), Pubkey(owner), Pubkey(market), *amounts)


def _option(data: bytes) -> tuple[int | None, bytes]:
    """Split an optional u64 off the front."""
    if data[:1] == b"\0":
        return None, data[1:]
    if data[:1] == b"\1" and len(data) > _SOME.size:
        return _SOME.unpack_from(data, 1)[0], data[1 + _SOME.size :]
    raise BadBytes(_WHAT, "a broken optional field")
