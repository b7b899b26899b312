"""The program's accounts: bytes -> frozen values, or ``BadBytes``; never a partial value.

This is the door to all decoders; the book sides live in ``slab``, the queues in ``queues``.
Source of the layouts: docs/layouts.md.
"""

import struct

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.envelope import check_flags
from bmv.venue.openbook_v1.layouts import (
    MARKET_FIELDS,
    MARKET_SIZE,
    OPEN_ORDERS_CLIENT_IDS,
    OPEN_ORDERS_MARKET,
    OPEN_ORDERS_ORDERS,
    OPEN_ORDERS_REFERRER_REBATES,
    OPEN_ORDERS_SIZE,
    OPEN_ORDERS_SIZE_BEFORE_REBATES,
    ORDER_SLOTS,
    PERMISSIONED_MARKET_FIELDS,
    PERMISSIONED_MARKET_SIZE,
    AccountFlag,
)
from bmv.venue.openbook_v1.queues import (
    EventQueueAccount,
    QueueEvent,
    RequestQueueAccount,
    decode_event_queue,
    decode_request_queue,
)
from bmv.venue.openbook_v1.slab import BookOrder, BookSideAccount, decode_book_side

__all__ = [
    "BookOrder",
    "BookSideAccount",
    "EventQueueAccount",
    "MarketAccount",
    "OpenOrder",
    "OpenOrdersAccount",
    "QueueEvent",
    "RequestQueueAccount",
    "decode_book_side",
    "decode_event_queue",
    "decode_market",
    "decode_open_orders",
    "decode_request_queue",
]

_MARKET = "market"
_OPEN_ORDERS = "open orders"
_PLAIN = int(AccountFlag.INITIALIZED | AccountFlag.MARKET)
_PERMISSIONED = _PLAIN | AccountFlag.PERMISSIONED
_CRANKED = _PERMISSIONED | AccountFlag.CRANK_AUTHORITY_REQUIRED
_MARKET_SIZES = {
    flags | disabled: size
    for flags, size in (
        (_PLAIN, MARKET_SIZE),
        (int(_PERMISSIONED), PERMISSIONED_MARKET_SIZE),
        (int(_CRANKED), PERMISSIONED_MARKET_SIZE),
    )
    for disabled in (0, int(AccountFlag.DISABLED))
}
_OPEN_ORDERS_FLAGS = (int(AccountFlag.INITIALIZED | AccountFlag.OPEN_ORDERS),)
_OPEN_ORDERS_HEADER = struct.Struct("<32s32sQQQQQQQQ")
_ALL_SLOTS = (1 << ORDER_SLOTS) - 1
_U64 = struct.Struct("<Q")
_U128 = struct.Struct("<QQ")


class MarketAccount(msgspec.Struct, frozen=True):
    """A market's own account; amounts are atoms, lot sizes atoms per lot; authorities where permissioned."""

    flags: AccountFlag
    own_address: Pubkey
    vault_signer_nonce: int
    base_mint: Pubkey
    quote_mint: Pubkey
    base_vault: Pubkey
    base_deposits_total: int
    base_fees_accrued: int
    quote_vault: Pubkey
    quote_deposits_total: int
    quote_fees_accrued: int
    quote_dust_threshold: int
    request_queue: Pubkey
    event_queue: Pubkey
    bids: Pubkey
    asks: Pubkey
    base_lot_size: int
    quote_lot_size: int
    fee_rate_bps: int
    referrer_rebates_accrued: int
    open_orders_authority: Pubkey | None = None
    prune_authority: Pubkey | None = None
    consume_events_authority: Pubkey | None = None


class OpenOrder(msgspec.Struct, frozen=True):
    """A used slot of an OpenOrders account: an order that rests or waits to be cranked away."""

    slot: int
    side: Side
    order_id: int
    client_id: int

    @property
    def price_ticks(self) -> int:
        """Return the order's price in ticks."""
        return self.order_id >> 64


