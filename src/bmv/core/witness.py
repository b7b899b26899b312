"""Balances against fills: what a wallet's accounts gained must be what its fills say, to the atom.

Totals (token account, free, locked and waiting for the crank together) change by fills alone: placing,
cancelling, cranking and settling only move funds about. What a reading shows beyond its fills is added up per
wallet and told once nothing is left that could still explain it: a gap in the event queue that is being read
back, or a reading whose accounts are of several slots. While a change of another kind is in flight (opening
accounts, conversions, transfers) nothing is added, since that moves funds in and out on purpose; nor for a
wallet whose plain balances somebody has changed from outside (``transfers.py``).
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bmv.events import Action, AnyAction, EventsFound, Execute, MarketSeen, Report
from bmv.model import Fill, MarketSpec, Placement, Side, WalletIndex, WalletView
from bmv.units import BaseLots, notional

Totals = tuple[int, int]
"""Base atoms and lamports."""


class InFlight(Protocol):
    """What is needed of a change in flight."""

    action: Action
    wallet: WalletIndex | None
    arrived: set[int]


@dataclass(slots=True)
class Witness:
    """What balances show and fills do not, per wallet; ``gaps`` counts gaps still being read back."""

    unexplained: dict[WalletIndex, Totals] = field(default_factory=dict)
    gaps: int = 0


def on_reading(
    witness: Witness,
    event: MarketSeen,
    views: Mapping[WalletIndex, WalletView],
    spec: MarketSpec,
    *,
    moving: bool,
    outside: Container[WalletIndex] = (),
) -> list[AnyAction]:
    """Compare a reading with ``views``, those before it; ``moving``: something else moves funds as well.

    ``outside`` are wallets whose plain balances somebody else has changed, and nothing beside that.
    """
    witness.gaps += bool(event.events_missed)
    if not moving:
        for view in event.wallets:
            before = views.get(view.wallet)
            if before is not None and view.wallet not in outside:
                _add(witness, view.wallet, _gain(before, view), 1)
        _explain(witness, event.fills, spec)
    return [] if event.torn else _told(witness)


def on_found(witness: Witness, event: EventsFound, spec: MarketSpec) -> list[AnyAction]:
    """Count what was read back of a gap."""
    witness.gaps = max(0, witness.gaps - 1)
    _explain(witness, event.fills, spec)
    return _told(witness)


def short_orders(flights: Iterable[InFlight], event: MarketSeen) -> list[tuple[Placement, BaseLots]]:
    """Return the placements that came to stand smaller than asked for, with the size that stands.

    The program posts what a placement's funds cover and says nothing; what is filled at once counts as well.
    """
    views = {view.wallet: view for view in event.wallets}
    short = []
    for flight in flights:
        if not isinstance(flight.action, Execute) or flight.wallet not in views:
            continue
        leaving = {cancel.order_id for cancel in flight.action.cancels}
        standing = {
            (order.client_id, order.side, order.price): order
            for order in views[flight.wallet].orders
            if order.order_id not in leaving
        }
        for place in flight.action.places:
            order = standing.get((place.client_id, place.side, place.price))
            if order is None or place.client_id in flight.arrived:
                continue
            filled = sum(int(fill.size) for fill in event.fills if fill.order_id == order.order_id)
            if int(order.size) + filled < int(place.size):
                short.append((place, order.size))
    return short


def worth(fill: Fill, spec: MarketSpec) -> Totals:
    """Return what a fill adds to a wallet's totals, fee and rebate included."""
    base = int(fill.size) * spec.base_lot_size
    quote = int(notional(fill.price, fill.size, spec.quote_lot_size))
    extra = int(fill.rebate) - int(fill.fee)
    return (base, extra - quote) if fill.side is Side.BID else (-base, extra + quote)


def _gain(before: WalletView, after: WalletView) -> Totals:
    return int(after.base_total - before.base_total), int(after.quote_total - before.quote_total)


def _explain(witness: Witness, fills: Sequence[Fill], spec: MarketSpec) -> None:
    for fill in fills:
        _add(witness, fill.wallet, worth(fill, spec), -1)


def _add(witness: Witness, wallet: WalletIndex, change: Totals, sign: int) -> None:
    base, quote = witness.unexplained.get(wallet, (0, 0))
    witness.unexplained[wallet] = base + sign * change[0], quote + sign * change[1]


def _told(witness: Witness) -> list[AnyAction]:
    if witness.gaps:
        return []
    wrong = {wallet: left for wallet, left in sorted(witness.unexplained.items()) if left != (0, 0)}
    witness.unexplained.clear()
    return [
        Report("FILLS_DISAGREE", {"wallet": wallet, "base_atoms": base, "lamports": quote})
        for wallet, (base, quote) in wrong.items()
    ]
