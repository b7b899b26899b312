"""One OpenOrders account: a wallet's balances on a market and its 128 order slots.

Rules of this file
- ``free`` is what can be settled, ``total`` includes what resting orders lock; free <= total.
- A slot stays taken from the order's creation until the crank consumes its last event.
- Changes live in attributes until ``store``; the slot arrays are written at once.
Source: the program's state.rs (OpenOrders, Market::load_orders_mut).
"""

from collections.abc import Iterator, Set
from struct import Struct

from bmv.sandbox.account import Account, AccountRef
from bmv.sandbox.openbook.failure import U64, Code, asserted, panicked, refused
from bmv.sandbox.openbook.market import ALL_FLAGS, Market
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.venue.openbook_v1.layouts import (
    FLAGS_OFFSET,
    HEAD_PADDING,
    OPEN_ORDERS_BASE_FREE,
    OPEN_ORDERS_CLIENT_IDS,
    OPEN_ORDERS_MARKET,
    OPEN_ORDERS_ORDERS,
    OPEN_ORDERS_REFERRER_REBATES,
    OPEN_ORDERS_SIZE,
    ORDER_SLOTS,
    TAIL_PADDING,
    AccountFlag,
)

_READY = int(AccountFlag.INITIALIZED | AccountFlag.OPEN_ORDERS)
_ALL_FREE = (1 << ORDER_SLOTS) - 1
_HEADER = Struct("<Q32s32sQQQQ16s16s")
_BALANCES = Struct("<QQQQ16s16s")
_FLAGS = Struct("<Q")
_U64_FIELD = Struct("<Q")
_ORDER_ID = Struct("<QQ")
_CLIENT_IDS = Struct(f"<{ORDER_SLOTS}Q")


class OpenOrders:
    """The decoded head of an OpenOrders account; atoms are u64, slot sets are 128-bit integers."""

    __slots__ = (
        "_bid_slots",
        "_data",
        "base_free",
        "base_total",
        "free_slots",
        "key",
        "owner",
        "quote_free",
        "quote_total",
        "rebates",
    )

    def __init__(self, ref: AccountRef, market: Market, wallet: AccountRef | None) -> None:
        self.key, self._data = ref.key, ref.account.data
        flags, of_market, self.owner, *balances, free, bids = _HEADER.unpack_from(self._data, FLAGS_OFFSET)
        if flags & ~ALL_FLAGS:
            raise refused(Code.INVALID_MARKET_FLAGS)
        if (
            flags != _READY
            or of_market != market.own_address
            or (wallet is not None and self.owner != wallet.key)
        ):
            raise refused(Code.WRONG_ORDERS_ACCOUNT)
        self.base_free: int
        self.base_total: int
        self.quote_free: int
        self.quote_total: int
        self.base_free, self.base_total, self.quote_free, self.quote_total = balances
        self.free_slots, self._bid_slots = int.from_bytes(free, "little"), int.from_bytes(bids, "little")
        self.rebates: int = _U64_FIELD.unpack_from(self._data, OPEN_ORDERS_REFERRER_REBATES)[0]

    def store(self) -> None:
        """Write balances, slot sets and rebates back."""
        _BALANCES.pack_into(
            self._data,
            OPEN_ORDERS_BASE_FREE,
            self.base_free,
            self.base_total,
            self.quote_free,
            self.quote_total,
            self.free_slots.to_bytes(16, "little"),
            self._bid_slots.to_bytes(16, "little"),
        )
        _U64_FIELD.pack_into(self._data, OPEN_ORDERS_REFERRER_REBATES, self.rebates)

    def unlock(self, is_bid: bool, atoms: int) -> None:
        """Make locked ``atoms`` of quote (a bid's) or base (an ask's) free; panics where there are none."""
        if is_bid:
            self.quote_free += atoms
        else:
            self.base_free += atoms
        if self.quote_free > self.quote_total or self.base_free > self.base_total:
            raise panicked("more free than there is")

    def take_slot(self, order_id: int, is_bid: bool, client_id: int) -> int:
        """Give the lowest free slot to an order; raises TOO_MANY_OPEN_ORDERS."""
        if not self.free_slots:
            raise refused(Code.TOO_MANY_OPEN_ORDERS)
        bit = self.free_slots & -self.free_slots
        slot = bit.bit_length() - 1
        self.free_slots ^= bit
        if is_bid:
            self._bid_slots |= bit
        else:
            self._bid_slots &= ~bit
        self._write_slot(slot, order_id, client_id)
        return slot

    def free_slot(self, slot: int) -> None:
        """Give a taken slot back."""
        self.free_slots |= 1 << slot
        self._bid_slots &= ~(1 << slot)
        self._write_slot(slot, 0, 0)

    def _write_slot(self, slot: int, order_id: int, client_id: int) -> None:
        _ORDER_ID.pack_into(self._data, OPEN_ORDERS_ORDERS + 16 * slot, order_id & U64, order_id >> 64)
        _U64_FIELD.pack_into(self._data, OPEN_ORDERS_CLIENT_IDS + 8 * slot, client_id)

    def order_id(self, slot: int) -> int:
        """Return the id of the order in ``slot``."""
        low, high = _ORDER_ID.unpack_from(self._data, OPEN_ORDERS_ORDERS + 16 * slot)
        return int(high << 64 | low)

    def holds(self, slot: int, is_bid: bool) -> bool:
        """Return whether an order of this side has the slot."""
        return not self.free_slots >> slot & 1 and bool(self._bid_slots >> slot & 1) == is_bid

    def orders_named(self, client_ids: Set[int]) -> Iterator[tuple[int, bool]]:
        """Yield (order id, is bid) of every taken slot with one of these client ids, lowest slot first."""
        for slot, client_id in enumerate(_CLIENT_IDS.unpack_from(self._data, OPEN_ORDERS_CLIENT_IDS)):
            if client_id in client_ids and not self.free_slots >> slot & 1:
                yield self.order_id(slot), bool(self._bid_slots >> slot & 1)