class OpenOrdersAccount(msgspec.Struct, frozen=True):
    """One owner's account at one market; amounts are atoms, free ones included in the totals.

    Bit i of ``free_slot_bits`` says that slot i is free. The orders are read from ``data`` when asked for.
    """

    market: Pubkey
    owner: Pubkey
    base_free: int
    base_total: int
    quote_free: int
    quote_total: int
    free_slot_bits: int
    is_bid_bits: int
    referrer_rebates: int
    data: bytes

    @property
    def base_locked(self) -> int:
        """Return the base atoms in orders and unconsumed events."""
        return self.base_total - self.base_free

    @property
    def quote_locked(self) -> int:
        """Return the quote atoms in orders and unconsumed events."""
        return self.quote_total - self.quote_free

    @property
    def free_slots(self) -> int:
        """Return how many more orders the account takes before a crank."""
        return self.free_slot_bits.bit_count()

    @property
    def is_closable(self) -> bool:
        """Say whether CloseOpenOrders would succeed: no slot used, no funds inside."""
        return self.free_slot_bits == _ALL_SLOTS and not self.base_total and not self.quote_total

    def orders(self) -> list[OpenOrder]:
        """Return the used slots in slot order."""
        found = []
        used = ~self.free_slot_bits & _ALL_SLOTS
        while used:
            slot = (used & -used).bit_length() - 1
            used &= used - 1
            low, high = _U128.unpack_from(self.data, OPEN_ORDERS_ORDERS + 16 * slot)
            client_id = _U64.unpack_from(self.data, OPEN_ORDERS_CLIENT_IDS + 8 * slot)[0]
            side = Side.BID if self.is_bid_bits >> slot & 1 else Side.ASK
            found.append(OpenOrder(slot, side, high << 64 | low, client_id))
        return found


def decode_market(data: bytes) -> MarketAccount:
    """Decode a market, plain (388 bytes) or permissioned (1,476); raise BadBytes otherwise."""
    flags = check_flags(_MARKET, data, _MARKET_SIZES)
    if len(data) != _MARKET_SIZES[flags]:
        raise BadBytes(_MARKET, f"{len(data)} bytes with flags {flags:#x}")
    fields = MARKET_FIELDS
    if flags & AccountFlag.PERMISSIONED:
        fields = MARKET_FIELDS | PERMISSIONED_MARKET_FIELDS
    values = {name: _field(data, offset, kind) for name, (offset, kind) in fields.items()}
    market = MarketAccount(AccountFlag(flags), **values)  # type: ignore[arg-type]
    if not market.base_lot_size or not market.quote_lot_size:
        raise BadBytes(_MARKET, "a lot size is 0")
    return market


def _field(data: bytes, offset: int, kind: str) -> int | Pubkey:
    if kind == "pubkey":
        return Pubkey(data[offset : offset + 32])
    value: int = _U64.unpack_from(data, offset)[0]
    return value


def decode_open_orders(data: bytes) -> OpenOrdersAccount:
    """Decode an OpenOrders account (3,228 bytes); raise BadBytes, also for the older 3,220-byte layout."""
    check_flags(_OPEN_ORDERS, data, _OPEN_ORDERS_FLAGS)
    if len(data) == OPEN_ORDERS_SIZE_BEFORE_REBATES:
        raise BadBytes(_OPEN_ORDERS, "the 3220-byte layout from before referrer rebates is not supported")
    if len(data) != OPEN_ORDERS_SIZE:
        raise BadBytes(_OPEN_ORDERS, f"{len(data)} bytes instead of {OPEN_ORDERS_SIZE}")
    market, owner, base_free, base_total, quote_free, quote_total, free_low, free_high, bid_low, bid_high = (
        _OPEN_ORDERS_HEADER.unpack_from(data, OPEN_ORDERS_MARKET)
    )
    if base_free > base_total or quote_free > quote_total:
        raise BadBytes(_OPEN_ORDERS, "more funds are free than there are")
    return OpenOrdersAccount(
        Pubkey(market),
        Pubkey(owner),
        base_free,
        base_total,
        quote_free,
        quote_total,
        free_high << 64 | free_low,
        bid_high << 64 | bid_low,
        _U64.unpack_from(data, OPEN_ORDERS_REFERRER_REBATES)[0],
        bytes(data),
    )
