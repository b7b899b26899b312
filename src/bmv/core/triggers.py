"""When the target is rebuilt, and when a rebuild is not worth sending (SPEC 3.6).

| trigger | when | what |
|---|---|---|
| signal | first ladder, other settings, a wallet or a side came or went, the chain disagrees | both sides |
| signal | Target Control or the damper moved the density of the BUY zone by a step | both sides |
| threshold | P is more than REBALANCE_THRESHOLD from where a side was built | both sides |
| local | an idle step, a rival in front | the first orders, what stands behind them stays |
| forced | FORCED_SYNC has passed | both sides, unless that changes too little |
| local | a side's first order is gone, at most once per TOPUP_MIN_INTERVAL | that side |

The first that applies counts; the next event finds the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.penny import penny_due
from bmv.core.state import State
from bmv.core.target import dense_step
from bmv.model import TOUCH, Quote, Side
from bmv.units import Millis

FORCED_MOVE_BPS = 30
TOP_UP = "top-up"
OTHER_SETTINGS = "other settings"
"""The signal after which sizes are not bound to what stands."""
SOL_SENT, SOL_COLLECTED = "the treasury sent SOL", "the treasury collected SOL"
"""Signals that come many times in a fall: no reason to make orders larger that are about to shrink."""
BOTH = (Side.BID, Side.ASK)


class Trigger(NamedTuple):
    """Why the target is rebuilt: its name in counters, the cause for people, the sides concerned.

    ``inner``: only the first orders move.
    """

    name: str
    cause: str
    sides: tuple[Side, ...] = BOTH
    inner: bool = False

    @property
    def whole(self) -> bool:
        """Say whether everything is rebuilt."""
        return self.sides == BOTH and not self.inner


def due(state: State, settings: Settings) -> Trigger | None:
    """Return the trigger that applies now, if any; there must be a price."""
    assert state.market.reading is not None
    target, price = state.target, state.market.reading.price_fine
    if not target.prices:
        return Trigger("signal", state.signal or "first ladder")
    if state.signal or state.ready_wallets() != target.wallets:
        return Trigger("signal", state.signal or "a wallet came or went")
    threshold = int(settings.rebalance_threshold)
    if any(abs(price - built) * BPS > built * threshold for built in target.prices.values()):
        return Trigger("threshold", "the price moved")
    if dense_step(state, settings) != state.market.density:
        return Trigger("signal", "the density of the BUY zone takes a step")
    firsts = [quote for quote in target.quotes if quote.point == TOUCH]
    return _local(state, settings, firsts) or _timed(state, settings, firsts)


def _local(state: State, settings: Settings, firsts: Sequence[Quote]) -> Trigger | None:
    if state.market.presence.step_due(state.now, settings):
        return Trigger("local", "inside spread", tuple(first.side for first in firsts), inner=True)
    for first in firsts:
        if penny_due(state, settings, first):
            return Trigger("local", "penny", (first.side,), inner=True)
    return None


def _timed(state: State, settings: Settings, firsts: Sequence[Quote]) -> Trigger | None:
    target = state.target
    if state.now - target.built_at >= settings.forced_sync:
        return Trigger("forced", "time passed")
    standing = {first.side for first in firsts}
    for side in BOTH:
        rested = state.now - target.topped_up_at.get(side, Millis(0)) >= settings.topup_min_interval
        held_back = side in state.market.closed or side in state.guards.stopped
        if side not in standing and not held_back and rested:
            return Trigger("local", TOP_UP, (side,))
    return None


def worth_sending(old: Sequence[Quote], new: Sequence[Quote], settings: Settings) -> bool:
    """Say whether a forced rebuild moves a best price or enough of the ladder's value, or of one side's.

    A side counts as half a ladder however little it is worth, or bids beside much stock could never grow.
    """
    for side in Side:
        before = [quote.price for quote in old if quote.side is side]
        after = [quote.price for quote in new if quote.side is side]
        if bool(before) != bool(after):
            return True
        if before and int(abs(before[0] - after[0])) * BPS >= int(before[0]) * FORCED_MOVE_BPS:
            return True
    least = int(settings.rebuild_min_change)
    sides = [_changed(old, new, side) for side in Side]
    changed, total = map(sum, zip(*sides, strict=True))
    return changed > 0 and (
        changed * BPS >= total * least
        or any(part > 0 and part * BPS >= 2 * value * least for part, value in sides)
    )


def _changed(old: Sequence[Quote], new: Sequence[Quote], side: Side) -> tuple[int, int]:
    """Return how much of a side's value changes, and what it is worth then."""
    was = {quote.price: quote for quote in old if quote.side is side}
    total = changed = 0
    for quote in new:
        if quote.side is not side:
            continue
        value = int(quote.price) * int(quote.size)
        match = was.pop(quote.price, None)
        total += value
        changed += int(quote.price) * int(abs(quote.size - match.size)) if match else value
    return changed + sum(int(quote.price) * int(quote.size) for quote in was.values()), total
