"""Figures as people read them: a price in dollars and in euros."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bmv.observe.figures import Crossed, crossed


@given(st.integers(1, 10**9), st.integers(10**6, 10**9), st.integers(500_000, 2_000_000))
def test_a_price_is_crossed_to_dollars_and_euros_within_a_millionth(
    lamports: int, sol_usd: int, eur_usd: int
) -> None:
    shown = crossed(Decimal(lamports) / 10**9, sol_usd, eur_usd)
    assert shown.usd is not None
    assert shown.eur is not None
    dollars = Fraction(lamports, 10**9) * Fraction(sol_usd, 10**6)
    assert abs(Fraction(shown.usd) / dollars - 1) < Fraction(1, 10**5)
    assert abs(Fraction(shown.eur) / (dollars / Fraction(eur_usd, 10**6)) - 1) < Fraction(1, 10**5)
    assert "e" not in (shown.usd + shown.eur).lower()


def test_what_is_not_known_is_not_made_up() -> None:
    assert crossed(Decimal(1), None, 1_080_000) == Crossed()
    assert crossed(Decimal("0.004"), 150_000_000, None) == Crossed("0.600", None)
