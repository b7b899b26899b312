"""ConsumeEvents: hand the oldest events to the OpenOrders accounts they belong to.

Rules of this file
- Makers are credited here, takers were at matching; slots are freed here.
- Accounts are found by binary search over addresses read as four little-endian words. An event whose
  account is not found ends the run without an error.
- Every Fill logs a FillEventLog and an OpenOrdersBalanceLog, and these use up the program's memory.
Source: the program's state.rs (process_consume_events).
"""

import base64
from struct import Struct

from bmv.sandbox.account import AccountRef, Invocation
from bmv.sandbox.openbook.failure import U64, asserted
from bmv.sandbox.openbook.fees import referrer_rebate
from bmv.sandbox.openbook.heap import Heap
from bmv.sandbox.openbook.instructions import unpack_limit
from bmv.sandbox.openbook.market import Market, load_market
from bmv.sandbox.openbook.open_orders import OpenOrders, load_open_orders
from bmv.sandbox.openbook.queues import BID, FILL, MAKER, RELEASE, Event, EventQueue
from bmv.venue.openbook_v1.layouts import ORDER_SLOTS

_WORDS = Struct("<4Q")
_FILL_LOG = Struct("<8s32s32s32s??QQQQQBB")
_BALANCE_LOG = Struct("<8s32s32s32sQQQQQ")
_SOME = Struct("<BQ")
_FILL_LOG_TAG = bytes.fromhex("5269478b048e6b3a")
_BALANCE_LOG_TAG = bytes.fromhex("578a5436e382c6ac")
_TAG_SIZE = 8
_LOG_BUFFER = 1024


def consume_events(invocation: Invocation, body: bytes) -> None:
    """Run ConsumeEvents: OpenOrders accounts, market, event queue, two of no use."""
    refs = invocation.accounts
    if len(refs) < 5:
        raise asserted(2012, "number of accounts")
    *wallets, market_ref, events_ref, _, _ = refs
    market = load_market(market_ref, invocation.program_id, allow_disabled=True)
    if market.crank_authority is not None:
        raise asserted(2024, "only the crank authority may crank")
    _consume(invocation, unpack_limit(body), wallets, market, market.event_queue(events_ref))


def consume_events_permissioned(invocation: Invocation, body: bytes) -> None:
    """Run ConsumeEventsPermissioned: OpenOrders accounts, market, event queue, crank authority."""
    refs = invocation.accounts
    if len(refs) < 4:
        raise asserted(2042, "number of accounts")
    *wallets, market_ref, events_ref, authority = refs
    market = load_market(market_ref, invocation.program_id, allow_disabled=True)
    if not authority.is_signer:
        raise asserted(2054, "signature missing")
    if authority.key != market.crank_authority:
        raise asserted(2055, "not the crank authority")
    _consume(invocation, unpack_limit(body), wallets, market, market.event_queue(events_ref))


def _consume(
    invocation: Invocation, limit: int, wallets: list[AccountRef], market: Market, events: EventQueue
) -> None:
    heap = Heap(invocation.accounts)
    addresses = [_WORDS.unpack(ref.key) for ref in wallets]
    loaded: dict[int, OpenOrders] = {}
    for _ in range(limit):
        event = events.front()
        if event is None:
            break
        at = _search(addresses, _WORDS.unpack(event.owner))
        if at is None:
            break
        open_orders = loaded.get(at)
        if open_orders is None:
            open_orders = loaded[at] = load_open_orders(wallets[at], market, None)
        _check_slot(event, open_orders)
        if event.flags & FILL:
            _fill(event, open_orders)
            _log_fill(invocation, heap, market, event, open_orders)
        else:
            _out(event, open_orders)
        events.pop()
    for open_orders in loaded.values():
        open_orders.store()


def _search(addresses: list[tuple[int, ...]], wanted: tuple[int, ...]) -> int | None:
    """Find an address as the program's binary search does, which matters where the list is not sorted."""
    left, right = 0, len(addresses)
    while left < right:
        middle = left + (right - left) // 2
        if addresses[middle] == wanted:
            return middle
        if addresses[middle] < wanted:
            left = middle + 1
        else:
            right = middle
    return None


def _check_slot(event: Event, open_orders: OpenOrders) -> None:
    if event.owner_slot >= ORDER_SLOTS:
        raise asserted(3005, "slot number")
    if not open_orders.holds(event.owner_slot, bool(event.flags & BID)):
        raise asserted(3006, "side of the slot")
    if open_orders.order_id(event.owner_slot) != event.order_id:
        raise asserted(3007, "order in the slot")


def _fill(event: Event, open_orders: OpenOrders) -> None:
    if not event.flags & MAKER:
        open_orders.rebates = (open_orders.rebates + referrer_rebate(event.fee)) & U64
    elif event.flags & BID:
        open_orders.quote_total = (open_orders.quote_total - event.paid) & U64
        open_orders.base_total = (open_orders.base_total + event.released) & U64
        open_orders.base_free = (open_orders.base_free + event.released) & U64
        open_orders.quote_free = (open_orders.quote_free + event.fee) & U64
    else:
        open_orders.base_total = (open_orders.base_total - event.paid) & U64
        open_orders.quote_total = (open_orders.quote_total + event.released) & U64
        open_orders.quote_free = (open_orders.quote_free + event.released) & U64


def _out(event: Event, open_orders: OpenOrders) -> None:
    released = event.released if event.flags & RELEASE else 0
    if event.flags & BID:
        open_orders.quote_free = (open_orders.quote_free + released) & U64
        if open_orders.quote_free > open_orders.quote_total:
            raise asserted(3105, "more quote free than there is")
    else:
        open_orders.base_free = (open_orders.base_free + released) & U64
        if open_orders.base_free > open_orders.base_total:
            raise asserted(3113, "more base free than there is")
    if not event.paid:
        open_orders.free_slot(event.owner_slot)


def _log_fill(
    invocation: Invocation, heap: Heap, market: Market, event: Event, open_orders: OpenOrders
) -> None:
    is_maker = bool(event.flags & MAKER)
    fill = _FILL_LOG.pack(
        _FILL_LOG_TAG,
        market.own_address,
        event.owner,
        open_orders.owner,
        bool(event.flags & BID),
        is_maker,
        event.paid,
        event.released,
        event.fee,
        event.order_id & U64,
        event.order_id >> 64,
        event.owner_slot,
        event.fee_tier,
    )
    fill += _optional(event.client_id or None)
    fill += _optional(None if is_maker else referrer_rebate(event.fee))
    balance = _BALANCE_LOG.pack(
        _BALANCE_LOG_TAG,
        event.owner,
        open_orders.owner,
        market.own_address,
        open_orders.quote_total,
        open_orders.base_total,
        open_orders.base_free,
        open_orders.quote_free,
        open_orders.rebates,
    )
    for log in (fill, balance):
        heap.take(_LOG_BUFFER + _TAG_SIZE + len(log))
        invocation.logs.append("Program data: " + base64.b64encode(log).decode())


def _optional(value: int | None) -> bytes:
    return b"\0" if value is None else _SOME.pack(1, value)
