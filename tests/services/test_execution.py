"""Landed share, latency and costs, counted by hand."""

from bmv.events import BundleResolved, Crank, Execute, Report
from bmv.model import BundleCost, Outcome, Placement, Side
from bmv.services.execution import Execution
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks


def change(ticket: int, places: int) -> Execute:
    place = Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1)
    return Execute(ticket, 0, (), (place,) * places)


def resolved(
    at: int, tickets: tuple[int, ...], outcome: Outcome, tip: int = 0, fees: int = 0
) -> BundleResolved:
    cost = BundleCost(Lamports(fees), Lamports(tip))
    return BundleResolved(
        at=Millis(at), bundle_id="b", tickets=tickets, outcome=outcome, slot=Slot(1), cost=cost
    )


def test_a_rebuild_bears_the_cost_of_its_own_bundles_and_of_no_repair() -> None:
    seen = Execution()
    seen.decided()
    for action in (Report("GRID_REBUILD", {}), change(1, 3), change(2, 2), Crank(3)):
        seen.did(action, Millis(100))
    seen.decided()
    seen.did(change(4, 1), Millis(200))
    seen.resolved(resolved(900, (1, 2), Outcome.LANDED, tip=70, fees=10))
    seen.resolved(resolved(1_000, (3,), Outcome.LANDED, tip=5, fees=5))
    seen.resolved(resolved(1_300, (4,), Outcome.LANDED, tip=30, fees=5))
    assert (seen.rebuilds, int(seen.rebuild_tips), int(seen.rebuild_fees)) == (1, 70, 10)
    assert (int(seen.tips), int(seen.fees), seen.orders_landed) == (105, 20, 6)
    assert sorted(seen.latencies_ms) == [800, 900, 1_100]
    assert (seen.latency_ms(50), seen.landed_share()) == (900, 1.0)


def test_what_does_not_land_counts_against_the_share_and_nowhere_else() -> None:
    seen = Execution()
    assert (seen.landed_share(), seen.latency_ms(95)) == (None, None)
    seen.did(change(1, 3), Millis(0))
    seen.did(change(2, 3), Millis(0))
    seen.resolved(resolved(60_000, (1,), Outcome.EXPIRED))
    seen.resolved(resolved(500, (2,), Outcome.LANDED, tip=1))
    assert (seen.landed_share(), seen.orders_landed, seen.latency_ms(95)) == (0.5, 3, 500)
