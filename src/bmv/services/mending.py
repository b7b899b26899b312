"""Journal and history make each other whole.

- ``journalled``: a killed engine has told the journal everything and the database all but the last second;
  what is missing there is read back.
- ``completed``: the history knows the trades of journals that are gone, and the last belief.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bmv.belief import TradeSum
from bmv.events import AnyAction, AnyEvent, BundleResolved, EventsFound, MarketSeen
from bmv.observe.segments import records
from bmv.services.chronicle import bundle_end, fill_row, told_of
from bmv.services.pages import ACTION, EVENT, TOLD, Cursor, Page, page_of
from bmv.services.recollection import Recollection
from bmv.state.rows import Batch, BundleSent, EventRow, Opening
from bmv.units import Millis

ROWS = 5_000
_BUNDLE = b'{"bundle":'
_TOLD = tuple(EVENT + b'{"type":"%s"' % kind for kind in (b"MarketSeen", b"EventsFound", b"BundleResolved"))
_event = msgspec.json.Decoder(AnyEvent).decode
_action = msgspec.json.Decoder(AnyAction).decode


class _Bundle(msgspec.Struct, frozen=True):
    id: str
    tickets: list[int]
    signatures: list[str]
    last_valid: int
    tip: int
    fees: int
    at: int


def journalled(folder: Path, pages: Sequence[Page], since: Millis) -> Iterator[Batch]:
    """Return what a journal tells of since a moment, in batches of some thousand rows.

    ``pages`` are those of the runs that count. Orders and balances are not in it: the next readings tell
    them. Raises BadInput where the journal is damaged.
    """
    page = page_of(pages, since)
    if page is None:
        return
    reading = _Reading(page, since)
    for record in records(folder, page.number):
        reading.take(record.payload)
        if len(reading.batch) >= ROWS:
            yield reading.taken()
    yield reading.taken()


class _Reading:
    """Gather rows from records; reports are numbered as the engine's own chronicle numbers them."""

    def __init__(self, page: Page, since: Millis) -> None:
        self._since, self._cursor = since, Cursor(page)
        self._has_begun = False
        self.batch = Batch()

    def taken(self) -> Batch:
        """Return what was gathered, and begin anew."""
        batch, self.batch = self.batch, Batch()
        return batch

    def take(self, payload: bytes) -> None:
        cursor, number = self._cursor, self._cursor.told
        cursor.follow(payload)
        if payload.startswith(TOLD):
            if cursor.at >= self._since:
                rows = enumerate(told_of(_action(payload[len(ACTION) : -1])), number + 1)
                at = int(cursor.run), int(cursor.at)
                self.batch.events += [EventRow(at[0], nth, at[1], *told) for nth, told in rows]
        elif payload.startswith(_TOLD):
            if cursor.at >= self._since:
                self._event(_event(payload[len(EVENT) : -1]))
        elif payload.startswith(_BUNDLE):
            bundle = msgspec.json.decode(payload[len(_BUNDLE) : -1], type=_Bundle)
            if bundle.at >= int(self._since):
                self.batch.sent.append(_sent(bundle))

    def _event(self, event: AnyEvent) -> None:
        if isinstance(event, MarketSeen) and not self._has_begun:
            self._has_begun, self.batch.live_from = True, event.mark
        if isinstance(event, MarketSeen | EventsFound):
            owners = self._cursor.owners
            self.batch.trades.extend(event.trades)
            self.batch.fills.extend(fill_row(one, owners[one.wallet], event.at) for one in event.fills)
        elif isinstance(event, BundleResolved):
            self.batch.resolved.append(bundle_end(event))


def _sent(bundle: _Bundle) -> BundleSent:
    return BundleSent(
        bundle_id=bundle.id,
        sent_at=bundle.at,
        tickets=bundle.tickets,
        signatures=bundle.signatures,
        last_valid=bundle.last_valid,
        tip=bundle.tip,
        fees=bundle.fees,
    )


def completed(
    memory: Recollection | None, opening: Opening, market: str, owners: Sequence[str]
) -> Recollection | None:
    """Return what the journal remembers with all trades the history knows; None where both know nothing.

    Where there is no journal, the last belief is the history's too; what was in flight then is not known.
    """
    sums = [TradeSum(Millis(hour.last_at), hour.notional, hour.volume, hour.own) for hour in opening.hours]
    for trade in opening.trades:
        size = int(trade.size)
        sums.append(TradeSum(trade.at, int(trade.price) * size, size, size if trade.own else 0))
    if memory is None:
        if opening.belief is None and not (sums or opening.sol_usd or any(opening.seed)):
            return None
        # Before the first start somebody may have filled the history; then nothing is missing.
        missing = "the journal; trades and belief are those of the history" if opening.belief else ""
        memory = Recollection(market, tuple(owners), opening.first_start, missing=missing)
        memory.belief = opening.belief
        memory.mark = opening.belief.mark if opening.belief else None
    memory.seed, memory.sol_usd = opening.seed, opening.sol_usd
    if sums:
        sums.sort(key=lambda each: each.at)
        memory.hours = dict(enumerate(sums))
        memory.recorded_from = min(memory.recorded_from or sums[0].at, sums[0].at)
        memory.first_start = min(memory.first_start, opening.first_start)
    return memory
