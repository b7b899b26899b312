"""What the core does without the lease: nothing is placed in time, and in the end everything is withdrawn."""

from bmv.core.absorb import absorb
from bmv.core.limits import leased, standstill
from bmv.core.quoting import quoting
from bmv.events import Execute, LeaseSeen, Report, Tick
from bmv.model import Side
from bmv.units import Millis, Slot
from tests.core.belongings import START, later, order, quoting_state, settings, wallet

CHOSEN = settings(MAX_ORDER_AGE="20s", LEASE_GRACE="10min", STALE_WITHDRAW_AFTER="1d")


def test_nothing_is_placed_that_could_outlive_the_lease() -> None:
    state = quoting_state([wallet(0)])
    assert leased(state, START, CHOSEN), "where there is no lease to hold"
    absorb(state, LeaseSeen(at=START, until=later(60_000)), CHOSEN)
    for ms, expected in ((0, True), (39_999, True), (40_000, False), (90_000, False)):
        assert leased(state, later(ms), CHOSEN) is expected
        state.now = state.seen_at = later(ms)
        assert ("lease" in standstill(state, CHOSEN)) is not expected
    absorb(state, LeaseSeen(at=later(90_000), until=later(150_000)), CHOSEN)
    assert standstill(state, CHOSEN) == ""


def test_after_the_grace_everything_is_withdrawn_and_told_once() -> None:
    state = quoting_state([wallet(0, orders=[order(0, Side.BID, 90, 10)])])
    state.lease_until = later(60_000)
    told = []
    for seconds in (659, 661, 662):
        state.now = state.seen_at = later(seconds * 1_000)
        actions = quoting(state, Tick(at=state.now, slot=Slot(1)), CHOSEN)
        told += [(seconds, action.name) for action in actions if isinstance(action, Report)]
        withdrawn = [action for action in actions if isinstance(action, Execute) and action.cancels]
        assert bool(withdrawn) is (seconds > 660)
    assert (661, "LEASE_WITHDRAWAL") in told
    assert (662, "LEASE_WITHDRAWAL") not in told
    assert Millis(0) < state.now
