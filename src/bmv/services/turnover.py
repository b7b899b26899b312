"""What conversions came to: how many, how much, what they cost on the chain.

What they cost against the oracle's price is a part of the ledger (``conversions``).
"""

from dataclasses import dataclass, field

from bmv.events import AnyAction, BundleResolved, Convert, Converted
from bmv.model import Outcome
from bmv.units import Lamports, MicroUsd


@dataclass(slots=True)
class Turnover:
    """Conversions so far; ``bought`` and ``sold`` in SOL, ``usdc`` both ways, ``network`` tips and fees."""

    count: int = 0
    bought: Lamports = Lamports(0)
    sold: Lamports = Lamports(0)
    usdc: MicroUsd = MicroUsd(0)
    network: Lamports = Lamports(0)
    unproven: int = 0
    _tickets: set[int] = field(default_factory=set)

    def did(self, action: AnyAction) -> None:
        """Note what was asked for."""
        if isinstance(action, Convert):
            self._tickets.add(action.ticket)

    def resolved(self, event: BundleResolved) -> None:
        """Count what a landed conversion cost on the chain."""
        if event.outcome is Outcome.LANDED and not self._tickets.isdisjoint(event.tickets):
            self.network += event.cost.fees + event.cost.tip
        self._tickets -= set(event.tickets)

    def converted(self, event: Converted) -> None:
        """Count what a conversion brought."""
        self.count += 1
        self.unproven += not event.proven
        self.bought += max(Lamports(0), event.sol)
        self.sold += max(Lamports(0), -event.sol)
        self.usdc += abs(event.usdc)
