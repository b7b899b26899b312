"""The worked numbers of docs/strategy.md, recomputed by the functions they describe."""

import re
from decimal import Decimal
from pathlib import Path

from bmv.config import DAY_MS, HOUR_MS, Settings, load
from bmv.core.channel import Inertia, channel, following
from bmv.core.decay import FINE
from bmv.core.pivot import PivotWindow, Seed, SolFade
from bmv.core.price import PriceReading, PriceTracker
from bmv.model import ForeignBook, Side, Trade
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Millis, Ticks

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "strategy.md").read_text(encoding="utf-8")
PPM = Decimal("0.000001")


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table that begins with ``header``."""
    found = re.search(rf"^{re.escape(header)}.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, header
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def ticks(price: str) -> int:
    """Return a price as ticks of a millionth of a SOL."""
    return int(Decimal(price) * 10**6)


def sol(fine: int) -> Decimal:
    return (Decimal(fine) / FINE / 10**6).quantize(PPM)


def read(tracker: PriceTracker, now: int, walk: int = 0) -> PriceReading:
    found = tracker.reading(Millis(now), ForeignBook(), Settings(), walk=walk, pivot_fine=None)
    assert found is not None
    return found


def test_the_price_table_is_what_the_tracker_reads() -> None:
    for last, traded, vwap, weight, price, source in rows("| last | traded, SOL |"):
        # Lots so small that the notional is what the table says: a quote lot is a lamport.
        tracker, paid = PriceTracker(1, ticks(last) * FINE), int(Decimal(traded) * LAMPORTS_PER_SOL)
        size = BaseLots(-(-paid // ticks(vwap)))
        tracker.on_trades([Trade(0, Millis(0), Ticks(ticks(vwap)), size, Side.BID, own=False)])
        reading = read(tracker, 0)
        assert min(Decimal(1), Decimal(paid) / int(Settings().ref_notional)) == Decimal(weight)
        assert (sol(reading.price_fine), reading.source) == (Decimal(price), source)
        assert reading.confirmed


def test_the_walk_table_is_where_the_price_walks() -> None:
    table = {Decimal(hours) * 60: Decimal(price) for hours, price in rows("| hours | P |")}
    tracker = PriceTracker(1_000, 20_000 * FINE)
    for minute in range(24 * 60 + 1):
        price = sol(read(tracker, minute * 60_000, walk=-1).price_fine)
        assert table.pop(Decimal(minute), price) == price
    assert not table


def test_the_table_of_f_is_its_inertia() -> None:
    for hours, average in rows("| hours | F |"):
        inertia = Inertia()
        inertia.step(20_000 * FINE, Millis(0), Settings().channel_inertia)
        inertia.step(30_000 * FINE, Millis(0), Settings().channel_inertia)
        now = Millis(int(hours) * HOUR_MS)
        assert sol(inertia.step(30_000 * FINE, now, Settings().channel_inertia)) == Decimal(average)


def test_the_hole_after_a_rise_is_as_deep_as_told() -> None:
    inertia, was, now = Inertia(), 20_000 * FINE, 40_000 * FINE
    inertia.step(was, Millis(0), Settings().channel_inertia)
    inertia.step(now, Millis(0), Settings().channel_inertia)
    average = inertia.step(now, Millis(48 * HOUR_MS), Settings().channel_inertia)
    assert "the BUY zone ends 12.5 % below P" in TEXT
    assert following(now, average, was, Settings()).buy_high == now * 875 // 1_000


def test_the_table_of_zones_is_the_channel() -> None:
    for mode, *prices, closed in rows("| mode | Pivot | F | P |"):
        pivot, f, p = (ticks(price) * FINE for price in prices[:3])
        zones = channel(p, f, pivot, load(environ={"BMV_CHANNEL_MODE": mode}))
        assert zones is not None
        shown = [zones.anchor, zones.buy_low, zones.buy_high, zones.sell_low, zones.sell_high]
        assert [sol(border) for border in shown] == [Decimal(price) for price in prices[3:]]
        names = [side.name for side in zones.closed_sides(p, ForeignBook())]
        assert (", ".join(names) or "none") == closed


def test_the_pivot_table_is_what_the_three_modes_give() -> None:
    # Ticks of a millionth of a SOL, lots of a token.
    window, started = Millis(365 * DAY_MS), 10**12
    seed, fade = Seed(20_000 * FINE, 1_000), SolFade(3 * 10**6 * FINE * 10**6, window)
    table = rows("| age in days |")
    assert len(table) == 6
    for days, k, left, *pivots in table:
        now = started + int(Decimal(days) * DAY_MS)
        tape = PivotWindow(Millis(started))
        for price, size in ((25_000, 50_000), (35_000, 50_000)):
            tape.add(Trade(0, Millis(now), Ticks(price), BaseLots(size), Side.BID, own=False))
        age = Decimal(days) / 365
        shown = [(1 - age).quantize(PPM), Decimal(365_000 * (1 - age)).quantize(Decimal(1))]
        values = []
        for prior in (seed, fade, Seed()):
            value = tape.value_fine(Millis(now), window, prior, (150 * 10**6, 1))
            assert value is not None
            values.append(sol(value))
        expected = [*shown, values[0], age.quantize(PPM), *values[1:]]
        assert [Decimal(cell) for cell in (k, left, *pivots)] == expected
