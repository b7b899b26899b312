"""The worked numbers of docs/strategy.md, recomputed by the functions they describe."""

import re
from decimal import Decimal
from pathlib import Path

from bmv.config import DAY_MS
from bmv.core.decay import FINE
from bmv.core.pivot import PivotWindow, Seed, SolFade
from bmv.model import Side, Trade
from bmv.units import BaseLots, Millis, Ticks

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "strategy.md").read_text(encoding="utf-8")
PPM = Decimal("0.000001")


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table that begins with ``header``."""
    found = re.search(rf"^{re.escape(header)}.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, header
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


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
            values.append((Decimal(value) / FINE / 10**6).quantize(PPM))
        expected = [*shown, values[0], age.quantize(PPM), *values[1:]]
        assert [Decimal(cell) for cell in (k, left, *pivots)] == expected
