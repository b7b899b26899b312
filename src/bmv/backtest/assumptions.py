"""What a backtest assumes about everything the tape does not say; each stands on the report's first page."""

from decimal import Decimal
from typing import Annotated

import msgspec
import numpy as np

from bmv.backtest.paper import Model
from bmv.backtest.tape import Tape
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Bps, Lamports, MicroUsd

QUEUE_PRINTS = 5
"""The queue at a price is taken to be so many median prints long when we join it."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Assumptions(msgspec.Struct, frozen=True):
    """How fills, landing, costs and the others are modelled, and what we start with.

    ``sol`` for bids and ``tokens_worth`` are lamports of all wallets together, ``gas`` is what fills each
    wallet's gas up to its floor; ``others_spread`` is the width of the book of others. The engine looks each
    ``step_ms`` and when the price has moved by ``look_at``. ``usdc``, ``treasury_sol``, ``swap_cost`` count
    only where it is known what a SOL costs. Where the path is not ``edge`` beyond an order, nobody comes.
    With ``arbitrageurs`` it is they who take what the path passes, in place of the fill model.
    """

    fills: Model = "through"
    sole_maker: bool = False
    latency_ms: int = 1_200
    edge: Bps = Bps(0)
    loss: Share = 0.05
    tip: Lamports = Lamports(10_000)
    others_spread: Bps = Bps(60)
    step_ms: int = 300_000
    look_at: Bps = Bps(25)
    wallets: int = 4
    sol: Lamports = Lamports(120 * LAMPORTS_PER_SOL)
    tokens_worth: Lamports = Lamports(120 * LAMPORTS_PER_SOL)
    usdc: MicroUsd = MicroUsd(0)
    treasury_sol: Lamports = Lamports(LAMPORTS_PER_SOL)
    swap_cost: Bps = Bps(10)
    gas: Lamports = Lamports(5 * LAMPORTS_PER_SOL)
    takers_per_day: int = 0
    arbitrageurs: int = 0
    seed: int = 1

    def queue_lots(self, tape: Tape) -> int:
        """Return the lots that stand before an order of ours when it joins a price (``queue`` only).

        Known from the tape's first day alone, so that nothing later is looked at.
        """
        if self.fills != "queue":
            return 0
        first_day = tape.sizes[: int(tape.times.searchsorted(int(tape.times[0]) + 86_400_000))]
        return int(np.median(first_day)) * QUEUE_PRINTS

    def sentences(self, dollars: str | None = None) -> list[str]:
        """Return every assumption as a sentence for people; ``dollars`` names what tells SOL/USD, if any."""
        others = (
            "Nobody else quotes: the price is what our own fills say."
            if self.sole_maker
            else f"Others quote {_percent(self.others_spread)} wide around the last print and never move us."
        )
        return [
            *self._of_fills(),
            "Our orders change nothing about the recorded path.",
            f"Beside it {self.takers_per_day} small takers a day arrive, as in the sandbox."
            if self.takers_per_day
            else "Nobody trades beyond it.",
            others,
            f"A change lands {self.latency_ms} ms after it was decided; {self.loss:.1%} of them are lost, "
            "which is known a minute later.",
            f"A bundle tips {_sol(self.tip)} SOL, a transaction costs 0.000005 SOL; makers pay no fee.",
            f"The engine looks every {self.step_ms / 1000:g} s, when the price has moved by "
            f"{_percent(self.look_at)}, at fills and landings, and 20 s after a loss.",
            f"{self.wallets} wallets start with {_sol(self.sol)} SOL for bids and tokens worth "
            f"{_sol(self.tokens_worth)} SOL, gas at its floor, filled up from {_sol(self.gas)} SOL each; "
            "their accounts and lookup tables exist.",
            *self._of_treasury(dollars),
            "The tick of the market follows from the first and the lowest price; where settings name "
            "no seed, that of a sole maker is the first price."
            if self.sole_maker
            else "The tick of the market follows from the first and the lowest price.",
            "Nobody knows the supply: Target Control counts as TARGET_CONTROL_PCT says, else not at all.",
            "Fills settle at once; cranks, evictions and the room in the book are left out.",
            "Within a bar that rises the low comes before the high, else the high before the low.",
        ]

    def _of_fills(self) -> list[str]:
        if self.arbitrageurs:
            return [
                f"What the path passes is taken by {self.arbitrageurs} arbitrageurs, as in the sandbox: "
                "within 10 s after it moved, where 0.5 to 0.8 % are to be had, down to 0.2 %, 25 SOL at a "
                "time, out of wallets of their own.",
            ]
        reach = {
            "touch": "An order fills when a print reaches its price.",
            "through": "An order fills only when a print goes beyond its price.",
            "queue": "An order fills when a print goes beyond its price, or at it once what stood before it "
            f"({QUEUE_PRINTS} median prints) has traded.",
        }
        picked_off = "An order that comes to stand beyond the path's price fills there."
        return [
            reach[self.fills],
            "A print with a size fills no more than that, best order first; a bar fills all that it reaches.",
            f"Nobody comes for an order before the path is {_percent(self.edge)} beyond it.",
            *([picked_off] if self.sole_maker else []),
        ]

    def _of_treasury(self, dollars: str | None) -> list[str]:
        if dollars is None:
            return ["Without SOL/USD there is no treasury: nothing is converted."]
        held = f"{Decimal(int(self.usdc)) / MICROS_PER_USD:f} USDC and {_sol(self.treasury_sol)} SOL"
        return [
            f"A SOL costs what {dollars} says, each price until the next; the oracle is never stale.",
            f"The treasury starts with {held}; a swap costs {_percent(self.swap_cost)} of that price beside "
            "tip and fee, and moves no price.",
        ]


def _percent(share: Bps) -> str:
    return f"{Decimal(int(share)) / 100} %"


def _sol(lamports: Lamports) -> str:
    return f"{Decimal(int(lamports)) / LAMPORTS_PER_SOL:f}"
