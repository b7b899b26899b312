"""Values each of which is allowed but which cannot be meant together."""

from collections.abc import Iterator

from bmv.config.settings import Settings, said
from bmv.units import Bps

TIPS_IN_THE_GAS_FLOOR = 20
"""A wallet starts with at least this many of the largest tips, or it could soon not pay for its cancels."""
ALL = Bps(10_000)
_ORDERED = (
    ("MIN_SPREAD_PCT", "INSIDE_SPREAD_PCT"),
    ("MIN_BASE_SHARE_PCT", "MAX_BASE_SHARE_PCT"),
    ("STALE_AFTER", "STALE_WITHDRAW_AFTER"),
    ("JITO_TIP_AMOUNT_SOL", "SIGNER_MAX_TIP_SOL"),
    ("MAX_SLIPPAGE_BPS", "SIGNER_MAX_SLIPPAGE_BPS"),
    ("DRAWDOWN_WIDEN_PCT", "DRAWDOWN_ONE_SIDE_PCT"),
    ("DRAWDOWN_ONE_SIDE_PCT", "DRAWDOWN_HALT_PCT"),
)
_TOGETHER = (("SEED_PRICE", "SEED_DAILY_VOLUME"), ("SEED_DAILY_VOLUME", "SEED_PRICE"))


def contradictions(settings: Settings) -> Iterator[dict[str, str]]:
    """Yield for each contradiction its keys, the first to be blamed first, and what each would have to be."""
    values = settings.by_key()
    for low, high in _ORDERED:
        if values[low] > values[high]:
            yield {
                low: f"at most {high}, {said(high, values[high])}",
                high: f"at least {low}, {said(low, values[low])}",
            }
    spread = "INSIDE_SPREAD_PCT"
    for width in ("BUY_CHANNEL_WIDTH_PCT", "SELL_CHANNEL_WIDTH_PCT"):
        if values[spread] >= values[width]:
            yield {
                spread: f"less than {width}, {said(width, values[width])}",
                width: f"more than {spread}, {said(spread, values[spread])}",
            }
    if settings.upper_usdc_max + settings.min_sol_reserve > ALL:
        together = "UPPER_USDC_RATIO_MAX_% and MIN_SOL_RESERVE_% of at most 100 % together"
        why = f"{together}, or what one rule sells another buys back"
        yield dict.fromkeys(("UPPER_USDC_RATIO_MAX_PCT", "MIN_SOL_RESERVE_PCT"), why)
    if settings.gas_floor < settings.jito_tip * TIPS_IN_THE_GAS_FLOOR:
        least = f"a gas floor of {TIPS_IN_THE_GAS_FLOOR} tips or more (GAS_FLOOR_SOL, JITO_TIP_AMOUNT_SOL)"
        yield dict.fromkeys(("GAS_FLOOR_SOL", "JITO_TIP_AMOUNT_SOL"), least)
    if settings.max_price and settings.min_price >= settings.max_price:
        yield dict.fromkeys(("MIN_PRICE", "MAX_PRICE"), "a MIN_PRICE below MAX_PRICE, or 0 for none")
    for key, other in _TOGETHER:
        if values[key] and not values[other]:
            least = f"0 unless {other} is set too: a seed is a price and a volume"
            yield {key: least, other: f"more than 0, as {key} is set: a seed is a price and a volume"}
    if settings.pivot_mode == "sol_fade_in" and not settings.seed_usd_price:
        needs = "more than 0 with PIVOT_MODE=sol_fade_in: the price it fades from"
        yield {"SEED_USD_PRICE": needs, "PIVOT_MODE": "sol_fade_in only with SEED_USD_PRICE"}