def load_open_orders(
    ref: AccountRef,
    market: Market,
    wallet: AccountRef | None,
    can_create: bool = False,
    authority: bytes | None = None,
) -> OpenOrders:
    """Check and decode an OpenOrders account; a zeroed one is set up for ``wallet`` if ``can_create``.

    ``wallet`` None skips the owner check. Raises ``ProgramError``.
    """
    account = ref.account
    if account.owner != market.program_id:
        raise asserted(166, "open orders account belongs to another program")
    if len(account.data) != OPEN_ORDERS_SIZE:
        raise panicked("size of the open orders account")
    if account.data[FLAGS_OFFSET : FLAGS_OFFSET + 8] == bytes(8):
        if authority != market.open_orders_authority:
            raise refused(Code.INVALID_OPEN_ORDERS_AUTHORITY)
        if not can_create or wallet is None:
            raise refused(Code.RENT_NOT_PROVIDED)
        if account.lamports < rent_exempt_lamports(OPEN_ORDERS_SIZE):
            raise refused(Code.ORDERS_NOT_RENT_EXEMPT)
        _create(account, market.own_address, wallet.key)
    return OpenOrders(ref, market, wallet)


def _create(account: Account, market: bytes, wallet: bytes) -> None:
    """Set up a zeroed account; what it held beyond the fields named here stays."""
    data = account.data
    data[:FLAGS_OFFSET] = HEAD_PADDING
    _FLAGS.pack_into(data, FLAGS_OFFSET, _READY)
    data[OPEN_ORDERS_MARKET : OPEN_ORDERS_MARKET + 64] = market + wallet
    _BALANCES.pack_into(data, OPEN_ORDERS_BASE_FREE, 0, 0, 0, 0, _ALL_FREE.to_bytes(16, "little"), bytes(16))
    data[-len(TAIL_PADDING) :] = TAIL_PADDING
