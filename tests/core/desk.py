"""An engine whose every change lands at once, in an exchange that a test moves by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.limits import Approved
from bmv.core.state import new_state
from bmv.events import AnyEvent, BundleResolved, Execute, MarketSeen, Report
from bmv.model import BundleCost, Fill, ForeignBook, LiveOrder, Outcome, Quote, Side, Trade, WalletView
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import SOL, START, market, settings, wallet

P = 20_000
MINUTE = 60_000
STEADY = settings(REF_NOTIONAL_SOL="0.001", ORDERS_PER_WALLET=16, IDLE_INTERVAL_MIN=1440, PRICE_MAX_AGE="30d")


@dataclass
class Desk:
    """An engine whose every change lands at once; ``now`` moves by hand."""

    chosen: Settings = STEADY
    wallets: int = 2
    now: int = int(START)
    slot: int = 100
    seq: int = 0
    reports: list[Report] = field(default_factory=list)
    done: list[Execute] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lands: bool = True
    book: ForeignBook = ForeignBook()
    sol: int = 100 * SOL

    def __post_init__(self) -> None:
        self.state = new_state(market(), self.wallets, START)
        self.views = {n: wallet(n, sol=self.sol, lots=1_000_000) for n in range(self.wallets)}

    def happen(self, event: AnyEvent) -> Approved:
        self.state, approved = decide(self.state, event, self.chosen)
        self.reports += [action for action in approved.actions if isinstance(action, Report)]
        self.refused += [refusal.reason for refusal in approved.refusals]
        for action in approved.actions:
            if isinstance(action, Execute) and self.lands:
                self._land(action)
        return approved

    def _land(self, action: Execute) -> None:
        self.done.append(action)
        view = self.views[action.wallet]
        leaving = {cancel.order_id for cancel in action.cancels}
        kept = [o for o in view.orders if o.order_id not in leaving]
        for place in action.places:
            self.seq += 1
            kept.append(
                LiveOrder(place.wallet, place.side, place.price, place.size, self.seq, place.client_id)
            )
        self.views[action.wallet] = wallet(action.wallet, sol=self.sol, lots=1_000_000, orders=kept)
        self.resolve(action.ticket)

    def resolve(self, ticket: int, cost: int = 0) -> None:
        event = BundleResolved(
            at=Millis(self.now),
            bundle_id=f"b{ticket}",
            tickets=(ticket,),
            outcome=Outcome.LANDED,
            slot=Slot(self.slot + 1),
            cost=BundleCost(Lamports(cost)),
        )
        self.happen(event)

    def see(
        self,
        price: int | None = None,
        fills: Sequence[Fill] = (),
        views: Sequence[WalletView] = (),
        size: int = 10**6,
    ) -> Approved:
        """Read the chain; ``price`` is where somebody else traded ``size`` lots just now."""
        self.slot += 2
        trades = []
        if price is not None:
            self.seq += 1
            trades.append(Trade(self.seq, Millis(self.now), Ticks(price), BaseLots(size), Side.BID, False))
        self.views.update({view.wallet: view for view in views})
        return self.happen(
            MarketSeen(
                at=Millis(self.now),
                slot=Slot(self.slot),
                book=self.book,
                wallets=tuple(self.views.values()),
                trades=tuple(trades),
                fills=tuple(fills),
            )
        )

    def settle_down(self, price: int | None = None) -> None:
        """Read until nothing changes any more."""
        self.see(price)
        for _ in range(8):
            self.see()

    def wait(self, ms: int) -> None:
        """Let time pass and look."""
        self.now += ms
        self.see()

    def rebuilds(self) -> list[str]:
        found = [str(report.fields["trigger"]) for report in self.reports if report.name == "GRID_REBUILD"]
        self.reports.clear()
        return found

    def best(self, side: Side) -> Quote:
        return next(quote for quote in self.state.target.quotes if quote.side is side)

    def standing(self) -> set[tuple[int, Side, Ticks]]:
        return {(o.wallet, o.side, o.price) for view in self.views.values() for o in view.orders}

    def wanted(self) -> set[tuple[int, Side, Ticks]]:
        return {(q.wallet, q.side, q.price) for q in self.state.target.quotes}

    def fill(self, side: Side) -> None:
        """Let somebody take our best order of a side whole, at no change of P."""
        self.fill_lots(side, int(self.best(side).size))

    def fill_lots(self, side: Side, lots: int) -> None:
        """Let somebody take some lots of our best order of a side."""
        quote = self.best(side)
        view = self.views[quote.wallet]
        (live,) = [o for o in view.orders if (o.side, o.price) == (side, quote.price)]
        left = msgspec.structs.replace(live, size=live.size - BaseLots(lots))
        rest = [left if o is live else o for o in view.orders if o is not live or left.size > BaseLots(0)]
        self.seq += 1
        one = Fill(
            seq=self.seq,
            at=Millis(self.now),
            wallet=live.wallet,
            side=side,
            price=live.price,
            size=BaseLots(lots),
            maker=True,
            rebate=Lamports(0),
            fee=Lamports(0),
            order_id=live.order_id,
            client_id=live.client_id,
        )
        self.see(fills=[one], views=[wallet(live.wallet, sol=100 * SOL, lots=1_000_000, orders=rest)])


def quoting(chosen: Settings = STEADY, price: int = P) -> Desk:
    """Return a desk whose ladder stands around ``price``."""
    desk = Desk(chosen)
    desk.settle_down(price)
    assert desk.rebuilds() == ["signal"]
    assert desk.standing() == desk.wanted()
    assert not desk.refused
    desk.done.clear()
    return desk


def far(percent: int) -> int:
    return P * (100 + percent) // 100
