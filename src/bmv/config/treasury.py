"""Keys of the treasury: targets, damper, injection, conversions; and of Target Control."""

from bmv.config.parsing import (
    HOUR_MS,
    Addresses,
    BasisPoints,
    Duration,
    Hours,
    Percent,
    PercentOrDynamic,
    Ratio,
    Usd,
    key,
)
from bmv.config.strategy import Keys
from bmv.units import MICROS_PER_USD


class Treasury(Keys):
    """3.7 Treasury"""

    upper_usdc_max: Percent = key("UPPER_USDC_RATIO_MAX_PCT", 3_000, 0, 10_000)
    """Share of the reserve that should stand in USDC when the price is at the upper border of the channel."""
    lower_usdc_max: Percent = key("LOWER_USDC_RATIO_MAX_PCT", 3_000, 0, 10_000)
    """Share of the USDC held that goes back into SOL while the price falls to the lower border."""
    damper_window: Hours = key("DAMPER_HOURS", 24 * HOUR_MS, HOUR_MS, 7 * 24 * HOUR_MS)
    """SOL's fall is measured against its average of this long."""
    damper_drop: Percent = key("DAMPER_DROP_PCT", 500, 50, 5_000)
    """From this fall on USDC becomes SOL; below half of it that ends."""
    damper_full: Percent = key("DAMPER_FULL_PCT", 2_000, 100, 9_000)
    """How much further SOL has to fall until all of the USDC has been spent."""
    min_sol_reserve: Percent = key("MIN_SOL_RESERVE_PCT", 7_000, 0, 10_000)
    """Share of the reserve that should stand in SOL."""
    injection_margin: Percent = key("INJECTION_MARGIN", 200, 10, 5_000)
    """SOL is bought back when its share has fallen this many points below that."""
    min_conversion: Usd = key("MIN_CONVERSION_USD", 20 * MICROS_PER_USD, 1, 10**6 * MICROS_PER_USD)
    """No conversion is smaller."""
    max_conversion: Percent = key("MAX_CONVERSION_PCT", 500, 1, 10_000)
    """No conversion is a larger share of the reserve."""
    conversion_cooldown: Duration = key("CONVERSION_COOLDOWN", 600_000, 10_000, 24 * HOUR_MS)
    """Time between two conversions."""
    max_slippage: BasisPoints = key("MAX_SLIPPAGE_BPS", 50, 1, 1_000)
    """How much less than offered a conversion may bring, in basis points."""
    max_oracle_deviation: BasisPoints = key("MAX_ORACLE_DEVIATION_BPS", 100, 1, 2_000)
    """An offer further from the oracle's price is refused, in basis points."""
    oracle_max_age: Duration = key("ORACLE_MAX_AGE", 90_000, 5_000, HOUR_MS)
    """Nothing is converted at an oracle price older than this."""


class TargetControl(Keys):
    """3.8 Target Control"""

    target_control: PercentOrDynamic = key("TARGET_CONTROL_PCT", None, 0, 10_000)
    """Share of the supply in third hands; dynamic is what the chain shows."""
    target_control_gain: Ratio = key("TARGET_CONTROL_GAIN", 10_000, 0, 100_000)
    """How much denser that share makes the BUY zone: 1 doubles it when everything is in third hands."""
    locked_accounts: Addresses = key("LOCKED_ACCOUNTS", ())
    """Token accounts whose balance counts as locked: team, vesting, burnt."""
