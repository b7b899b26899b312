"""What a move of the price by one per cent costs: a hundred levels, and everything that is sent for it."""

from decimal import Decimal

from bmv.config import DAY_MS
from bmv.events import AnyAction, Report
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.sandbox.prices import PricePath
from bmv.services.outcomes import Sent
from bmv.units import Millis
from tests.services.living_world import START_MS, living, settings_with, virtually

MINUTE_MS = 60_000
MOVES = {6: "1.015", 12: "1.015", 18: "0.982", 24: "0.982"}
"""By which factor the reference moves, in which minute; P goes part of the way."""
MINUTES = 30
LEVELS = 144
"""A zone uses every lattice point, every second one, ...: so many make a ladder of a good hundred."""
AFTERWARDS_MS = 3 * MINUTE_MS
QUOTERS_ALONE = CrowdOptions(quoters=3, dusters=0, walls=0, takers=0, arrivals_per_day=0, arbitrageurs=0)


def steps() -> PricePath:
    """Return a price that stands, but for its moves."""
    times, prices, price = [], [], Decimal("0.012")
    for minute in range(MINUTES + 1):
        price *= Decimal(MOVES.get(minute, "1"))
        times.append(START_MS + minute * MINUTE_MS)
        prices.append(price)
    return PricePath("steps", tuple(times), tuple(prices), MINUTE_MS)


def test_a_move_of_one_per_cent_on_a_hundred_levels_costs_at_most_two_bundles() -> None:
    sent_at, moved_at, placed = list[int](), list[int](), list[int]()

    async def scenario(clock: LoopClock) -> None:
        settings = settings_with(grid_levels=LEVELS, idle_interval=Millis(DAY_MS))
        async with living(clock, settings=settings, wallets=5, path=steps(), crowd=QUOTERS_ALONE) as it:
            record, dispatcher = it.assembly.engine.record, it.assembly.dispatcher
            did, sending = record.did, dispatcher._on_sending

            def noting(action: AnyAction, at: Millis) -> None:
                if isinstance(action, Report) and action.name == "GRID_REBUILD":
                    placed.append(int(action.fields["placed"]))
                    if action.fields["trigger"] == "threshold":
                        moved_at.append(int(clock.now()))
                did(action, at)

            def counting(sent: Sent) -> None:
                sent_at.append(int(clock.now()))
                sending(sent)

            record.did = noting  # type: ignore[method-assign]
            dispatcher._on_sending = counting
            assert await it.run_engine(MINUTES * 60 - 30)
            assert record.bundles["sent"] == record.bundles["landed"]

    virtually(scenario)
    assert placed[0] >= 100, placed
    assert len(moved_at) == len(MOVES), "every move is a rebuild"
    for moment in moved_at:
        bundles = sum(moment <= at < moment + AFTERWARDS_MS for at in sent_at)
        assert 1 <= bundles <= 2, (placed, moved_at)
