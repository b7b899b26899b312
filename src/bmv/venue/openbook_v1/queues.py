"""The event queue: a ring that keeps consumed events readable until they are overwritten.

``seq`` numbers pushes from 0. ``next_seq`` is the number the next event will get; the ``count`` newest
are not consumed yet, and at most ``capacity`` are still in the ring.
Nothing is built until asked for: a queue of thousands of events costs a few checks.
"""

import struct

import msgspec

from bmv.errors import BadBytes
from bmv.model import Side
from bmv.venue.openbook_v1.envelope import check_flags
from bmv.venue.openbook_v1.layouts import (
    EVENT_SIZE,
    ORDER_SLOTS,
    QUEUE_HEAD,
    QUEUE_ITEMS,
    AccountFlag,
    EventFlag,
    event_queue_capacity,
    request_queue_capacity,
)

_EVENTS = "event queue"
_REQUESTS = "request queue"
_EVENT_QUEUE_FLAGS = (int(AccountFlag.INITIALIZED | AccountFlag.EVENT_QUEUE),)
_REQUEST_QUEUE_FLAGS = (int(AccountFlag.INITIALIZED | AccountFlag.REQUEST_QUEUE),)
_HEADER = struct.Struct("<QQQ")
_EVENT = struct.Struct("<BBB5xQQQQQ32sQ")

_FILLS = (0, EventFlag.BID, EventFlag.MAKER, EventFlag.BID | EventFlag.MAKER)
_OUTS = (0, EventFlag.BID, EventFlag.RELEASE_FUNDS, EventFlag.BID | EventFlag.RELEASE_FUNDS)
_LEGAL_FLAGS = bytes(sorted({EventFlag.FILL | f for f in _FILLS} | {EventFlag.OUT | f for f in _OUTS}))
_LEGAL_SLOTS = bytes(range(ORDER_SLOTS))


class QueueEvent(msgspec.Struct, frozen=True):
    """One event; ``owner`` is the OpenOrders address (32 bytes); native amounts are atoms, fees included."""

    seq: int
    index: int
    flags: int
    owner_slot: int
    fee_tier: int
    native_released: int
    native_paid: int
    native_fee_or_rebate: int
    order_id: int
    owner: bytes
    client_id: int

    @property
    def is_fill(self) -> bool:
        """Say whether this is a match (otherwise an order left the book or was never posted)."""
        return bool(self.flags & EventFlag.FILL)

    @property
    def is_maker(self) -> bool:
        """Say whether the owner's order was the resting one of a match."""
        return bool(self.flags & EventFlag.MAKER)

    @property
    def side(self) -> Side:
        """Return the side of the owner's order."""
        return Side.BID if self.flags & EventFlag.BID else Side.ASK

    @property
    def price_ticks(self) -> int:
        """Return the limit price in the order id (a fill of a taker happened at its maker's)."""
        return self.order_id >> 64


class EventQueueAccount(msgspec.Struct, frozen=True):
    """An event queue; events are read from ``data`` when asked for."""

    head: int
    count: int
    next_seq: int
    capacity: int
    data: bytes

    @property
    def first_unconsumed(self) -> int:
        """Return the seq of the oldest event nobody has consumed (``next_seq`` if there is none)."""
        return self.next_seq - self.count

    @property
    def oldest(self) -> int:
        """Return the seq of the oldest event still in the ring."""
        return max(0, self.next_seq - self.capacity)

    def index(self, seq: int) -> int:
        """Return where in the ring the event ``seq`` is."""
        return (self.head + seq - self.first_unconsumed) % self.capacity

    def event(self, seq: int) -> QueueEvent:
        """Return the event ``seq``; raise IndexError when the ring does not hold it."""
        if not self.oldest <= seq < self.next_seq:
            raise IndexError(f"event {seq} is not among {self.oldest}..{self.next_seq - 1}")
        return self._read(seq)

    def since(self, seq: int) -> list[QueueEvent]:
        """Return the events from ``seq`` on, consumed or not, oldest first; those overwritten are missing."""
        return [self._read(number) for number in range(max(seq, self.oldest), self.next_seq)]

    def unconsumed(self, limit: int | None = None) -> list[QueueEvent]:
        """Return the (first ``limit``) events that wait for a crank, in the order it will take them."""
        first = self.first_unconsumed
        count = self.count if limit is None else min(limit, self.count)
        return [self._read(number) for number in range(first, first + count)]

    def pending_owners(self, limit: int | None = None) -> list[bytes]:
        """Return the OpenOrders address (32 bytes) of each of the (first ``limit``) waiting events."""
        count = self.count if limit is None else min(limit, self.count)
        owner_at = QUEUE_ITEMS + 48
        starts = (owner_at + (self.head + i) % self.capacity * EVENT_SIZE for i in range(count))
        return [self.data[start : start + 32] for start in starts]

    def _read(self, seq: int) -> QueueEvent:
        index = self.index(seq)
        flags, slot, tier, released, paid, fee, low, high, owner, client_id = _EVENT.unpack_from(
            self.data, QUEUE_ITEMS + index * EVENT_SIZE
        )
        order_id = high << 64 | low
        return QueueEvent(seq, index, flags, slot, tier, released, paid, fee, order_id, owner, client_id)


class RequestQueueAccount(msgspec.Struct, frozen=True):
    """A request queue: unused for matching, but ``next_seq`` numbers the orders of the market."""

    head: int
    count: int
    next_seq: int
    capacity: int


def decode_event_queue(data: bytes) -> EventQueueAccount:
    """Decode an event queue of any size; raise BadBytes when header or any event in the ring cannot be."""
    check_flags(_EVENTS, data, _EVENT_QUEUE_FLAGS)
    capacity = event_queue_capacity(len(data))
    head, count, next_seq = _ring(_EVENTS, data, capacity)
    queue = EventQueueAccount(head, count, next_seq, capacity, bytes(data))
    # Columns of flags and slots; what is left after deleting the legal bytes is illegal.
    end = QUEUE_ITEMS + capacity * EVENT_SIZE
    flags = _written(queue, data[QUEUE_ITEMS:end:EVENT_SIZE])
    slots = _written(queue, data[QUEUE_ITEMS + 1 : end : EVENT_SIZE])
    if flags.translate(None, _LEGAL_FLAGS) or slots.translate(None, _LEGAL_SLOTS):
        raise BadBytes(_EVENTS, "an event has impossible flags or slot")
    return queue


def decode_request_queue(data: bytes) -> RequestQueueAccount:
    """Decode the header of a request queue; raise BadBytes when it cannot be."""
    check_flags(_REQUESTS, data, _REQUEST_QUEUE_FLAGS)
    capacity = request_queue_capacity(len(data))
    return RequestQueueAccount(*_ring(_REQUESTS, data, capacity), capacity)


def _ring(what: str, data: bytes, capacity: int) -> tuple[int, int, int]:
    if not capacity:
        raise BadBytes(what, f"{len(data)} bytes hold no item")
    head, count, next_seq = _HEADER.unpack_from(data, QUEUE_HEAD)
    if head >= capacity or count > capacity or count > next_seq:
        raise BadBytes(what, f"head {head}, count {count}, next seq {next_seq} with room for {capacity}")
    return head, count, next_seq


def _written(queue: EventQueueAccount, column: bytes) -> bytes:
    """Return the entries of a per-slot column that an event was ever written to."""
    if queue.next_seq >= queue.capacity:
        return column
    start = queue.index(0)
    return (column[start:] + column[:start])[: queue.next_seq]
