"""Play a tape through the engine's own ``decide``: the live strategy, with the outside on paper.

Rules of this file
- What the engine is told at ``t`` rests on prints up to ``t``; what it asks for lands ``latency`` later,
  or is lost with the probability of ``loss`` and known as lost a minute after.
- The engine looks at the market every ``step``, when the price has moved by ``look_at`` since it last did,
  whenever something of ours fills or lands, and 20 s after something was lost.
- Beside others there is a foreign book around the last print, ``others_spread`` wide, and the trades of a
  tape that has sizes; a sole maker sees its own fills alone.
- Where it is known what a SOL costs there is a treasury, and what the engine asks of it lands or is lost like
  any change, in a bundle of its own.
- Chance has a seed of its own: the same tape, settings and assumptions give the same digest.
"""

from collections.abc import Callable, Sequence

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.course import Course
from bmv.backtest.crowd import PaperCrowd, PaperFloor
from bmv.backtest.dollars import Dollars
from bmv.backtest.flights import Flight, Flights, Tally
from bmv.backtest.paper import NEVER, ChangeFailed, Paper, Purse
from bmv.backtest.tape import Tape
from bmv.backtest.treasury import PaperTreasury
from bmv.config import Settings
from bmv.core.decay import BPS, FINE
from bmv.core.decide import decide
from bmv.core.ledger import Ledger
from bmv.core.quoting import PRICE_EVERY_MS
from bmv.core.state import State, new_state
from bmv.events import (
    AnyEvent,
    BundleResolved,
    Collect,
    Convert,
    Converted,
    Execute,
    Finish,
    MarketSeen,
    OracleSeen,
    Report,
    TreasuryAction,
    TreasurySeen,
)
from bmv.model import BundleCost, Fill, ForeignBook, MarketSpec, Outcome, Side, TableView, Trade
from bmv.observe.journal import Journal
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks, notional

SLOT_MS, RESYNC_MS = 400, 20_000
ORDINARY = frozenset({"GRID_REBUILD", "ORDER_FILL", "FEED_UP", "STARTED", "IDLE_TIGHTEN"}) | {
    "CONVERSION_DUE",
    "FIAT_INJECTION",
    "FIAT_RESERVE",
}
"""Reports that are no incident."""


def play_grid(tape: Tape, paper: Paper) -> list[Fill]:
    """Return what a whole tape fills of orders that rest and are never replaced."""
    fills: list[Fill] = []
    index, count = 0, len(tape)
    while (hit := tape.next_beyond(index, count, *paper.reach())) < count:
        at = Millis(int(tape.times[hit]))
        fills += paper.meet(int(tape.prices[hit]), int(tape.sizes[hit]), at, len(fills) + 1)
        index = hit + 1
    return fills


