"""CancelOrderV2, CancelOrderByClientIdV2, CancelOrdersByClientIds and Prune.

Rules of this file
- A cancel unlocks the funds at once; the slot stays taken until the crank consumes the Out event.
- Cancelling by one client id means the lowest slot with it, dead or alive; by several means all alive.
- Cancelling works on a disabled market, pruning does not.
Source: the program's state.rs and matching.rs (remove_all).
"""

from collections.abc import Set
from typing import NamedTuple

from bmv.sandbox.account import AccountRef, Invocation, ProgramError
from bmv.sandbox.openbook.failure import AssertedAs, Code, asserted, refused
from bmv.sandbox.openbook.heap import Heap
from bmv.sandbox.openbook.instructions import (
    unpack_cancel,
    unpack_client_id,
    unpack_client_ids,
    unpack_limit,
)
from bmv.sandbox.openbook.market import check_signer, load_market
from bmv.sandbox.openbook.matching import Book, cancel, release
from bmv.sandbox.openbook.open_orders import OpenOrders, load_open_orders
from bmv.sandbox.openbook.slab import Leaf, Slab
from bmv.venue.openbook_v1.layouts import NODE_SIZE


class _Lines(NamedTuple):
    """Where each kind of cancel asserts what."""

    accounts: int
    market: int
    bids: int
    asks: int


_ORDER_ID_SIZE = 16
_BY_ORDER_ID = _Lines(2086, 2097, 2109, 2110)
_BY_CLIENT_ID = _Lines(2147, 2160, 2172, 2173)
_BY_CLIENT_IDS = _Lines(2210, 2227, 2239, 2240)


def cancel_order(invocation: Invocation, body: bytes) -> None:
    """Run CancelOrderV2."""
    is_bid, order_id = unpack_cancel(body)
    book, open_orders = _open(invocation, invocation.accounts, _BY_ORDER_ID)
    cancel(book, open_orders, order_id, is_bid)
    open_orders.store()


def cancel_by_client_id(invocation: Invocation, body: bytes) -> None:
    """Run CancelOrderByClientIdV2."""
    wanted = unpack_client_id(body)
    if len(invocation.accounts) >= 6 and not wanted:
        raise asserted(2158, "client id 0 names no order")
    book, open_orders = _open(invocation, invocation.accounts, _BY_CLIENT_ID)
    for order_id, is_bid in open_orders.orders_named({wanted}):
        cancel(book, open_orders, order_id, is_bid)
        open_orders.store()
        return
    raise refused(Code.CLIENT_ID_NOT_FOUND)


def cancel_by_client_ids(invocation: Invocation, body: bytes) -> None:
    """Run CancelOrdersByClientIds."""
    cancel_named(invocation, invocation.accounts, unpack_client_ids(body))


def cancel_named(invocation: Invocation, refs: list[AccountRef], client_ids: Set[int]) -> None:
    """Cancel every live order with one of these client ids, 0 not among them."""
    book, open_orders = _open(invocation, refs, _BY_CLIENT_IDS)
    for order_id, is_bid in open_orders.orders_named(client_ids):
        try:
            cancel(book, open_orders, order_id, is_bid)
        except ProgramError as failure:
            if failure.code != Code.ORDER_NOT_FOUND:
                raise
    open_orders.store()


def _open(invocation: Invocation, refs: list[AccountRef], lines: _Lines) -> tuple[Book, OpenOrders]:
    if len(refs) < 6:
        raise asserted(lines.accounts, "number of accounts")
    market_ref, bids_ref, asks_ref, oo_ref, wallet, events_ref = refs[:6]
    with AssertedAs(lines.market):
        market = load_market(market_ref, invocation.program_id, allow_disabled=True)
    check_signer(wallet)
    open_orders = load_open_orders(oo_ref, market, wallet)
    bids, asks = market.sides(bids_ref, asks_ref, lines[2:])
    return Book(market, bids, asks, market.event_queue(events_ref), invocation.logs), open_orders


def prune(invocation: Invocation, body: bytes) -> None:
    """Run Prune: take one OpenOrders account's orders off a permissioned market's book."""
    limit = unpack_limit(body)
    refs = invocation.accounts
    if len(refs) != 7:
        raise asserted(2526, "number of accounts")
    market_ref, bids_ref, asks_ref, authority, oo_ref, wallet, events_ref = refs
    check_signer(authority)
    market = load_market(market_ref, invocation.program_id)
    if market.prune_authority != authority.key:
        raise asserted(2540, "not the prune authority")
    open_orders = load_open_orders(oo_ref, market, wallet)
    bids, asks = market.sides(bids_ref, asks_ref, (2549, 2550))
    book = Book(market, bids, asks, market.event_queue(events_ref), invocation.logs)
    ask_ids, limit = asks.orders_of(oo_ref.key, limit)
    bid_ids, _ = bids.orders_of(oo_ref.key, limit)
    heap = Heap(refs)
    for found in (len(bid_ids), len(ask_ids)):
        heap.grow(found, _ORDER_ID_SIZE)
        heap.grow(found, NODE_SIZE)
    invocation.logs.append(f"Program log: Pruned {len(bid_ids)} bids and {len(ask_ids)} asks")
    for leaf in _remove_all(bids, bid_ids):
        release(book, open_orders, leaf, True)
    for leaf in _remove_all(asks, ask_ids):
        release(book, open_orders, leaf, False)
    open_orders.store()


def _remove_all(side: Slab, order_ids: list[int]) -> list[Leaf]:
    return [leaf for leaf in map(side.remove, order_ids) if leaf is not None]
