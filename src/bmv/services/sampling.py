"""What history keeps beside facts: the ledger, markouts as they fall due, and a sample a minute.

A sample is taken from the reading that ends a minute, once nothing is in flight: only then do accounts and
ledger speak of one moment. Where something flies for longer, the minute's sample is taken all the same and
says so. The last one is that of the end of the run.
"""

from collections.abc import Sequence

from bmv.core.over_time import TimeWeighted
from bmv.core.state import State
from bmv.events import AnyAction, AnyEvent, Finish, MarketSeen
from bmv.model import DEPTH_BANDS, Side
from bmv.services.economics import Economics
from bmv.services.record import Record
from bmv.state.rows import Batch, BookRow, MarkoutRow, SampleRow
from bmv.units import Millis

EVERY_MS = Millis(60_000)
LATEST_MS = Millis(90_000)
"""So long after the last one a sample waits for a moment in which nothing is in flight."""


class Sampling:
    """Tell what each decision adds; ``run`` is when this run began."""

    def __init__(self, record: Record, run: Millis) -> None:
        self._record, self._run = record, int(run)
        self._booked = 0
        self._taken: Millis | None = None
        self._sums: list[tuple[int, int]] | None = None

    def told(self, event: AnyEvent, actions: Sequence[AnyAction], state: State) -> Batch:
        """Return the rows of one decision; ``state`` is the belief after it."""
        batch = Batch()
        for one in self._record.economics.judged:
            batch.markouts.append(MarkoutRow(one.seq, one.horizon, int(state.now), one.price_fine))
        ledger = self._record.ledger
        if ledger is None:
            return batch
        for row in ledger.rows[self._booked :]:
            self._booked += 1
            part, cause = row.part.value, row.cause
            batch.books.append(BookRow(self._run, self._booked, int(row.at), part, int(row.lamports), cause))
        if self._is_time(event, actions, state):
            batch.samples.append(self._sample(state))
        return batch

    def _is_time(self, event: AnyEvent, actions: Sequence[AnyAction], state: State) -> bool:
        if any(isinstance(action, Finish) for action in actions):
            return self._taken is None or state.now > self._taken
        if not isinstance(event, MarketSeen) or (state.treasury.usdc and state.oracle.sol_usd is None):
            # Before a SOL has a price, USDC counts as nothing, and its first price would look like a profit.
            return False
        if self._taken is None:
            return not state.in_flight
        passed = state.now - self._taken
        return passed >= LATEST_MS or (passed >= EVERY_MS and not state.in_flight)

    def _sample(self, state: State) -> SampleRow:
        record, now = self._record, state.now
        owned = record.owned([state.views[wallet] for wallet in sorted(state.views)])
        before = self._sums or [(0, 0)] * (4 + 4 * len(DEPTH_BANDS))
        sums = [each.sums(now) for each in _averages(record.economics)]
        since = [(one - a, millis - b) for (one, millis), (a, b) in zip(sums, before, strict=True)]
        self._taken, self._sums = now, sums
        (bid, quoting), (ask, _), (both, _), (spread, spread_millis), *depths = since
        reading = state.market.reading
        return SampleRow(
            run=self._run,
            at=int(now),
            booked=self._booked,
            settled=not state.in_flight,
            sol=int(owned.sol),
            base=int(owned.base),
            usdc=int(owned.usdc),
            sol_usd=None if owned.sol_usd is None else int(owned.sol_usd),
            mark=int(owned.mark),
            rent=sum(int(view.rent) for view in state.views.values()),
            price_fine=None if reading is None else reading.price_fine,
            pivot_fine=state.market.capped_pivot.value_fine,
            orders=sum(len(view.orders) for view in state.views.values()),
            quoting=quoting,
            present_bid=bid,
            present_ask=ask,
            spread_weighted=spread,
            spread_millis=spread_millis,
            depth_millis=depths[0][1],
            depth=[weighted for weighted, _ in depths],
            present_both=both,
        )


def _averages(seen: Economics) -> list[TimeWeighted]:
    """Return what is averaged over time, in the order of a sample's sums."""
    return [
        *(seen.uptime[side] for side in Side),
        seen.both,
        seen.spread_bps,
        *(
            depth[side, band]
            for depth in (seen.own_depth, seen.all_depth)
            for side in Side
            for band in DEPTH_BANDS
        ),
    ]
