"""When the event queue is cranked, seen through ``decide``."""

import msgspec
import pytest

from bmv.core.quoting import CRANK_APART_MS, CRANK_EVERY_MS, CRANK_PENDING
from bmv.core.state import InFlight
from bmv.events import Crank, MarketSeen
from bmv.units import Millis, Slot
from tests.core.desk import quoting


def cranks(own_pending: int, since: int, queue: int, slots: int, flying: bool) -> bool:
    desk = quoting()
    desk.views = {n: msgspec.structs.replace(view, order_slots=slots) for n, view in desk.views.items()}
    if flying:
        desk.state.in_flight[99] = InFlight(99, Crank(99), None, desk.state.now)
    desk.state.cranked_at = Millis(desk.now - since)
    desk.slot += 2
    event = MarketSeen(
        at=Millis(desk.now),
        slot=Slot(desk.slot),
        book=desk.book,
        wallets=tuple(desk.views.values()),
        queue_count=queue,
        own_pending=own_pending,
    )
    return any(isinstance(action, Crank) for action in desk.happen(event).actions)


@pytest.mark.parametrize(
    ("own_pending", "since", "queue", "slots", "flying", "wanted"),
    [
        (CRANK_PENDING, int(CRANK_APART_MS), 50, 100, False, True),
        (CRANK_PENDING, int(CRANK_APART_MS) - 1, 50, 100, False, False),
        (CRANK_PENDING, int(CRANK_APART_MS), 50, 100, True, False),
        (1, int(CRANK_APART_MS), 50, 100, False, False),
        (1, int(CRANK_APART_MS), 50, 39, False, True),
        (1, int(CRANK_EVERY_MS), 50, 100, False, True),
        (0, int(CRANK_EVERY_MS), 50, 100, False, False),
        (0, int(CRANK_APART_MS), 1_489, 100, False, True),
        (0, int(CRANK_APART_MS), 1_488, 100, False, False),
    ],
)
def test_the_queue_is_cranked_when_it_holds_something_of_ours_or_fills_up(
    own_pending: int, since: int, queue: int, slots: int, flying: bool, wanted: bool
) -> None:
    assert cranks(own_pending, since, queue, slots, flying) == wanted
