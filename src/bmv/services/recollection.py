"""What the journal remembers of earlier runs: where a new one goes on.

Rules of this file
- A run that did not go on from the one before it (another market, another chain) begins anew here too.
- The last belief that was kept counts, and after it every fill and cost, one by one: what a killed process
  was told is never forgotten, whether it came to decide on it or not.
- A bundle without an outcome is in flight, with the actions it carries.
- Trades are kept one by one from the oldest on that P still counted when that belief was kept.
- A conversion that has landed is still to be booked until it was told what it brought.
- Events lost by the queue's ring and not yet read back are still to be read back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bmv.belief import Belief, QueueMark, TradeSum
from bmv.config import HOUR_MS
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Convert,
    Converted,
    EventsFound,
    Flight,
    MarketSeen,
    OnChain,
    Remembered,
    WalletDuty,
)
from bmv.model import BundleCost, Fill, MarketSpec, Outcome, Trade
from bmv.observe.segments import RUN_PREFIX, Record, records
from bmv.services.backfill import Gap
from bmv.services.outcomes import MAX_RESENDS, Sent
from bmv.services.pages import Cursor, Page
from bmv.units import BlockHeight, Lamports, MicroUsd, Millis, Slot

_WORTH_A_LOOK = tuple(
    b'"type":"%s"' % kind
    for kind in (b"MarketSeen", b"EventsFound", b"BundleResolved", b"Converted", b"WalletDuty")
)
_EVENT, _ACTION, _BUNDLE, _BELIEF = b'{"event":', b'{"action":', b'{"bundle":', b'{"belief":'
_event = msgspec.json.Decoder(AnyEvent).decode
_action = msgspec.json.Decoder(AnyAction).decode


class _Bundle(msgspec.Struct, frozen=True):
    """A bundle as the journal tells it before it is sent."""

    id: str
    tickets: tuple[int, ...]
    signatures: list[str]
    last_valid: BlockHeight
    tip: Lamports
    fees: Lamports
    at: Millis
    until: int | None = None


class _Head(msgspec.Struct, frozen=True):
    """What of a run's first record matters here."""

    at: Millis
    market: MarketSpec
    chain: str = ""
    owners: tuple[str, ...] = ()
    goes_on: bool = False


_bundle, _belief = msgspec.json.Decoder(_Bundle).decode, msgspec.json.Decoder(Belief).decode
_head = msgspec.json.Decoder(_Head).decode


