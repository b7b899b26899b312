"""The two queues of a market: events waiting for the crank, and requests, of which only a counter is used.

Rules of this file
- The event queue is a ring; entries behind its head stay as they were until they are overwritten.
- Pushing to a full event queue fails the whole instruction.
Source: the program's state.rs (Queue, Event, RequestQueue).
"""

from struct import Struct
from typing import NamedTuple

from bmv.sandbox.openbook.failure import U64, Code, refused
from bmv.venue.openbook_v1.layouts import (
    EVENT_SIZE,
    QUEUE_HEAD,
    QUEUE_ITEMS,
    QUEUE_NEXT_SEQ,
    EventFlag,
    event_queue_capacity,
)

FILL, OUT, BID, MAKER, RELEASE = (
    int(EventFlag.FILL),
    int(EventFlag.OUT),
    int(EventFlag.BID),
    int(EventFlag.MAKER),
    int(EventFlag.RELEASE_FUNDS),
)
_HEADER = Struct("<QQQ")
_EVENT = Struct("<BBB5xQQQQQ32sQ")
_U64_FIELD = Struct("<Q")


class Event(NamedTuple):
    """One queue entry: ``released``/``paid``/``fee`` in atoms, ``owner`` an OpenOrders address."""

    flags: int
    owner_slot: int
    fee_tier: int
    released: int
    paid: int
    fee: int
    order_id: int
    owner: bytes
    client_id: int


class EventQueue:
    """A view of an event queue account; every method leaves the bytes consistent."""

    __slots__ = ("_capacity", "_count", "_data", "_head", "_pushed")

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self._capacity = event_queue_capacity(len(data))
        self._head, self._count, self._pushed = _HEADER.unpack_from(data, QUEUE_HEAD)

    def push(self, event: Event) -> None:
        """Append an event; raises EVENT_QUEUE_FULL."""
        if self._count == self._capacity:
            raise refused(Code.EVENT_QUEUE_FULL)
        data = self._data
        at = QUEUE_ITEMS + (self._head + self._count) % self._capacity * EVENT_SIZE
        flags, slot, tier, released, paid, fee, order_id, owner, client_id = event
        low, high = order_id & U64, order_id >> 64
        _EVENT.pack_into(data, at, flags, slot, tier, released, paid, fee, low, high, owner, client_id)
        self._count += 1
        self._pushed = (self._pushed + 1) & U64
        _HEADER.pack_into(data, QUEUE_HEAD, self._head, self._count, self._pushed)

    def front(self) -> Event | None:
        """Return the oldest event, None when there is none."""
        if not self._count:
            return None
        flags, slot, tier, released, paid, fee, low, high, owner, client_id = _EVENT.unpack_from(
            self._data, QUEUE_ITEMS + self._head * EVENT_SIZE
        )
        return Event(flags, slot, tier, released, paid, fee, high << 64 | low, owner, client_id)

    def pop(self) -> None:
        """Drop the oldest event; its bytes stay."""
        self._head = (self._head + 1) % self._capacity
        self._count -= 1
        _HEADER.pack_into(self._data, QUEUE_HEAD, self._head, self._count, self._pushed)


def next_order_id(request_queue: bytearray, is_bid: bool, price: int) -> int:
    """Take the market's next sequence number and return the order id made of it; bids count downwards."""
    sequence: int = _U64_FIELD.unpack_from(request_queue, QUEUE_NEXT_SEQ)[0]
    _U64_FIELD.pack_into(request_queue, QUEUE_NEXT_SEQ, (sequence + 1) & U64)
    return price << 64 | (sequence ^ U64 if is_bid else sequence)
