"""Whether an offer for a conversion between SOL and USDC will do, and who gets what a conversion buys.

Rules of this file
- An offer is refused unless it spends exactly what was asked, guarantees its own price within
  MAX_SLIPPAGE_BPS, and lies within MAX_ORACLE_DEVIATION_BPS of an oracle price that is not stale: an offer
  that is too good is as wrong as one that is too bad.
- Comparisons are products of integers; only the amount guaranteed is rounded, down to whole atoms, as the
  swap program does.
"""

from collections.abc import Sequence

import msgspec

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.oracle import Oracle
from bmv.model import Conversion, Direction
from bmv.units import LAMPORTS_PER_SOL, Lamports, Millis


class Offer(msgspec.Struct, frozen=True):
    """What a swap service offers, in raw atoms: what it takes, what it expects to give, what at least."""

    spends: int
    brings: int
    at_least: int


def oracle_stale(oracle: Oracle, now: Millis, settings: Settings) -> bool:
    """Say whether the oracle's price is too old to convert at, or its sources do not agree on it."""
    return oracle.sol_usd is None or not oracle.firm or now - oracle.seen_at > settings.oracle_max_age


def refusal(
    conversion: Conversion, offer: Offer, oracle: Oracle, now: Millis, settings: Settings
) -> str | None:
    """Return why ``offer`` must not be taken for ``conversion``; None where it may."""
    buys = conversion.direction is Direction.BUY_SOL
    if oracle.sol_usd is None or oracle_stale(oracle, now, settings):
        return "the oracle's price is stale, or not certain enough"
    if offer.spends != int(conversion.usdc if buys else conversion.sol):
        return "it spends another amount than asked"
    if offer.at_least < offer.brings * (BPS - int(settings.max_slippage)) // BPS:
        return "it allows more slippage than MAX_SLIPPAGE_BPS"
    usdc, sol = (offer.spends, offer.brings) if buys else (offer.brings, offer.spends)
    fair = sol * int(oracle.sol_usd)
    if abs(usdc * LAMPORTS_PER_SOL - fair) * BPS > fair * int(settings.max_oracle_deviation):
        return "its price is further from the oracle's than MAX_ORACLE_DEVIATION_BPS"
    return None


def shared_out(amount: Lamports, lacking: Sequence[Lamports]) -> tuple[Lamports, ...]:
    """Share ``amount`` over the wallets in proportion to what each lacks, to the last lamport.

    Largest remainder, the first of equals; where nobody lacks anything all get the same.
    """
    weights = [int(each) for each in lacking] if any(lacking) else [1] * len(lacking)
    total = sum(weights)
    shares = [int(amount) * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda wallet: -(int(amount) * weights[wallet] % total))
    for wallet in order[: int(amount) - sum(shares)]:
        shares[wallet] += 1
    return tuple(Lamports(share) for share in shares)
