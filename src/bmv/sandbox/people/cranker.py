"""The public crank: somebody who keeps the event queue short."""

import struct

from bmv.sandbox.people.floor import Floor, Trader
from bmv.venue.openbook_v1.layouts import EVENT_SIZE, QUEUE_HEAD, QUEUE_ITEMS, EventFlag

CROWDED = 24
IMPATIENT_MS = 60_000
MAX_FILLS = 12
MAX_ACCOUNTS = 20
MAX_EVENTS = 100
MAX_INSTRUCTIONS = 4
_HEADER = struct.Struct("<QQ")


class Cranker:
    """Cranks when more than ``CROWDED`` events wait, or any for a minute.

    One ConsumeEvents covers at most 12 fills (the program runs out of memory at the 14th), one transaction
    at most 20 OpenOrders accounts.
    """

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self._floor: Floor = trader.floor
        self._consumed = -1

    def is_crowded(self) -> bool:
        """Say whether more than ``CROWDED`` events wait."""
        return self._header()[1] > CROWDED

    def act(self, now: int) -> int:
        """Consume what waits, if it is many or has waited since the last look."""
        head, count = self._header()
        if count and (count > CROWDED or head == self._consumed):
            self._crank(head, count)
        self._consumed = head
        return now + IMPATIENT_MS

    def _header(self) -> tuple[int, int]:
        head, count = _HEADER.unpack_from(self._floor.event_queue(), QUEUE_HEAD)
        return head, count

    def _crank(self, head: int, count: int) -> None:
        """Send one transaction with up to four ConsumeEvents, each ending before its 13th fill."""
        queue = self._floor.event_queue()
        capacity = self._floor.spec.event_capacity
        owners: dict[bytes, None] = {}
        limits, fills = [0], 0
        for index in range(head, head + min(count, MAX_EVENTS)):
            start = QUEUE_ITEMS + index % capacity * EVENT_SIZE
            owner, is_fill = bytes(queue[start + 48 : start + 80]), queue[start] & EventFlag.FILL
            if owner not in owners and len(owners) == MAX_ACCOUNTS:
                break
            if is_fill and fills == MAX_FILLS:
                if len(limits) == MAX_INSTRUCTIONS:
                    break
                limits.append(0)
                fills = 0
            owners[owner] = None
            limits[-1] += 1
            fills += bool(is_fill)
        self._trader.send([self._trader.crank(owners, limit) for limit in limits])
