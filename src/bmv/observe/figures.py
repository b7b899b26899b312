"""How figures are told: amounts as decimal strings without exponent, statistics rounded."""

from collections.abc import Sequence
from decimal import Decimal
from typing import SupportsInt

from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD

DIGITS = 6


def sol(lamports: SupportsInt) -> str:
    """Return lamports as SOL."""
    return f"{Decimal(int(lamports)) / LAMPORTS_PER_SOL:f}"


def usd(micros: SupportsInt) -> str:
    """Return millionths of a dollar as dollars."""
    return f"{Decimal(int(micros)) / MICROS_PER_USD:f}"


def rounded(value: float) -> float:
    """Return a statistic with as many digits as anybody reads."""
    return round(float(value), DIGITS)


def drawdown(course: Sequence[float]) -> float:
    """Return the largest fall from a peak, as a share of it; 0 of nothing."""
    peak = deepest = 0.0
    for value in course:
        peak = max(peak, value)
        deepest = max(deepest, (peak - value) / peak if peak else 0.0)
    return deepest
