"""What the page tells of money and of quality."""

from bmv.core.ledger import PROFIT
from bmv.core.markouts import HORIZONS_S
from bmv.core.state import State
from bmv.model import DEPTH_BANDS, Side
from bmv.observe.figures import sol, usd
from bmv.observe.view import (
    BandView,
    BundleView,
    MarkoutView,
    PartView,
    PresenceView,
    TreasuryView,
)
from bmv.services.economics import Economics
from bmv.services.record import Record


def bands(economics: Economics) -> tuple[BandView, ...]:
    """Return the depth within each band now."""
    now = economics.now
    if now is None:
        return ()
    return tuple(
        BandView(
            pct=f"{band / 100:g}",
            bid_own=sol(now.own[Side.BID][number]),
            bid_all=sol(now.all[Side.BID][number]),
            ask_own=sol(now.own[Side.ASK][number]),
            ask_all=sol(now.all[Side.ASK][number]),
        )
        for number, band in enumerate(DEPTH_BANDS)
    )


def presence(economics: Economics, state: State) -> PresenceView:
    """Return how the sides were quoted since the start, and what stands near P now."""
    shares = {side: economics.uptime[side].mean(state.now) for side in Side}
    spread, now = economics.spread_bps.mean(state.now), economics.now
    return PresenceView(
        bid_pct=_percent(shares[Side.BID]),
        ask_pct=_percent(shares[Side.ASK]),
        both_pct=_percent(economics.both.mean(state.now)),
        bid_sol=None if now is None else sol(now.present[Side.BID]),
        ask_sol=None if now is None else sol(now.present[Side.ASK]),
        spread_pct=None if spread is None else f"{spread / 100:.3f}",
    )


def markouts(economics: Economics) -> tuple[MarkoutView, ...]:
    """Return what fills were worth later, for each horizon."""
    sums = economics.markouts.sums
    told = []
    for seconds in HORIZONS_S:
        bid, ask = sums[Side.BID, seconds], sums[Side.ASK, seconds]
        row = MarkoutView(
            seconds=seconds,
            bid_fills=bid.fills,
            bid_bps=_bps(bid.bps()),
            ask_fills=ask.fills,
            ask_bps=_bps(ask.bps()),
        )
        told.append(row)
    return tuple(told)


def parts(record: Record) -> tuple[PartView, ...]:
    """Return profit and loss by cause; nothing before the books are open."""
    totals = record.ledger.totals() if record.ledger else {}
    return tuple(PartView(name=part.value, sol=sol(totals[part])) for part in PROFIT if totals)


def treasury(state: State, record: Record) -> TreasuryView | None:
    """Return what the treasury holds; None where there is none."""
    held = record.treasury
    if not (held.acts or held.sol or held.usdc):
        return None
    price = state.oracle.sol_usd
    return TreasuryView(
        sol=sol(held.sol + held.kept),
        usdc=usd(held.usdc),
        sol_usd=None if price is None else usd(price),
        seen_at=int(state.oracle.seen_at),
        firm=state.oracle.firm,
    )


def bundles(record: Record) -> tuple[BundleView, ...]:
    """Return the newest bundles first."""
    return tuple(
        BundleView(
            at=int(event.at),
            id=event.bundle_id,
            outcome=event.outcome.value,
            slot=int(event.slot),
            cost_sol=sol(event.cost.tip + event.cost.fees),
            reason=event.reason,
        )
        for event in record.recent_bundles
    )


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.2f}"


def _bps(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"
