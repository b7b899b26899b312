"""Keys of the guards: when the engine places less, on one side only, or nothing at all.

An amount or a price of 0 means that there is no such limit.
"""

from decimal import Decimal
from typing import Literal

from bmv.config.parsing import DAY_MS, HOUR_MS, Duration, Number, Percent, Sol, Whole, key
from bmv.config.strategy import Keys
from bmv.units import LAMPORTS_PER_SOL

_MOST = 10**6 * LAMPORTS_PER_SOL


class Safety(Keys):
    """7 Safety"""

    min_price: Number = key("MIN_PRICE", Decimal(0), 0)
    """SOL per token; below it nothing is offered for sale. 0: no such limit."""
    max_price: Number = key("MAX_PRICE", Decimal(0), 0)
    """SOL per token; above it nothing is bid for. 0: no such limit."""
    price_band: Percent = key("PRICE_BAND_PCT", 0, 0, 9_000)
    """How far above the channel's average price a bid, below it an ask, may be. 0: no such limit."""
    max_order: Sol = key("MAX_ORDER_SOL", 0, 0, _MOST)
    """The most one order may be worth, at its own price. 0: no such limit."""
    max_bid_exposure: Sol = key("MAX_BID_EXPOSURE_SOL", 0, 0, _MOST)
    """The most all bids together may cost. 0: no such limit."""
    max_ask_exposure: Sol = key("MAX_ASK_EXPOSURE_SOL", 0, 0, _MOST)
    """The most the tokens on offer may be worth, at the price the asks were built at. 0: no such limit."""
    max_wallet_exposure: Sol = key("MAX_WALLET_EXPOSURE_SOL", 0, 0, _MOST)
    """The most one wallet's orders on one side may be worth, each at its own price. 0: no such limit."""
    stale_after: Duration = key("STALE_AFTER", 30_000, 2_000, 600_000)
    """While the chain was not seen for longer than this, nothing is placed."""
    stale_withdraw_after: Duration = key("STALE_WITHDRAW_AFTER", 300_000, 10_000, DAY_MS)
    """When it was not seen for this long, every order known to stand is withdrawn."""
    drawdown_window: Duration = key("DRAWDOWN_WINDOW", DAY_MS, HOUR_MS, 30 * DAY_MS)
    """The loss of trading is measured against the best result in this time."""
    drawdown_widen: Percent = key("DRAWDOWN_WIDEN_PCT", 1_000, 10, 10_000)
    """From this loss on the inside spread is twice INSIDE_SPREAD. 100: never."""
    drawdown_one_side: Percent = key("DRAWDOWN_ONE_SIDE_PCT", 2_000, 10, 10_000)
    """From this loss on the losing side is withdrawn. 100: never."""
    drawdown_halt: Percent = key("DRAWDOWN_HALT_PCT", 3_000, 10, 10_000)
    """At this loss the engine halts. 100: never."""
    wallet_max_failures: Whole = key("WALLET_MAX_FAILURES", 5, 1, 100)
    """A wallet whose changes fail so often in a row, while others land, is set aside."""
    wallet_rest: Duration = key("WALLET_REST", 600_000, 10_000, DAY_MS)
    """How long a wallet set aside for its failures rests before it is tried again; it doubles each time."""
    max_failed_cycles: Whole = key("MAX_FAILED_CYCLES", 5, 1, 100)
    """After so many attempts in a row of which nothing landed, nothing is placed for a while."""
    failed_cycles_pause: Duration = key("FAILED_CYCLES_PAUSE", 60_000, 1_000, HOUR_MS)
    """How long; it doubles until something lands."""
    lease_grace: Duration = key("LEASE_GRACE", 600_000, 0, DAY_MS)
    """When Redis has not confirmed the lease for this long after it ran out, every order is withdrawn."""
    kill_plain_rpc: Literal["on", "off"] = key("KILL_PLAIN_RPC", "on")
    """Send the cancels of a kill to the node too, when bundles have not brought them to the chain at once."""
    failed_cycles_halt: Duration = key("FAILED_CYCLES_HALT", 2 * HOUR_MS, 60_000, 30 * DAY_MS)
    """When attempts have failed for so long and none landed, the engine halts."""
