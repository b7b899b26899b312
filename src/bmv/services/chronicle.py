"""Events, actions and beliefs -> rows of history.

It keeps what it needs to tell one row from the next (which orders stand, what was filled of them, which hour
it is) and computes nothing the strategy uses. Same events in, same rows out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from bmv.core.state import State
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Collect,
    EventsFound,
    Execute,
    Fund,
    MarketSeen,
    OracleSeen,
    Report,
    WalletDuty,
)
from bmv.model import Fill, LiveOrder, Side, WalletIndex, WalletView
from bmv.services.outcomes import Sent
from bmv.state.rows import (
    BalanceRow,
    Batch,
    BundleEnd,
    BundleSent,
    EventRow,
    FillRow,
    OrderEnd,
    OrderRow,
    SolUsdRow,
)
from bmv.state.statements import HOUR_MS
from bmv.units import Lamports, Millis, Ticks

TREASURY = "treasury"
MOST_LEVELS = 20_000
"""Of how many placements the level is remembered until they are seen."""


class Chronicle:
    """Tell what each decision adds to the history.

    ``wallets`` are the operator wallets' addresses in their order at first, ``run`` is when this run began;
    ``standing`` and ``filled`` (lots by order id) are what the history knew before it.
    """

    def __init__(
        self,
        wallets: Sequence[str],
        run: Millis,
        standing: Iterable[OrderRow] = (),
        filled: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._wallets, self._run = list(wallets), int(run)
        self._standing = {order.order_id: order for order in standing}
        self._filled = Counter(filled)
        self._cancelled: set[int] = set()
        self._levels: dict[tuple[WalletIndex, Side, Ticks], int] = {}
        self._number = 0
        self._hour = self._dollar_hour = -1
        self._has_begun = False

    def told(self, event: AnyEvent, actions: Iterable[AnyAction], state: State) -> Batch:
        """Return the rows of one decision; ``state`` is the belief after it."""
        batch = Batch()
        if isinstance(event, WalletDuty) and event.wallet == len(self._wallets):
            self._wallets.append(event.owner)
        if isinstance(event, MarketSeen | EventsFound):
            batch.trades.extend(event.trades)
            for fill in event.fills:
                self._fill(fill, event.at, batch)
        if isinstance(event, MarketSeen):
            if not self._has_begun:
                self._has_begun, batch.live_from = True, event.mark
            for view in event.wallets:
                self._orders(view, event.at, batch)
        elif isinstance(event, BundleResolved):
            batch.resolved.append(bundle_end(event))
        elif isinstance(event, OracleSeen) and (hour := int(event.at) // HOUR_MS) > self._dollar_hour:
            self._dollar_hour = hour
            batch.sol_usd.append(SolUsdRow(hour, int(event.sol_usd)))
        for action in actions:
            if isinstance(action, Execute):
                self._cancelled.update(cancel.order_id for cancel in action.cancels)
                self._asked_for(action, state)
            for name, fields in told_of(action):
                self._number += 1
                batch.events.append(EventRow(self._run, self._number, int(event.at), name, fields))
        self._balances(event.at, state, batch)
        return batch

    def sending(self, sent: Sent) -> Batch:
        """Return the row of a bundle that is about to be sent."""
        row = BundleSent(
            bundle_id=sent.bundle_id,
            sent_at=int(sent.sent_at),
            tickets=list(sent.tickets),
            signatures=list(sent.signatures),
            last_valid=int(sent.last_valid),
            tip=int(sent.cost.tip),
            fees=int(sent.cost.fees),
        )
        return Batch(sent=[row])

    def _fill(self, fill: Fill, at: Millis, batch: Batch) -> None:
        """Tell a fill; the history makes an order of it where nobody has seen one stand."""
        wallet = self._wallets[fill.wallet]
        self._filled[fill.order_id] += int(fill.size)
        batch.fills.append(fill_row(fill, wallet, at))
        if fill.order_id not in self._standing:
            order = LiveOrder(fill.wallet, fill.side, fill.price, fill.size, fill.order_id, fill.client_id)
            row = self._row(order, wallet, fill.at, 0)
            self._standing[fill.order_id] = row
            # Fills tell the history of such an order, but not of its level.
            batch.orders += [row] if row.level is not None else []

    def _asked_for(self, action: Execute, state: State) -> None:
        """Remember on which level of the ladder each placement is."""
        if not action.places:
            return
        ranks = {(q.wallet, q.side, q.price): q.why.rank for q in state.target.quotes if q.why is not None}
        for place in action.places:
            key = place.wallet, place.side, place.price
            if key in ranks:
                self._levels.pop(key, None)
                self._levels[key] = ranks[key]
        while len(self._levels) > MOST_LEVELS:
            del self._levels[next(iter(self._levels))]

    def _row(self, order: LiveOrder, wallet: str, at: Millis, filled: int) -> OrderRow:
        """Return the row of an order, of which ``filled`` lots are gone already."""
        return OrderRow(
            order_id=order.order_id,
            wallet=wallet,
            side=int(order.side),
            price=int(order.price),
            size=int(order.size) + filled,
            client_id=order.client_id,
            seen_at=int(at),
            level=self._levels.get((order.wallet, order.side, order.price)),
        )

    def _orders(self, view: WalletView, at: Millis, batch: Batch) -> None:
        """Tell which orders of a wallet have come and which have gone."""
        wallet = self._wallets[view.wallet]
        now = {order.order_id: order for order in view.orders}
        for order_id, order in now.items():
            known = self._standing.get(order_id)
            # One that is known by its fills alone was larger than they are.
            if known is None or known.size < int(order.size) + self._filled.get(order_id, 0):
                row = self._row(order, wallet, at, self._filled[order_id])
                self._standing[order_id] = row
                batch.orders.append(row)
        gone = [row for row in self._standing.values() if row.wallet == wallet and row.order_id not in now]
        for row in gone:
            batch.ends.append(self._end(row, at))

    def _end(self, row: OrderRow, at: Millis) -> OrderEnd:
        del self._standing[row.order_id]
        filled = self._filled.pop(row.order_id, 0)
        if filled >= row.size:
            ending = "filled"
        else:
            ending = "cancelled" if row.order_id in self._cancelled else "gone"
        self._cancelled.discard(row.order_id)
        return OrderEnd(row.order_id, int(at), ending, filled)

    def _balances(self, at: Millis, state: State, batch: Batch) -> None:
        hour = int(at) // HOUR_MS
        if hour <= self._hour or len(state.views) < state.wallet_count:
            return
        self._hour = hour
        for wallet, view in sorted(state.views.items()):
            batch.balances.append(_balance(hour, self._wallets[wallet], view))
        sol, usdc = int(state.treasury.sol), int(state.treasury.usdc)
        batch.balances.append(BalanceRow(hour, TREASURY, sol, 0, 0, 0, 0, 0, 0, 0, usdc))


def told_of(action: AnyAction) -> list[tuple[str, dict[str, str | int]]]:
    """Return what of an action is kept as events: name and fields."""
    if isinstance(action, Report):
        return [(action.name, action.fields)]
    if isinstance(action, Fund):
        return [
            ("TRANSFER", _transfer(action.ticket, TREASURY, share.wallet, share.lamports))
            for share in action.shares
        ]
    if isinstance(action, Collect):
        return [("TRANSFER", _transfer(action.ticket, action.wallet, TREASURY, action.lamports))]
    return []


def _transfer(
    ticket: int, source: WalletIndex | str, target: WalletIndex | str, lamports: Lamports
) -> dict[str, str | int]:
    return {"ticket": ticket, "source": str(source), "target": str(target), "lamports": int(lamports)}


def fill_row(fill: Fill, wallet: str, seen_at: Millis) -> FillRow:
    """Return the row of a fill; ``wallet`` is the address of the one it belongs to."""
    return FillRow(
        seq=fill.seq,
        at=int(fill.at),
        seen_at=int(seen_at),
        wallet=wallet,
        side=int(fill.side),
        price=int(fill.price),
        size=int(fill.size),
        maker=fill.maker,
        rebate=int(fill.rebate),
        fee=int(fill.fee),
        order_id=fill.order_id,
        client_id=fill.client_id,
        counterparty=fill.counterparty,
        self_trade=fill.self_trade,
    )


def bundle_end(event: BundleResolved) -> BundleEnd:
    """Return the row of a bundle's outcome."""
    return BundleEnd(
        bundle_id=event.bundle_id,
        ended_at=int(event.at),
        outcome=event.outcome.value,
        slot=int(event.slot),
        reason=event.reason,
        tip=int(event.cost.tip),
        fees=int(event.cost.fees),
    )


def _balance(hour: int, wallet: str, view: WalletView) -> BalanceRow:
    return BalanceRow(
        hour=hour,
        wallet=wallet,
        gas=int(view.gas),
        quote_held=int(view.quote_held),
        quote_free=int(view.quote_free),
        quote_locked=int(view.quote_locked),
        base_held=int(view.base_held),
        base_free=int(view.base_free),
        base_locked=int(view.base_locked),
        rent=int(view.rent),
        usdc=0,
    )
