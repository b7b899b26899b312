"""What the engine did so far: counters, ledger, and the recent past for people.

It listens to the same events and actions the journal gets and computes nothing the strategy uses.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bmv.core.decay import FINE
from bmv.core.ledger import NO_DOLLARS, Ledger
from bmv.core.state import State
from bmv.core.transfers import TREASURY
from bmv.errors import OutsideError
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Converted,
    EventsFound,
    Execute,
    MarketSeen,
    OracleSeen,
    Report,
    TreasurySeen,
)
from bmv.model import Fill, MarketSpec, Outcome, Trade, WalletView
from bmv.observe.metrics import Values
from bmv.services.economics import Economics
from bmv.services.execution import Execution
from bmv.services.turnover import Turnover
from bmv.units import (
    BaseAtoms,
    BaseLots,
    Lamports,
    MicroUsd,
    Millis,
    Slot,
    Ticks,
    UsdPerSol,
    atoms_to_lots,
    lamports_worth,
    notional,
)

RECENT_FILLS = 50
RECENT_BUNDLES = 50
RECENT_EVENTS = 100


class Owned(NamedTuple):
    """All that is ours: ``sol`` in any form, ``base`` lots worth ``mark`` ticks each, ``usdc``."""

    sol: Lamports
    base: BaseLots
    mark: Ticks
    usdc: MicroUsd
    sol_usd: UsdPerSol | None

    def worth(self, spec: MarketSpec) -> Lamports:
        """Return its value in lamports; USDC counts as nothing before a SOL had a price."""
        dollars = lamports_worth(self.usdc, self.sol_usd) if self.sol_usd is not None else Lamports(0)
        return self.sol + notional(self.mark, self.base, spec.quote_lot_size) + dollars


def count_error(errors: Counter[str], error: OutsideError) -> None:
    """Count a failure of the outside world, healed or not, by service and kind."""
    # Adapters refine the kinds of errors.py; people count those.
    known = next(one.__name__ for one in type(error).__mro__ if one.__module__ == OutsideError.__module__)
    kind = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in known)
    errors[f"{error.where.split()[0]}{kind}"] += 1


class Record:
    """Count and remember; ``ledger`` exists once a first price is known."""

    def __init__(self, spec: MarketSpec, errors: Counter[str]) -> None:
        self._spec = spec
        self.orders: Counter[str] = Counter(placed=0, kept=0, cancelled=0)
        self.rebuilds: Counter[str] = Counter(threshold=0, forced=0, signal=0, local=0)
        self.bundles: Counter[str] = Counter(sent=0, landed=0, failed=0, expired=0, unsent=0)
        self.errors = errors
        self.fills = 0
        self.turnover = Turnover()
        self.treasury = TreasurySeen(at=Millis(0), sol=Lamports(0), usdc=MicroUsd(0))
        self._sol_usd: UsdPerSol | None = None
        self.self_trades = 0
        self.volume = Lamports(0)
        self.rent_reclaimed = Lamports(0)
        self.counterparties: set[str] = set()
        self.ledger: Ledger | None = None
        self.equity_start: Lamports | None = None
        self.recent_fills: deque[Fill] = deque(maxlen=RECENT_FILLS)
        self.recent_bundles: deque[BundleResolved] = deque(maxlen=RECENT_BUNDLES)
        self.recent_events: deque[tuple[Millis, Report]] = deque(maxlen=RECENT_EVENTS)
        self._start: list[WalletView] | None = None
        self._start_slot, self._start_seq = Slot(0), 0
        self._early: list[Callable[[Ledger], None]] = []
        self.execution = Execution()
        self.economics = Economics(spec)
        self.reports: Counter[str] = Counter()
        self.listeners: list[Callable[[Millis, Report], None]] = []
        """Called with every report."""
        self.sources: list[Callable[[Values], None]] = []
        """Called at every scrape of the metrics: what is kept beside the engine tells of itself."""

    def sent(self) -> None:
        """Count a bundle that was sent."""
        self.bundles["sent"] += 1

    def saw(self, event: AnyEvent, state: State) -> None:
        """Record an event; ``state`` is the belief after it."""
        self.execution.decided()
        if isinstance(event, BundleResolved):
            self._resolved(event)
        elif isinstance(event, MarketSeen):
            self._joined(event)
            self._open_books(state, event)
            self._reclaimed(event, state)
            self._market(event.at, event.trades, event.fills)
        elif isinstance(event, TreasurySeen):
            self.treasury = event
        elif isinstance(event, OracleSeen):
            self._priced(event.at, event.sol_usd)
        elif isinstance(event, Converted):
            self.turnover.converted(event)
            # One of an earlier run is in the balances the books were opened with.
            if self.ledger is not None and event.slot > self._start_slot:
                self.ledger.record_conversion(event.at, event.ticket, event.sol, event.usdc)
        elif isinstance(event, EventsFound):
            # The last trade's price is known already; what is found late must not become the mark again.
            self._market(event.at, (), event.fills)

    def did(self, action: AnyAction, at: Millis) -> None:
        """Record an action that was approved."""
        self.execution.did(action, at)
        self.turnover.did(action)
        if isinstance(action, Execute):
            self.orders["placed"] += len(action.places)
            self.orders["cancelled"] += len(action.cancels)
        elif isinstance(action, Report):
            self.recent_events.appendleft((at, action))
            self.reports[action.name] += 1
            for listen in self.listeners:
                listen(at, action)
            if action.name == "RENT_RECLAIM":
                self.rent_reclaimed += Lamports(int(action.fields["lamports"]))
            elif action.name in ("DEPOSIT", "WITHDRAWAL"):
                self._transferred(action, at)
            elif action.name == "GRID_REBUILD":
                self.rebuilds[str(action.fields["trigger"])] += 1
                self.orders["kept"] += int(action.fields["kept"])

    def owned(self, views: list[WalletView]) -> Owned:
        """Return what wallets and treasury own by their accounts, at the last trade's tick."""
        held, mark = self.treasury, self.ledger.mark if self.ledger else Ticks(0)
        money = sum((view.gas + view.rent + view.quote_total for view in views), held.sol + held.kept)
        base = sum((_lots(view, self._spec) for view in views), BaseLots(0))
        return Owned(money, base, mark, held.usdc, self._sol_usd)

    def equity(self, views: list[WalletView]) -> Lamports:
        """Return what that is worth."""
        return self.owned(views).worth(self._spec)

    def _priced(self, at: Millis, sol_usd: UsdPerSol) -> None:
        """Value USDC anew; the first price of all restates what there was at the start."""
        first, self._sol_usd = self._sol_usd is None, sol_usd
        if self.ledger is not None:
            self.ledger.record_dollar_mark(at, sol_usd)
            if first and self.equity_start is not None:
                self.equity_start += self.ledger.dollars()

    def _market(self, at: Millis, trades: Sequence[Trade], fills: Sequence[Fill]) -> None:
        for fill in fills:
            self.fills += 1
            self.self_trades += fill.self_trade
            self.volume += notional(fill.price, fill.size, self._spec.quote_lot_size)
            self.counterparties.add(fill.counterparty)
            self.recent_fills.appendleft(fill)
        if self.ledger is not None:
            # What happened before the first reading is in the balances the books were opened with.
            since = self._start_seq
            newer = [fill for fill in fills if fill.seq >= since]
            self.ledger.record_market(at, [trade for trade in trades if trade.seq >= since], newer)

    def _reclaimed(self, event: MarketSeen, state: State) -> None:
        """Book what left-over accounts held that are gone: now it is in their wallets, and counts."""
        for one in event.reclaimed:
            if self.ledger is not None and not one.working:
                total = state.views[one.wallet].base_total
                base = _whole(total, self._spec) - _whole(total - one.base, self._spec)
                self.ledger.record_reclaimed(event.at, one.lamports + one.quote, base, one.address)

    def _resolved(self, event: BundleResolved) -> None:
        self.turnover.resolved(event)
        if not event.bundle_id.startswith("unsent"):
            self.bundles[event.outcome.value] += 1
            self.recent_bundles.appendleft(event)
            self.execution.resolved(event)
        if event.outcome is not Outcome.LANDED:
            return
        if self.ledger is None:
            self._early.append(lambda ledger: self._book(ledger, event))
        else:
            self._book(self.ledger, event)

    def _book(self, ledger: Ledger, event: BundleResolved) -> None:
        """Write what a bundle cost, unless the balances the books were opened with knew it already."""
        if event.slot > self._start_slot:
            ledger.record_bundle(event.at, event.bundle_id, event.cost)

    def _joined(self, event: MarketSeen) -> None:
        """Book what a wallet brings that came later: it is no profit."""
        if self._start is None:
            return
        known = len(self._start)
        for view in event.wallets:
            if view.wallet < known:
                continue
            self._start.append(view)
            if self.ledger is not None:
                sol, base = view.gas + view.rent + view.quote_total, _lots(view, self._spec)
                self.ledger.record_transfer(event.at, sol, base, NO_DOLLARS, f"wallet {view.wallet}")

    def _transferred(self, told: Report, at: Millis) -> None:
        """Book what was moved from outside; what the treasury has when the books are opened is in them."""
        account = str(told.fields["account"])
        sol, base, usdc = (int(told.fields.get(key, 0)) for key in ("lamports", "size", "usdc"))
        cause = TREASURY if account == TREASURY else f"wallet {account}"

        def book(ledger: Ledger) -> None:
            ledger.record_transfer(at, Lamports(sol), BaseLots(base), MicroUsd(usdc), cause)

        if self.ledger is not None:
            book(self.ledger)
        elif account != TREASURY:
            self._early.append(book)

    def _open_books(self, state: State, event: MarketSeen) -> None:
        """Start the ledger with what the wallets held at first sight, valued at the first price known."""
        if self._start is None and len(state.views) == state.wallet_count:
            self._start = [state.views[wallet] for wallet in sorted(state.views)]
            self._start_slot = event.slot
            self._start_seq = event.mark.next_seq if event.mark else 0
        reading = state.market.reading
        if self.ledger is not None or self._start is None or reading is None:
            return
        mark = Ticks(max(1, reading.price_fine // FINE))
        base = sum((_lots(view, self._spec) for view in self._start), BaseLots(0))
        self.ledger = Ledger(self._spec, mark, base, self.treasury.usdc, self._sol_usd)
        self.equity_start = self.equity(self._start)
        for early in self._early:
            early(self.ledger)


def _lots(view: WalletView, spec: MarketSpec) -> BaseLots:
    return _whole(view.base_total, spec)


def _whole(base: BaseAtoms, spec: MarketSpec) -> BaseLots:
    return atoms_to_lots(base, spec.base_lot_size)
