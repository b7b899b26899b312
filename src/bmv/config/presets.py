"""Presets: named sets of values to begin with; what a file or the environment says stands over them.

A preset is the text of a settings file, comments included; ``growth`` is the defaults.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

GROWTH = """\
# Supports the price from below and lets it rise against little resistance: the defaults.
PRESET = "growth"
"""
LITERAL = """\
# The channel read literally: both zones stay around the Pivot, and no ask ever stands below it. A market that
# leaves the zones has one side only, or none (OUT_OF_CHANNEL).
PRESET = "literal"
CHANNEL_MODE = "pivot"
"""
SLA = """\
# Tight and deep near the price, as listings ask for: both sides alike, nearly all of
# the money within four percent. What stands close is also what one large trade can take at once.
PRESET = "sla"
BUY_CHANNEL_WIDTH_PCT = 4
SELL_CHANNEL_WIDTH_PCT = 4
ANCHOR_BAND_PCT = 1
BUY_GAP_MAX_PCT = 0.5
SELL_GAP_MAX_PCT = 0.5
# The average follows the price within hours, so that the zones stay around it.
CHANNEL_INERTIA_HOURS = 4
INSIDE_SPREAD_PCT = 0.6
MIN_SPREAD_PCT = 0.3
BUY_DENSITY = 1
BUY_SIZE_RATIO = 1
# The price of standing close: more is bought on the way down, and orders move more often.
BUY_PACE_PCT = 20
REBALANCE_THRESHOLD_PCT = 0.5
TOPUP_MIN_INTERVAL = "1min"
"""
ACCUMULATE = """\
# Buys back free float: a wide and dense BUY zone, a stock that is hardly ever sold.
PRESET = "accumulate"
BUY_CHANNEL_WIDTH_PCT = 25
BUY_DENSITY = 4
BUY_SIZE_RATIO = 12
BUY_PACE_PCT = 20
MAX_BASE_SHARE_PCT = 95
# What is sold is little, and far away.
SELL_CHANNEL_WIDTH_PCT = 60
SELL_SIZE_RATIO = 3
MIN_BASE_SHARE_PCT = 40
"""
TEXTS: Mapping[str, str] = {"growth": GROWTH, "literal": LITERAL, "sla": SLA, "accumulate": ACCUMULATE}


def preset_values(name: str) -> dict[str, Any]:
    """Return what a preset says, as a file would; an unknown name (refused as a value) says nothing."""
    values = tomllib.loads(TEXTS.get(name, ""), parse_float=Decimal)
    values.pop("PRESET", None)
    return values
