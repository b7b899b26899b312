"""The Pivot in dollars, and what a rebuild tells of the Pivot (SPEC 3.2), seen through ``decide``."""

import pytest

from bmv.config import DAY_MS, Settings
from bmv.core.decay import FINE
from bmv.core.pricing import NO_SOL_USD
from bmv.events import OracleSeen
from bmv.model import Side, Trade
from bmv.units import BaseLots, Millis, Ticks, UsdPerSol
from tests.core.belongings import settings
from tests.core.desk import MINUTE, Desk, P, far, quoting


def in_dollars(**keys: object) -> Settings:
    """Return settings whose seed is P where a SOL costs 4 dollars."""
    price = {"SEED_USD_PRICE": 4 * 10 * P, "PIVOT_MODE": "sol_fade_in", "FADE_IN_DAYS": 10}
    return settings(**{"REF_NOTIONAL_SOL": "0.001", "ORDERS_PER_WALLET": 16, **price, **keys})


def told(desk: Desk, dollars: int) -> None:
    desk.happen(OracleSeen(at=Millis(desk.now), sol_usd=UsdPerSol(dollars * 10**6)))


def test_a_fading_pivot_waits_a_minute_for_the_oracle_then_refuses_to_start_with_a_reason() -> None:
    desk = Desk(in_dollars())
    desk.see(P)
    desk.wait(MINUTE - 1)
    assert (desk.state.halt_reason, desk.done) == ("", [])
    desk.wait(1)
    assert desk.state.halt_reason == NO_SOL_USD


def test_a_fading_pivot_starts_once_the_oracle_has_spoken_and_fades_into_the_trades() -> None:
    desk = Desk(in_dollars(PIVOT_MAX_DAILY_MOVE_PCT=100))
    desk.see()
    told(desk, 4)
    desk.settle_down()
    market = desk.state.market
    assert market.reading is not None
    assert (market.reading.source, market.reading.price_fine) == ("last", P * FINE)
    desk.now += 5 * DAY_MS
    told(desk, 8)
    desk.see(far(10))
    # Half faded, and five days at 4 dollars are the whole average yet.
    assert market.capped_pivot.raw_fine == (P + far(10)) * FINE // 2
    desk.now += 5 * DAY_MS
    desk.see()
    assert market.capped_pivot.raw_fine == far(10) * FINE


def test_a_rebuild_tells_the_pivot_with_and_without_its_limit_and_our_share_of_it() -> None:
    desk = quoting(settings(REF_NOTIONAL_SOL="0.001", PIVOT_MODE="pure", MAX_PRICE_JUMP_PCT=100))
    desk.seq += 1
    ours = Trade(desk.seq, Millis(desk.now), Ticks(far(40)), BaseLots(3 * 10**6), Side.BID, True)
    desk.state.market.pivot.add(ours)
    desk.now += DAY_MS
    desk.see(far(2), size=4 * 10**6)
    (told,) = [report.fields for report in desk.reports if report.name == "GRID_REBUILD"]
    assert told["pivot_raw_fine"] == (P + 3 * far(40) + 4 * far(2)) * FINE // 8
    assert told["pivot_fine"] == pytest.approx(P * FINE * 1.05, rel=1e-6)
    assert told["own_share_bps"] == 10_000 * 3 // 8
