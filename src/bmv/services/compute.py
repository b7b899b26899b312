"""What each instruction may use of the compute budget: measured on the compiled program, with a margin.

The block engine ranks bundles by tip per unit asked for, so a limit is tight. The figures (docs/layouts.md)
hold for the classic token program, whose transfers cost 4,700 units more than the optimised one's, for
deposits with every order, and for full books; the margin of a fifth is for what was never measured.
"""

from functools import lru_cache

SCAN = 13_500
"""Looking for client ids in an account whose 128 order slots are all used: 105 units a slot."""
TRANSACTION = 450
"""The compute limit itself, and a tip."""
SETTLE = 28_000
CREATE_WITH_SEED = 3_000
INIT_OPEN_ORDERS = 5_000
CREATE_TOKEN_ACCOUNT = 40_000
TRANSFER = 1_000
CREATE_TABLE, EXTEND_TABLE, CLOSE_TABLE = 15_000, 16_000, 4_000
"""Measured: 10,500; 12,800 for 24 addresses; 3,200 to deactivate, 2,200 to close."""
SYNC_NATIVE = 5_000
CLOSE_OPEN_ORDERS = 6_000
CLOSE_TOKEN_ACCOUNT = 5_000
TOKEN_TRANSFER = 8_000


def cancels(ids: int) -> int:
    """Return the units of CancelOrdersByClientIds for so many ids."""
    return _with_margin(SCAN + 4_000 + 2_200 * ids)


@lru_cache(maxsize=128)
def replaces(orders: int) -> int:
    """Return the units of ReplaceOrdersByClientIds for so many orders."""
    return _with_margin(SCAN + 5_000 + 13_600 * orders)


def consumes(fills: int, others: int) -> int:
    """Return the units of ConsumeEvents for so many fills and other events."""
    return _with_margin(4_000 + 2_600 * fills + 800 * others)


def _with_margin(units: int) -> int:
    return units * 6 // 5
