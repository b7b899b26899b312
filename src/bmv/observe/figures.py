"""How figures are told: amounts as decimal strings without exponent, statistics rounded."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, SupportsInt

from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD

DIGITS = 6


class Crossed(NamedTuple):
    """A price in dollars and in euros, to as many digits as anybody reads; None where it is not known."""

    usd: str | None = None
    eur: str | None = None


def sol(lamports: SupportsInt) -> str:
    """Return lamports as SOL."""
    return f"{Decimal(int(lamports)) / LAMPORTS_PER_SOL:f}"


def usd(micros: SupportsInt) -> str:
    """Return millionths of a dollar as dollars."""
    return f"{Decimal(int(micros)) / MICROS_PER_USD:f}"


def crossed(price_sol: Decimal, sol_usd: SupportsInt | None, eur_usd: SupportsInt | None) -> Crossed:
    """Return a price in SOL in dollars and euros; what they cost is given in millionths of a dollar."""
    if sol_usd is None:
        return Crossed()
    dollars = price_sol * int(sol_usd) / MICROS_PER_USD
    euros = None if eur_usd is None else dollars * MICROS_PER_USD / int(eur_usd)
    return Crossed(_shown(dollars), None if euros is None else _shown(euros))


def _shown(value: Decimal) -> str:
    return f"{Decimal(f'{value:.{DIGITS}g}'):f}"


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
