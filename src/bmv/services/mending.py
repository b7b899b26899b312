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
from bmv.model import MarketSpec
from bmv.observe.segments import RUN_PREFIX, records
from bmv.services.chronicle import bundle_end, fill_row, told_of
from bmv.services.recollection import Recollection
from bmv.state.rows import Batch, BundleSent, EventRow, Opening
from bmv.units import Millis

ROWS = 5_000
_EVENT, _BUNDLE, _ACTION = b'{"event":', b'{"bundle":', b'{"action":'
_KEPT = tuple(b'{"action":{"type":"%s"' % kind for kind in (b"Report", b"Fund", b"Collect"))
_TOLD = tuple(b'{"event":{"type":"%s"' % kind for kind in (b"MarketSeen", b"EventsFound", b"BundleResolved"))
_AT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_event = msgspec.json.Decoder(AnyEvent).decode
_action = msgspec.json.Decoder(AnyAction).decode


class _Head(msgspec.Struct, frozen=True):
    at: Millis
    market: MarketSpec
    owners: tuple[str, ...] = ()
    goes_on: bool = False


class _Bundle(msgspec.Struct, frozen=True):
    id: str
    tickets: list[int]
    signatures: list[str]
    last_valid: int
    tip: int
    fees: int
    at: int


def journalled(folder: Path, market: str, since: Millis) -> Iterator[Batch]:
    """Return what the journal's runs on this chain tell of since a moment, in batches of some thousand rows.

    Orders and balances are not in it: the next readings tell them. Raises BadInput where it is damaged.
    """
    begin = _lineage(folder, market) if folder.is_dir() else None
    if begin is None:
        return
    reading = _Reading(since)
    for number, record in enumerate(records(folder)):
        if number >= begin:
            reading.take(record.payload)
        if len(reading.batch) >= ROWS:
            yield reading.taken()
    yield reading.taken()


def _lineage(folder: Path, market: str) -> int | None:
    """Return the number of the record from which on every run has gone on from the one before."""
    begin = None
    for number, record in enumerate(records(folder)):
        if record.payload.startswith(RUN_PREFIX):
            head = msgspec.json.decode(record.payload[len(RUN_PREFIX) : -1], type=_Head)
            begin = begin if head.goes_on else number if head.market.address == market else None
    return begin


class _Reading:
    """Gather rows from records; reports are numbered as the engine's own chronicle numbers them."""

    def __init__(self, since: Millis) -> None:
        self._since, self._at = since, Millis(0)
        self._run, self._number = Millis(0), 0
        self._owners: tuple[str, ...] = ()
        self.batch = Batch()

    def taken(self) -> Batch:
        """Return what was gathered, and begin anew."""
        batch, self.batch = self.batch, Batch()
        return batch

    def take(self, payload: bytes) -> None:
        if payload.startswith(RUN_PREFIX):
            head = msgspec.json.decode(payload[len(RUN_PREFIX) : -1], type=_Head)
            self._run, self._number, self._owners = head.at, 0, head.owners
        elif payload.startswith(_EVENT):
            self._event(payload)
        elif payload.startswith(_KEPT):
            for name, fields in told_of(_action(payload[len(_ACTION) : -1])):
                self._number += 1
                if self._at >= self._since:
                    row = EventRow(int(self._run), self._number, int(self._at), name, fields)
                    self.batch.events.append(row)
        elif payload.startswith(_BUNDLE):
            bundle = msgspec.json.decode(payload[len(_BUNDLE) : -1], type=_Bundle)
            if bundle.at >= int(self._since):
                self.batch.sent.append(_sent(bundle))

    def _event(self, payload: bytes) -> None:
        inner = payload[len(_EVENT) : -1]
        self._at = Millis(int(bytes(_AT.decode(inner)["at"])))
        if self._at < self._since or not payload.startswith(_TOLD):
            return
        event = _event(inner)
        if isinstance(event, MarketSeen | EventsFound):
            self.batch.trades.extend(event.trades)
            self.batch.fills.extend(fill_row(one, self._owners[one.wallet], event.at) for one in event.fills)
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
        if opening.belief is None and not sums:
            return None
        missing = "the journal; trades and belief are those of the history"
        memory = Recollection(market, tuple(owners), opening.first_start, missing=missing)
        memory.belief = opening.belief
        memory.mark = opening.belief.mark if opening.belief else None
    if sums:
        sums.sort(key=lambda each: each.at)
        memory.hours = dict(enumerate(sums))
        memory.recorded_from = min(memory.recorded_from or sums[0].at, sums[0].at)
        memory.first_start = min(memory.first_start, opening.first_start)
    return memory
