"""Keys of the operation: wallets, rebuilds, orders on their way, costs."""

from typing import Literal

from bmv.config.parsing import DAY_MS, HOUR_MS, Duration, Minutes, Percent, Sol, SolOrAuto, Whole, key
from bmv.config.strategy import Keys
from bmv.units import LAMPORTS_PER_SOL


class Swarm(Keys):
    """3.5 Wallets and the book's capacity"""

    orders_per_wallet: Whole = key("ORDERS_PER_WALLET", 32, 2, 96)
    """The most orders one wallet has on the book, both sides together."""
    book_headroom: Percent = key("BOOK_HEADROOM", 2_000, 0, 9_000)
    """Share of each side of the book that is left to others, in percent."""
    evict_backoff: Duration = key("EVICT_BACKOFF", 600_000, 1_000, DAY_MS)
    """First wait before an evicted level is tried again; it doubles each time."""
    max_order_of_wallet: Percent = key("MAX_ORDER_PCT_OF_WALLET", 2_500, 100, 10_000)
    """Largest order, as a share of its wallet's balance of what it spends."""
    gas_floor: Sol = key("GAS_FLOOR_SOL", LAMPORTS_PER_SOL, LAMPORTS_PER_SOL // 10, 100 * LAMPORTS_PER_SOL)
    """Plain SOL each wallet keeps for fees, tips and rent."""


class Rebuilds(Keys):
    """3.6 When the ladder is rebuilt"""

    rebalance_threshold: Percent = key("REBALANCE_THRESHOLD_PCT", 100, 1, 5_000)
    """The ladder is rebuilt when the price is further than this from where it was built."""
    forced_sync: Duration = key("FORCED_SYNC", HOUR_MS, 60_000, 7 * DAY_MS)
    """The ladder is compared with the chain and computed anew at least this often."""
    rebuild_min_change: Percent = key("REBUILD_MIN_CHANGE_PCT", 500, 0, 10_000)
    """A rebuild by the clock is sent if so much of the ladder changes, or twice that of a side."""
    topup_min_interval: Duration = key("TOPUP_MIN_INTERVAL", 15 * 60_000, 1_000, DAY_MS)
    """A side whose best order is gone is topped up at most this often."""
    idle_interval: Minutes = key("IDLE_INTERVAL_MIN", 15 * 60_000, 60_000, DAY_MS)
    """Each of these without a trade narrows the spread by a quarter of the way from INSIDE to MIN."""
    size_tolerance: Percent = key("SIZE_TOLERANCE_PCT", 2_500, 0, 10_000)
    """An order whose size is within this of the wanted one stays."""
    grow_after_syncs: Whole = key("GROW_AFTER_SYNCS", 12, 0, 1_000)
    """FORCED_SYNCs without growth while the price moves; so long a calm straightens sizes; 0: not bound."""
    size_band: Percent = key("SIZE_BAND_PCT", 10_000, 0, 100_000)
    """A standing order keeps its size while its level asks for no more and no less than this beside it."""
    size_margin: Percent = key("SIZE_MARGIN_PCT", 6_000, 0, 10_000)
    """What must become smaller while the price moves is made this much smaller than its level asks for."""
    size_slack: Percent = key("SIZE_SLACK_PCT", 2_000, 0, 10_000)
    """Of what a side asks for so much may be missing before standing orders are made larger in calm."""


class Execution(Keys):
    """4 Execution and its cost"""

    max_order_age: Duration = key("MAX_ORDER_AGE", 20_000, 2_000, 45_000)
    """A placement that would land later than this after it was made dies."""
    lookup_tables: Literal["on", "off"] = key("LOOKUP_TABLES", "on")
    """Keep the accounts we use in lookup tables, so that changes take fewer transactions; off closes them."""
    rent_recovery_time: Duration = key("RENT_RECOVERY_TIME", HOUR_MS, 60_000, 30 * DAY_MS)
    """How often accounts of ours that nothing uses are looked for; they are emptied and closed."""
    close_accounts_at_halt: Literal["off", "on"] = key("CLOSE_ACCOUNTS_AT_HALT", "off")
    """At the end of a halt also close the accounts that trade, and unwrap all SOL; the rent returns."""
    jito_tip: Sol = key("JITO_TIP_AMOUNT_SOL", LAMPORTS_PER_SOL // 200, 1_000, LAMPORTS_PER_SOL)
    """The most a bundle tips."""
    jito_tip_mode: Literal["floor", "fixed"] = key("JITO_TIP_MODE", "floor")
    """Tip what usually lands where that is less (floor), or always the most (fixed)."""
    daily_cost_budget: Sol = key(
        "DAILY_COST_BUDGET_SOL", 5 * LAMPORTS_PER_SOL, 1_000, 10**4 * LAMPORTS_PER_SOL
    )
    """When a day's tips and fees reach this, placements wait; cancels never do."""
    hourly_cost_budget: SolOrAuto = key("HOURLY_COST_BUDGET_SOL", None, 0, 10**4 * LAMPORTS_PER_SOL)
    """The same for an hour by the clock; auto is a quarter of the day's, 0: no such limit."""
