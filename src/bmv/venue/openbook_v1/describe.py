"""Accounts (and, by way of ``describe_instruction``, instructions) as plain JSON values, for ``bmv inspect``.

Numbers up to u64 are JSON numbers, order ids and client ids strings (JSON readers lose bits above 2^53).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.codec import (
    QueueEvent,
    decode_book_side,
    decode_event_queue,
    decode_market,
    decode_open_orders,
    decode_request_queue,
)
from bmv.venue.openbook_v1.describe_instruction import describe_instruction
from bmv.venue.openbook_v1.envelope import read_flags
from bmv.venue.openbook_v1.layouts import (
    OPEN_ORDERS_SIZE_BEFORE_REBATES,
    AccountFlag,
    EventFlag,
)

__all__ = ["describe_account", "describe_instruction"]

Json = dict[str, Any]

_KNOWN_FLAGS = sum(AccountFlag)
_SIDE_NAMES = {Side.BID: "bid", Side.ASK: "ask"}


def describe_account(data: bytes) -> Json:
    """Return an account of the program as JSON values, by its flags; raise BadBytes for anything else."""
    flags = read_flags("account", data)
    if flags & ~_KNOWN_FLAGS:
        raise BadBytes("account", f"account flags {flags:#x}")
    for flag, describe in _ROLES.items():
        if flags & flag:
            names = [str(one.name).lower() for one in AccountFlag if flags & one]
            return {"flags": names, "length": len(data), **describe(data)}
    raise BadBytes("account", f"account flags {flags:#x} name no kind of account")


def _market(data: bytes) -> Json:
    fields = msgspec.structs.asdict(decode_market(data))
    del fields["flags"]
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: int | Pubkey) -> int | str:
    return str(value) if isinstance(value, Pubkey) else value


def _open_orders(data: bytes) -> Json:
    if len(data) == OPEN_ORDERS_SIZE_BEFORE_REBATES:
        return {"note": "3220-byte layout (before referrer_rebates was added)"}
    account = decode_open_orders(data)
    orders = [
        {
            "slot": order.slot,
            "side": _SIDE_NAMES[order.side],
            "order_id": str(order.order_id),
            "client_order_id": str(order.client_id),
        }
        for order in account.orders()
    ]
    return {
        "market": str(account.market),
        "owner": str(account.owner),
        "base_free": account.base_free,
        "base_total": account.base_total,
        "quote_free": account.quote_free,
        "quote_total": account.quote_total,
        "orders": orders,
        "referrer_rebates_accrued": account.referrer_rebates,
    }


def _book_side(data: bytes) -> Json:
    side = decode_book_side(data)
    orders = [
        {
            "order_id": str(order.order_id),
            "price_lots": order.price_ticks,
            "size_lots": order.size_lots,
            "owner_slot": order.owner_slot,
            "fee_tier": order.fee_tier,
            "open_orders": str(Pubkey(order.owner)),
            "client_order_id": str(order.client_id),
        }
        for order in side.orders()
    ]
    return {
        "bump_index": side.bump_index,
        "free_list_len": side.free_list_len,
        "free_list_head": side.free_list_head,
        "root": side.root,
        "leaf_count": side.leaf_count,
        "capacity_nodes": side.capacity_nodes,
        "orders": orders,
    }


def _event_queue(data: bytes) -> Json:
    queue = decode_event_queue(data)
    ring = queue.since(queue.oldest)
    return {
        "head": queue.head,
        "count": queue.count,
        "seq_num": queue.next_seq,
        "capacity": queue.capacity,
        "unconsumed_events": [_event(event) for event in queue.unconsumed()],
        "ring_fills": sum(event.is_fill for event in ring),
        "ring_outs": sum(not event.is_fill for event in ring),
    }


def _event(event: QueueEvent) -> Json:
    return {
        "k": event.seq,
        "queue_index": event.index,
        "unconsumed": 1,
        "fill": int(bool(event.flags & EventFlag.FILL)),
        "out": int(bool(event.flags & EventFlag.OUT)),
        "bid": int(bool(event.flags & EventFlag.BID)),
        "maker": int(bool(event.flags & EventFlag.MAKER)),
        "release_funds": int(bool(event.flags & EventFlag.RELEASE_FUNDS)),
        "owner_slot": event.owner_slot,
        "fee_tier": event.fee_tier,
        "native_released": event.native_released,
        "native_paid": event.native_paid,
        "native_fee_or_rebate": event.native_fee_or_rebate,
        "order_id": str(event.order_id),
        "price_lots_in_id": event.price_ticks,
        "open_orders": str(Pubkey(event.owner)),
        "client_order_id": str(event.client_id),
    }


def _request_queue(data: bytes) -> Json:
    queue = decode_request_queue(data)
    return {
        "head": queue.head,
        "count": queue.count,
        "next_seq_num": queue.next_seq,
        "capacity": queue.capacity,
    }


_ROLES: dict[AccountFlag, Callable[[bytes], Json]] = {
    AccountFlag.MARKET: _market,
    AccountFlag.OPEN_ORDERS: _open_orders,
    AccountFlag.REQUEST_QUEUE: _request_queue,
    AccountFlag.EVENT_QUEUE: _event_queue,
    AccountFlag.BIDS: _book_side,
    AccountFlag.ASKS: _book_side,
}