class Backtest:
    """One engine on one tape; ``run`` plays it to its end or until told to stop."""

    def __init__(
        self,
        tape: Tape,
        spec: MarketSpec,
        settings: Settings,
        assumed: Assumptions,
        dollars: Dollars | None = None,
    ) -> None:
        self._tape, self._spec, self._settings, self._assumed = tape, spec, settings, assumed
        first = int(tape.times[0])
        self.state: State = new_state(spec, assumed.wallets, Millis(first))
        rules = assumed.fills, assumed.queue_lots(tape), assumed.edge, int(settings.gas_floor)
        self.paper = Paper(spec, self._purses(), *rules)
        self.dollars = dollars
        held = assumed.treasury_sol, assumed.usdc, assumed.swap_cost
        self.treasury = PaperTreasury(*held) if dollars else None
        mark, sol_usd = Ticks(max(1, int(tape.prices[0]) // FINE)), dollars.at(first) if dollars else None
        self.ledger = Ledger(spec, mark, self._base(), assumed.usdc, sol_usd)
        self.course = Course()
        self.tally = Tally()
        self.fills: list[Fill] = []
        self.journal = Journal()
        self.finish: Finish | None = None
        self._now, self._index, self._told, self._seq, self._slot = first, 0, 0, 0, 0
        self._flights = Flights(assumed, self.tally)
        self._quiet = 0, NEVER
        self._again = self._oracle_due = NEVER
        self._fresh: list[Fill] = []
        self.equity_start = self.equity()
        self._index = 1
        self.crowd = self._invited()

    def run(self, go_on: Callable[[float], bool] = lambda _: True) -> None:
        """Play on until the tape ends, the engine has halted, or ``go_on`` (given the part done) says no."""
        begin, end = int(self._tape.times[0]), self._tape.end_ms
        step = begin
        self._open()
        while self.finish is None and self._now < end:
            heard = self._again, self._oracle_due
            due = min(step, end, *heard, self._flights.due(end), self._crowd_due())
            if self._play_until(due):
                continue
            self._now = due
            if self.crowd is not None and self.crowd.due <= due:
                self.crowd.act(due)
            if self._flights.due(NEVER) <= due:
                self._land(self._flights.pop())
            if self._oracle_due <= due:
                self._oracle_due = NEVER
                self._hear_oracle()
            if self._again <= due:
                self._again = NEVER
                self._read()
            if step <= due:
                step += self._assumed.step_ms
                self._look()
                if not go_on((self._now - begin) / max(1, end - begin)):
                    return

    def equity(self) -> int:
        """Return what we own in lamports, base at the ledger's mark, USDC at its price of a SOL."""
        base = int(self._base()) * int(self.ledger.mark) * self._spec.quote_lot_size
        return self.holdings() + base + int(self.ledger.dollars())

    def holdings(self) -> int:
        """Return all our SOL in lamports."""
        held = int(self.treasury.sol) if self.treasury else 0
        return held + sum(purse.gas + purse.quote for purse in self.paper.purses)

    def _invited(self) -> PaperCrowd | None:
        """Return the people beyond the path, where some are assumed."""
        if not (self._assumed.takers_per_day or self._assumed.arbitrageurs):
            return None
        floor = PaperFloor(self.paper, self._tape, self._quoted)
        return PaperCrowd(floor, self._assumed, self._now, self._taken)

    def _base(self) -> BaseLots:
        return BaseLots(sum(purse.base for purse in self.paper.purses))

    def _purses(self) -> list[Purse]:
        assumed, count = self._assumed, self._assumed.wallets
        price = max(1, int(self._tape.prices[0]) // FINE)
        base = int(assumed.tokens_worth) // (price * self._spec.quote_lot_size)
        gas = int(self._settings.gas_floor) + int(assumed.gas)
        return [Purse(gas, int(assumed.sol) // count, base // count) for _ in range(count)]

    def _play_until(self, due: int) -> bool:
        """Play the prints up to ``due``; stop after one that the engine hears of at once and return True."""
        tape = self._tape
        stop = int(tape.times.searchsorted(due, side="right"))
        while self._index < stop:
            low, high = self.paper.reach()
            hit = tape.next_beyond(self._index, stop, max(low, self._quiet[0]), min(high, self._quiet[1]))
            self._index = min(stop, hit + 1)
            if hit == stop:
                return False
            at, price = int(tape.times[hit]), int(tape.prices[hit])
            fills = self._met(price, int(tape.sizes[hit]), at)
            if fills or not self._quiet[0] < price < self._quiet[1]:
                self._now = max(self._now, at)
                self._book_fills(fills)
                return True
        return False

    def _crowd_due(self) -> int:
        return NEVER if self.crowd is None else max(self._now, self.crowd.due)

    def _taken(self, limit: int, lots: int) -> None:
        """Let a taker of the crowd have what stands within its limit (ticks)."""
        now = Millis(self._now)
        self._book_fills(self.paper.meet(limit * FINE, lots, now, self._seq + 1, "touch"))

    def _picked_off(self) -> list[Fill]:
        """Return what fills of orders that have come to stand beyond the path's price, which still holds.

        Beside others there is none: the program drops what would take.
        """
        if self._tape.kind != "bars" or not self._assumed.sole_maker:
            return []
        return self._met(self._price(), 0, self._now)

    def _met(self, price: int, size: int, at: int) -> list[Fill]:
        """Return what a print fills; nothing where that is left to arbitrageurs."""
        if self._assumed.arbitrageurs:
            return []
        return self.paper.meet(price, size, Millis(at), self._seq + 1)

    def _book_fills(self, fills: Sequence[Fill]) -> None:
        self._seq += len(fills)
        self._fresh += fills
        self.fills += fills
        for fill in fills:
            self.tally.volume += int(notional(fill.price, fill.size, self._spec.quote_lot_size))
        self._read()

    def _open(self) -> None:
        """Let the engine see its wallets and the first price, and a first trade where it is alone."""
        self.paper.changed.update(range(self._assumed.wallets))
        self._hear_oracle()
        self._show_treasury()
        self._read(TableView("backtest", tuple(range(self._assumed.wallets)), 0))

    def _look(self) -> None:
        """Read the market, and note where we are; the oracle is heard when it can be acted upon."""
        self._read()
        sol_usd = int(self.dollars.at(self._now)) if self.dollars else 0
        if self.dollars is not None:
            self._oracle_due = self._now + int(PRICE_EVERY_MS)
        held = self.holdings(), int(self._base()), int(self.ledger.usdc), sol_usd
        self.course.note(self._now, self._price(), self.paper, *held)

    def _hear_oracle(self) -> None:
        """Tell the engine what a SOL costs, where that is known."""
        if self.dollars is not None:
            now, price = Millis(self._now), self.dollars.at(self._now)
            self.ledger.record_dollar_mark(now, price)
            self._decide(OracleSeen(at=now, sol_usd=price))

    def _show_treasury(self) -> None:
        if self.treasury is not None:
            held = self.treasury.sol, self.treasury.usdc
            self._decide(TreasurySeen(at=Millis(self._now), sol=held[0], usdc=held[1], acts=True))

    def _read(self, table: TableView | None = None) -> None:
        """Tell the engine what a reading of the chain would show now."""
        fills, self._fresh = tuple(self._fresh), []
        price, away = self._price(), int(self._assumed.look_at)
        self._quiet = price * (BPS - away) // BPS, -(-price * (BPS + away) // BPS)
        trades = self._trades(fills)
        changed, self.paper.changed = sorted(self.paper.changed), set()
        mark = Trade(0, Millis(self._now), Ticks(max(1, self._price() // FINE)), BaseLots(1), Side.BID, False)
        self.ledger.record_market(Millis(self._now), (mark,), fills)
        self._decide(
            MarketSeen(
                at=Millis(self._now),
                slot=self._next_slot(),
                book=self._foreign(),
                wallets=tuple(self.paper.view(wallet) for wallet in changed),
                trades=trades,
                fills=fills,
                tables=(table,) if table else None,
            )
        )

    def _trades(self, fills: Sequence[Fill]) -> tuple[Trade, ...]:
        """Return what traded since the last reading: the tape's prints where they have sizes, and ours."""
        start, self._told = self._told, self._index
        own = [Trade(fill.seq, fill.at, fill.price, fill.size, fill.side.opposite, True) for fill in fills]
        if self._tape.kind == "bars" or self._assumed.sole_maker:
            return tuple(own)
        prices, sizes = self._tape.prices[start : self._index] // FINE, self._tape.sizes[start : self._index]
        times = self._tape.times[start : self._index]
        ours = sum(int(fill.size) for fill in fills)
        others: list[Trade] = []
        for number, (at, price, size) in enumerate(
            zip(times.tolist(), prices.tolist(), sizes.tolist(), strict=True), start=start
        ):
            others.append(Trade(number, Millis(at), Ticks(max(1, price)), BaseLots(size), Side.BID, False))
        if ours and others:
            # The last print is the one that met us: what it traded with us is told as ours.
            left = int(others[-1].size) - ours
            last = others.pop()
            if left > 0:
                others.append(Trade(last.seq, last.at, last.price, BaseLots(left), last.taker_side, False))
        return (*others, *own)

    def _decide(self, event: AnyEvent) -> None:
        self.state, approved = decide(self.state, event, self._settings)
        changes: list[Execute] = []
        for action in approved.actions:
            self.journal.action(action)
            if isinstance(action, Execute):
                changes.append(action)
            elif isinstance(action, TreasuryAction):
                self._flights.send_errand(action, self._now)
            elif isinstance(action, Report):
                self._hear(action)
            elif isinstance(action, Finish):
                self.finish = action
        if changes:
            self._flights.send(changes, self._now)

    def _hear(self, report: Report) -> None:
        if report.name == "GRID_REBUILD":
            self.tally.rebuilds += 1
        elif report.name not in ORDINARY:
            self.tally.incidents[report.name] += 1

    def _land(self, flight: Flight) -> None:
        """Carry out what has landed; the engine hears of the outcome, then of what it changed."""
        tickets = tuple(change.ticket for change in flight.changes)
        if flight.lost:
            self._resolved(tickets, Outcome.EXPIRED, BundleCost())
            self._again = min(self._again, self._now + RESYNC_MS)
            return
        bid, ask = self._quoted()
        failed: list[int] = []
        brought = Lamports(0), MicroUsd(0)
        for change in flight.changes:
            try:
                if isinstance(change, Execute):
                    self.paper.execute(change, bid, ask)
                else:
                    brought = self._carry_out(change)
            except ChangeFailed:
                failed.append(change.ticket)
        landed = tuple(ticket for ticket in tickets if ticket not in failed)
        self._pay(flight)
        if landed:
            self._resolved(landed, Outcome.LANDED, flight.cost)
        if failed:
            self._resolved(tuple(failed), Outcome.FAILED, BundleCost())
        if not isinstance(flight.changes[0], Execute):
            self._told_errand(flight.changes[0], brought)
        self._book_fills(self._picked_off())

    def _carry_out(self, action: TreasuryAction) -> tuple[Lamports, MicroUsd]:
        assert self.treasury is not None
        assert self.dollars is not None
        return self.treasury.carry_out(action, self.paper, self.dollars.at(self._now), self._settings)

    def _told_errand(self, action: TreasuryAction, brought: tuple[Lamports, MicroUsd]) -> None:
        """Tell the engine what a conversion brought, and what the treasury holds by now."""
        now, (sol, usdc) = Millis(self._now), brought
        if isinstance(action, Convert) and usdc:
            self.ledger.record_conversion(now, action.ticket, sol, usdc)
            self._decide(Converted(at=now, ticket=action.ticket, sol=sol, usdc=usdc))
        self._show_treasury()

    def _pay(self, flight: Flight) -> None:
        cost, payer = flight.cost, flight.changes[0]
        if isinstance(payer, Execute | Collect):
            self.paper.pay(payer.wallet, int(cost.fees + cost.tip))
        elif self.treasury is not None:
            self.treasury.sol -= cost.fees + cost.tip
        self.ledger.record_bundle(Millis(self._now), f"bundle {flight.number}", cost)
        self.tally.tips += int(cost.tip)
        self.tally.fees += int(cost.fees)

    def _resolved(self, tickets: tuple[int, ...], outcome: Outcome, cost: BundleCost) -> None:
        self._decide(
            BundleResolved(
                at=Millis(self._now),
                bundle_id=f"backtest-{tickets[0]}",
                tickets=tickets,
                outcome=outcome,
                slot=self._next_slot(),
                cost=cost,
                reason="" if outcome is Outcome.LANDED else "lost on the way",
            )
        )

    def _foreign(self) -> ForeignBook:
        bid, ask = self._quoted()
        if bid is None or ask is None:
            return ForeignBook()
        return ForeignBook(Ticks(bid), Ticks(ask), Ticks(bid), Ticks(ask), 1, 1)

    def _quoted(self) -> tuple[int | None, int | None]:
        """Return what others quote around the last print, in ticks; nothing where we are the sole maker."""
        if self._assumed.sole_maker:
            return None, None
        price, half = self._price(), int(self._assumed.others_spread) // 2
        bid = price * (BPS - half) // (BPS * FINE)
        ask = -(-price * (BPS + half) // (BPS * FINE))
        return max(1, bid), max(bid + 1, ask)

    def _price(self) -> int:
        """Return the last print's price in fine ticks."""
        return int(self._tape.prices[self._index - 1])

    def _next_slot(self) -> Slot:
        """Return the slot of something new: never one that a reading has already shown."""
        self._slot = max(self._slot + 1, self._now // SLOT_MS)
        return Slot(self._slot)
