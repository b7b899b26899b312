"""Profit and loss as rows, each written when its cause happens, none of them a remainder.

The identity ``sum of all rows = change of equity`` is then a check of the whole engine against the chain.

Base is valued at the tick of the market's last trade. When fills come in with a new mark m1 (old mark m0,
base held after the fills b):
    spread row of a fill     signed size x (m0 - fill price)       what was earned against the old mark
    inventory row            b x (m1 - m0)                         what holding earned since
which telescopes exactly to the change of (quote + base x mark), in lamports, without rounding.

USDC u is worth w(u) lamports, at the oracle's last price of a SOL, rounded down. A conversion writes the SOL
it brought or took plus the change of w; a new price writes the change of w: with the same w on both sides of
every row the rows telescope as well. What USDC is worth when a SOL gets its first price is no profit.

What a wallet brings that joins later, and what is sent in or out beside the engine, are rows too, without
which nothing would add up; but they are no profit.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from bmv.model import BundleCost, Fill, MarketSpec, Side, Trade
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Ticks, UsdPerSol, lamports_worth

NO_DOLLARS = MicroUsd(0)


class Part(StrEnum):
    """Where a lamport comes from or goes; all but the transfers are profit or loss."""

    SPREAD = "spread"
    INVENTORY = "inventory"
    FEES = "fees"
    REBATES = "rebates"
    NETWORK_FEES = "network_fees"
    TIPS = "tips"
    RENT = "rent"
    CONVERSIONS = "conversions"
    DOLLARS = "dollars"
    TRANSFERS = "transfers"


PROFIT = tuple(part for part in Part if part is not Part.TRANSFERS)


class Row(msgspec.Struct, frozen=True):
    """One cause of a gain (positive) or a loss (negative) of what is owned."""

    at: Millis
    part: Part
    lamports: Lamports
    cause: str


class Ledger:
    """The rows so far; ``mark`` is the tick of the last trade, ``base`` what we hold, in lots.

    ``usdc`` is what the treasury holds by these books, worth ``sol_usd`` a SOL.
    """

    def __init__(
        self,
        spec: MarketSpec,
        mark: Ticks,
        base: BaseLots,
        usdc: MicroUsd = NO_DOLLARS,
        sol_usd: UsdPerSol | None = None,
    ) -> None:
        self._spec = spec
        self.mark = mark
        self.base = base
        self.usdc, self.sol_usd = usdc, sol_usd
        self.rows: list[Row] = []
        self._totals: dict[Part, int] = dict.fromkeys(Part, 0)

    def record_market(self, at: Millis, trades: Sequence[Trade], fills: Sequence[Fill]) -> None:
        """Write the rows of one reading: our fills against the old mark, then the move to the new one."""
        for fill in fills:
            signed = fill.size if fill.side is Side.BID else -fill.size
            gain = int(signed) * int(self.mark - fill.price) * self._spec.quote_lot_size
            self.base += signed
            self._write(at, Part.SPREAD, gain, f"fill {fill.seq}")
            self._write(at, Part.REBATES, int(fill.rebate), f"fill {fill.seq}")
            self._write(at, Part.FEES, -int(fill.fee), f"fill {fill.seq}")
        if trades:
            mark = trades[-1].price
            gain = int(self.base) * int(mark - self.mark) * self._spec.quote_lot_size
            self._write(at, Part.INVENTORY, gain, f"mark {mark}")
            self.mark = mark

    def record_bundle(self, at: Millis, bundle_id: str, cost: BundleCost) -> None:
        """Write what a landed bundle cost."""
        self._write(at, Part.NETWORK_FEES, -int(cost.fees), bundle_id)
        self._write(at, Part.TIPS, -int(cost.tip), bundle_id)

    def record_reclaimed(self, at: Millis, lamports: Lamports, base: BaseLots, cause: str) -> None:
        """Write what an account brought in that did not count before: rent, and what was settled from it.

        Rent held in the accounts we trade with is equity all the time.
        """
        self.base += base
        worth = int(base) * int(self.mark) * self._spec.quote_lot_size
        self._write(at, Part.RENT, int(lamports) + worth, cause)

    def record_transfer(self, at: Millis, sol: Lamports, base: BaseLots, usdc: MicroUsd, cause: str) -> None:
        """Write what came in, or (negative) went: SOL, base at the mark, USDC at the last price of a SOL."""
        before = self.dollars()
        self.base += base
        self.usdc += usdc
        worth = int(base) * int(self.mark) * self._spec.quote_lot_size
        self._write(at, Part.TRANSFERS, int(sol + self.dollars() - before) + worth, cause)

    def record_dollar_mark(self, at: Millis, sol_usd: UsdPerSol) -> None:
        """Write what holding USDC has earned in SOL since the last price of a SOL."""
        before = self.dollars()
        known, self.sol_usd = self.sol_usd is not None, sol_usd
        if known:
            self._write(at, Part.DOLLARS, int(self.dollars() - before), f"sol/usd {sol_usd}")

    def record_conversion(self, at: Millis, ticket: int, sol: Lamports, usdc: MicroUsd) -> None:
        """Write what a conversion gained or lost against the price of a SOL, by the changes it made."""
        before = self.dollars()
        self.usdc += usdc
        self._write(at, Part.CONVERSIONS, int(sol + self.dollars() - before), f"conversion {ticket}")

    def dollars(self) -> Lamports:
        """Return what the USDC is worth in lamports; 0 before a SOL had a price."""
        return lamports_worth(self.usdc, self.sol_usd) if self.sol_usd is not None else Lamports(0)

    def totals(self) -> dict[Part, Lamports]:
        """Return the sum of each part."""
        return {part: Lamports(amount) for part, amount in self._totals.items()}

    def transfers(self) -> Lamports:
        """Return what came in that is no profit."""
        return Lamports(self._totals[Part.TRANSFERS])

    def _write(self, at: Millis, part: Part, lamports: int, cause: str) -> None:
        if lamports:
            self.rows.append(Row(at, part, Lamports(lamports), cause))
            self._totals[part] += lamports
