"""Keys of the strategy: price, Pivot, channel and ladder."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bmv.config.parsing import (
    DAY_MS,
    HOUR_MS,
    Days,
    Duration,
    Hours,
    Number,
    Percent,
    Ratio,
    Seconds,
    Sol,
    Whole,
    WholeOrAuto,
    key,
)
from bmv.units import LAMPORTS_PER_SOL


class Keys(BaseModel):
    """A part of the settings; values do not change, unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Price(Keys):
    """3.1 Current price P"""

    ref_notional: Sol = key("REF_NOTIONAL_SOL", 5 * LAMPORTS_PER_SOL, 1, 10**6 * LAMPORTS_PER_SOL)
    """The newest trades that together reach this turnover make the price; less counts in proportion."""
    price_max_age: Duration = key("PRICE_MAX_AGE", 6 * HOUR_MS, 60_000, 30 * DAY_MS)
    """Trades older than this do not make the price."""
    max_foreign_spread: Percent = key("MAX_FOREIGN_SPREAD_PCT", 300, 1, 5_000)
    """Without trades the middle of others' orders is the price, while their spread is at most this."""
    foreign_min: Sol = key("FOREIGN_MIN_SOL", LAMPORTS_PER_SOL, 0, 10**6 * LAMPORTS_PER_SOL)
    """A side of the book counts from where others' orders add up to this."""
    price_drift_per_h: Percent = key("PRICE_DRIFT_PCT_PER_H", 100, 0, 1_000)
    """With no outside price and one of our sides empty, the price walks this fast to refill it."""
    max_price_jump: Percent = key("MAX_PRICE_JUMP_PCT", 2_000, 100, 10_000)
    """A larger move between two readings must be seen twice before any bid is raised or ask lowered."""
    price_confirm: Seconds = key("PRICE_CONFIRM_S", 30_000, 0, HOUR_MS)
    """How long after the first reading of a jump the confirming one may come at the earliest."""


class Pivot(Keys):
    """3.2 Pivot"""

    history_window: Days = key("HISTORY_WINDOW_DAYS", 365 * DAY_MS, DAY_MS, 3_650 * DAY_MS)
    """The Pivot is the volume-weighted price of all trades of this long."""
    pivot_mode: Literal["seeded", "sol_fade_in", "pure"] = key("PIVOT_MODE", "seeded")
    """What stands for the time before the first start: a seed in SOL, one in dollars, or nothing."""
    pivot_max_daily_move: Percent = key("PIVOT_MAX_DAILY_MOVE_PCT", 500, 1, 10_000)
    """The Pivot used for quoting travels at most this far a day."""
    seed_price: Number = key("SEED_PRICE", Decimal(0), 0)
    """Price of the seed, in SOL per token."""
    seed_daily_volume: Number = key("SEED_DAILY_VOLUME", Decimal(0), 0)
    """Volume of the seed, in tokens a day."""
    seed_usd_price: Number = key("SEED_USD_PRICE", Decimal(0), 0)
    """The seed of sol_fade_in, in dollars per token; SOL's average price over the window makes it SOL."""
    fade_in: Days = key("FADE_IN_DAYS", 365 * DAY_MS, DAY_MS, 3_650 * DAY_MS)
    """So long after the first start sol_fade_in is the recorded trades alone."""


class Channel(Keys):
    """3.3 Channel and inside spread"""

    channel_mode: Literal["follow", "pivot"] = key("CHANNEL_MODE", "follow")
    """The zones follow the market, which is then always two-sided, or stay around the Pivot."""
    buy_channel_width: Percent = key("BUY_CHANNEL_WIDTH_PCT", 1_500, 50, 9_000)
    """Width of the BUY zone, below the anchor."""
    sell_channel_width: Percent = key("SELL_CHANNEL_WIDTH_PCT", 3_000, 50, 50_000)
    """Width of the SELL zone, above the average price."""
    channel_inertia: Hours = key("CHANNEL_INERTIA_HOURS", 24 * HOUR_MS, 60_000, 365 * DAY_MS)
    """Half-life of the average price the channel follows."""
    anchor_band: Percent = key("ANCHOR_BAND_PCT", 500, 1, 5_000)
    """How far the channel's anchor may stay behind that average."""
    buy_gap_max: Percent = key("BUY_GAP_MAX_PCT", 9_000, 0, 9_000)
    """How far below the price the BUY zone may end after a rise; the widest: where inertia leaves it."""
    sell_gap_max: Percent = key("SELL_GAP_MAX_PCT", 300, 0, 5_000)
    """How far above the price the SELL zone may begin."""
    inside_spread: Percent = key("INSIDE_SPREAD_PCT", 100, 1, 2_000)
    """Distance between the first bid and the first ask after a trade."""
    min_spread: Percent = key("MIN_SPREAD_PCT", 50, 1, 2_000)
    """Distance they narrow to while nobody trades."""


class Ladder(Keys):
    """3.4 Ladder"""

    grid_levels: WholeOrAuto = key("GRID_LEVELS", None, 4, 6_400)
    """Levels of both sides together; auto is wallets x ORDERS_PER_WALLET, or what the book can hold."""
    buy_density: Ratio = key("BUY_DENSITY", 20_000, 2_500, 40_000)
    """Levels of the BUY zone for each level an equally wide SELL zone gets."""
    buy_size_ratio: Ratio = key("BUY_SIZE_RATIO", 80_000, 10_000, 1_000_000)
    """Size of the lowest bid over the size of the highest."""
    sell_size_ratio: Ratio = key("SELL_SIZE_RATIO", 10_000, 10_000, 1_000_000)
    """Size of the highest ask over the size of the lowest."""
    reanchor: Percent = key("REANCHOR_PCT", 3_000, 100, 10_000)
    """The shape of sizes is kept until it is off by more than this."""
    penny_min_ratio: Ratio = key("PENNY_MIN_RATIO", 10_000, 1_000, 1_000_000)
    """How large somebody else's order must be, beside ours, for our first order to step in front of it."""
    penny_max_per_hour: Whole = key("PENNY_MAX_PER_HOUR", 4, 0, 60)
    """Most such steps in an hour; 0 never steps in front of anybody."""
    buy_pace: Percent = key("BUY_PACE_PCT", 1_000, 100, 10_000)
    """Net SOL spent by bids, as a share of all SOL, at which the BUY budget has shrunk to its floor."""
    buy_pace_margin: Percent = key("BUY_PACE_MARGIN_PCT", 1_250, 0, 2_400)
    """A quarter of the budget that the pace cut returns when the pace lies this far beyond it; 0: at once."""
    min_base_share: Percent = key("MIN_BASE_SHARE_PCT", 2_000, 0, 10_000)
    """Share of equity that stays in tokens whatever is sold."""
    max_base_share: Percent = key("MAX_BASE_SHARE_PCT", 8_000, 0, 10_000)
    """Share of what the engine manages that may become tokens it bought."""
