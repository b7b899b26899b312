"""Snapshots of any size for tests and benches."""

from bmv.model import MarketSpec, Side
from bmv.state.snapshot import (
    VERSION,
    Author,
    Flying,
    Prices,
    Purse,
    Snapshot,
    Standing,
    Wanted,
)
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks
from tests.core.belongings import market


def spec() -> MarketSpec:
    """Return some market."""
    return market(200, 200)


def snapshot(wallets: int = 2, orders: int = 3, fence: int = 7, phase: str = "quoting") -> Snapshot:
    """Return a snapshot with so many wallets and orders for each."""
    return Snapshot(
        version=VERSION,
        at=Millis(1_767_225_600_000),
        author=Author("0.1.0", "here", 4711, Millis(1_767_225_000_000), fence),
        spec=spec(),
        phase=phase,
        slot=Slot(1_000),
        seen=Slot(999),
        feed_up=True,
        halt_reason="",
        clean=False,
        prices=Prices(12_345_000, "trades", 12_000_000, (1, 2, 3, 4), Ticks(12_340), Ticks(12_350)),
        purses=tuple(purse(wallet, orders) for wallet in range(wallets)),
        flying=(Flying(5, "Execute", 0, Millis(1_767_225_599_000), Slot(0), 3, 4),),
        ladder=tuple(
            Wanted(wallet, Side.BID, 100 + n, Ticks(12_000 - n), BaseLots(1_000 + n))
            for wallet in range(wallets)
            for n in range(orders)
        ),
    )


def purse(wallet: int, orders: int) -> Purse:
    """Return a wallet with so many orders."""
    return Purse(
        wallet=wallet,
        address=f"wallet{wallet}",
        gas=Lamports(10**9),
        quote_held=Lamports(10**10),
        quote_free=Lamports(0),
        quote_locked=Lamports(10**9),
        base_held=BaseAtoms(10**15),
        base_free=BaseAtoms(0),
        base_locked=BaseAtoms(0),
        rent=Lamports(2 * 10**7),
        ready=True,
        aside="",
        orders=tuple(
            Standing(Side.BID, Ticks(12_000 - n), BaseLots(1_000 + n), (1 << 64) - 1 - n, n + 1)
            for n in range(orders)
        ),
    )