@dataclass(slots=True)
class Recollection:
    """What is remembered; ``owners`` are the wallets its numbers mean, ``missing`` says what is not.

    ``chain`` is the genesis hash of where it was; '' where a journal does not tell.
    """

    market: str
    owners: tuple[str, ...]
    first_start: Millis
    chain: str = ""
    mark: QueueMark | None = None
    newest: Slot = Slot(0)
    """Where the last reading was made, the last bundle landed, or one can last have landed."""
    belief: Belief | None = None
    fills: list[Fill] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    costs: list[tuple[Millis, Lamports]] = field(default_factory=list)
    hours: dict[int, TradeSum] = field(default_factory=dict)
    recorded_from: Millis | None = None
    gaps: list[Gap] = field(default_factory=list)
    next_ticket: int = 1
    bundles: dict[str, _Bundle] = field(default_factory=dict)
    actions: dict[int, OnChain] = field(default_factory=dict)
    converted: list[Converted] = field(default_factory=list)
    unbooked: dict[int, tuple[_Bundle, Slot]] = field(default_factory=dict)
    """Conversions that landed, by ticket, and where."""
    missing: str = ""
    pages: list[Page] = field(default_factory=list, compare=False)
    """Those of the runs it remembers."""
    seed: tuple[int, int] = (0, 0)
    """What the history says of the time before records: a price in fine ticks, and lots a day."""
    sol_usd: list[tuple[int, int]] = field(default_factory=list)
    """Hours and the price of a SOL in them, micro-dollars, as the history knows them."""

    def sent(self) -> list[Sent]:
        """Return the bundles without an outcome, to be watched; nothing of them is sent again."""
        return [_sent(one) for one in self.bundles.values()]

    def landed(self) -> list[Sent]:
        """Return the conversions that landed and are to be booked."""
        return [_sent(one) for one, _ in self.unbooked.values()]

    def event(self, at: Millis) -> Remembered:
        """Return what a new run begins with."""
        flights = [
            Flight(self.actions[ticket], one.at)
            for one in self.bundles.values()
            for ticket in one.tickets
            if ticket in self.actions
        ]
        flights += [
            Flight(self.actions[ticket], one.at, slot)
            for ticket, (one, slot) in self.unbooked.items()
            if ticket in self.actions
        ]
        return Remembered(
            at=at,
            first_start=self.first_start,
            recorded_from=self.recorded_from or at,
            hours=tuple(self.hours[hour] for hour in sorted(self.hours)),
            belief=self.belief,
            fills=tuple(self.fills),
            trades=tuple(self.trades),
            costs=tuple(self.costs),
            converted=tuple(self.converted),
            flights=tuple(flights),
            next_ticket=self.next_ticket,
            missing=self.missing,
            seed=self.seed,
            sol_usd=tuple((Millis(hour * HOUR_MS), MicroUsd(micros)) for hour, micros in self.sol_usd),
        )

    def saw(self, event: AnyEvent) -> None:
        """Take in an event."""
        if isinstance(event, MarketSeen):
            if event.events_missed and self.mark and event.mark:
                before = self.mark
                missed, consumed = event.events_missed, event.consumed
                gap = Gap(before.slot, event.slot, before.next_seq, missed, before.waiting, consumed)
                self.gaps.append(gap)
            self.mark = event.mark or self.mark
            self.newest = max(self.newest, event.slot)
            self.trades.extend(event.trades)
            self._traded(event.trades, event.fills)
        elif isinstance(event, WalletDuty) and event.wallet == len(self.owners):
            self.owners += (event.owner,)
        elif isinstance(event, EventsFound):
            del self.gaps[:1]
            self._traded(event.trades, event.fills)
        elif isinstance(event, BundleResolved):
            sent = self.bundles.pop(event.bundle_id, None)
            landed = event.outcome is Outcome.LANDED
            for ticket in sent.tickets if sent else event.tickets:
                if sent and landed and isinstance(self.actions.get(ticket), Convert):
                    self.unbooked[ticket] = sent, event.slot
                else:
                    self.actions.pop(ticket, None)
            self.newest = max(self.newest, event.slot)
            if landed:
                self.costs.append((event.at, event.cost.fees + event.cost.tip))

        elif isinstance(event, Converted):
            self.unbooked.pop(event.ticket, None)
            self.actions.pop(event.ticket, None)
            self.converted.append(event)

    def keep(self, belief: Belief) -> None:
        """Go on from a belief: it holds what came before it."""
        self.belief = belief
        first = belief.counted_from
        self.trades = [trade for trade in self.trades if first is not None and trade.seq >= first]
        self.fills.clear()
        self.costs.clear()
        self.converted.clear()

    def asked(self, action: AnyAction) -> None:
        """Take in an action; what it is about matters while its bundle flies."""
        if isinstance(action, OnChain):
            self.actions[action.ticket] = action
            self.next_ticket = max(self.next_ticket, action.ticket + 1)

    def _traded(self, trades: Iterable[Trade], fills: Iterable[Fill]) -> None:
        self.fills.extend(fills)
        for trade in trades:
            hour = int(trade.at) // HOUR_MS
            before = self.hours.get(hour) or TradeSum(trade.at, 0, 0, 0)
            size = int(trade.size)
            self.hours[hour] = TradeSum(
                max(before.at, trade.at),
                before.notional + int(trade.price) * size,
                before.volume + size,
                before.own + (size if trade.own else 0),
            )
            self.recorded_from = min(self.recorded_from or trade.at, trade.at)


def _sent(bundle: _Bundle) -> Sent:
    return Sent(
        bundle_id=bundle.id,
        tickets=bundle.tickets,
        raws=[],
        signatures=bundle.signatures,
        last_valid=bundle.last_valid,
        cost=BundleCost(bundle.fees, bundle.tip),
        sent_at=bundle.at,
        until=bundle.until,
        resends=MAX_RESENDS,
    )


def recollect(folder: Path) -> Recollection | None:
    """Read a journal back; None where nothing was recorded. Raises BadInput where it is damaged."""
    found: Recollection | None = None
    cursor = Cursor()
    for record in records(folder):
        page = cursor.turned(record.path)
        cursor.follow(record.payload)
        if record.payload.startswith(RUN_PREFIX):
            found = _begun(found, _head(_inner(record, RUN_PREFIX)))
        elif found is not None:
            _take(found, record)
        if found is not None and page is not None:
            found.pages.append(page)
    return found


def _begun(before: Recollection | None, head: _Head) -> Recollection:
    if before is not None and head.goes_on:
        before.owners, before.chain = head.owners, head.chain
        return before
    return Recollection(head.market.address, head.owners, head.at, head.chain)


def _take(found: Recollection, record: Record) -> None:
    payload = record.payload
    if payload.startswith(_EVENT):
        if any(kind in payload[:64] for kind in _WORTH_A_LOOK):
            found.saw(_event(_inner(record, _EVENT)))
    elif payload.startswith(_BUNDLE):
        bundle = _bundle(_inner(record, _BUNDLE))
        found.bundles[bundle.id] = bundle
    elif payload.startswith(_BELIEF):
        found.keep(_belief(_inner(record, _BELIEF)))
    elif payload.startswith(_ACTION) and b'"ticket":' in payload:
        found.asked(_action(_inner(record, _ACTION)))


def _inner(record: Record, prefix: bytes) -> bytes:
    return record.payload[len(prefix) : -1]
