"""Keys of the price oracle: whom it asks, where they are, and when they are believed."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer

from bmv.config.parsing import HOUR_MS, Duration, Percent, Shown, Url, Whole, key, parse_words
from bmv.config.places import SecretText
from bmv.config.strategy import Keys

SourceName = Literal["pyth", "hermes", "coinbase", "kraken", "binance", "jupiter"]
Sources = Annotated[
    tuple[SourceName, ...],
    BeforeValidator(parse_words),
    PlainSerializer(", ".join, return_type=str),
    Shown(lambda value: ", ".join(value) or "none"),
]


class Oracle(Keys):
    """3.7 Price oracle"""

    oracle_sources: Sources = key("ORACLE_SOURCES", ("pyth", "coinbase", "kraken", "binance", "jupiter"))
    """Who is asked for SOL/USD; hermes wants an API key, jupiter is a check on the others only."""
    oracle_poll: Duration = key("ORACLE_POLL", 30_000, 1_000, HOUR_MS)
    """How often."""
    oracle_quoting_max_age: Duration = key("ORACLE_QUOTING_MAX_AGE", 600_000, 10_000, 24 * HOUR_MS)
    """A price older than this counts for nothing: not for the damper, not for the worth of the reserve."""
    oracle_min_sources: Whole = key("ORACLE_MIN_SOURCES", 2, 1, 4)
    """So many sources that do not copy one another must agree before anything is converted."""
    oracle_max_spread: Percent = key("ORACLE_MAX_SPREAD_PCT", 100, 1, 2_000)
    """How far apart they may lie for that, and how far Jupiter's price from theirs."""
    oracle_max_confidence: Percent = key("ORACLE_MAX_CONFIDENCE_PCT", 100, 1, 2_000)
    """A source less certain of its price than this is left out."""
    oracle_max_jump: Percent = key("ORACLE_MAX_JUMP_PCT", 500, 10, 10_000)
    """A larger move between two rounds must be seen twice."""
    oracle_hermes_url: Url = key("ORACLE_HERMES_URL", "https://pyth.dourolabs.app/hermes")
    """Pyth's own service."""
    oracle_coinbase_url: Url = key("ORACLE_COINBASE_URL", "https://api.exchange.coinbase.com")
    """Coinbase Exchange."""
    oracle_kraken_url: Url = key("ORACLE_KRAKEN_URL", "https://api.kraken.com")
    """Kraken."""
    oracle_binance_url: Url = key("ORACLE_BINANCE_URL", "https://api.binance.com")
    """Binance; its price is in USDT and counts half."""
    jupiter_url: Url = key("JUPITER_URL", "https://api.jup.ag")
    """Jupiter: prices as a check, and the swaps of conversions."""
    oracle_hermes_key: SecretText = key("ORACLE_HERMES_KEY", None)
    """API key of Hermes, which answers nobody without one."""
    jupiter_api_key: SecretText = key("JUPITER_API_KEY", None)
    """API key of Jupiter; without one it answers once in two seconds."""
