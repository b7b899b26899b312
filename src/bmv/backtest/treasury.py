"""The treasury on paper: what it holds, and what its conversions, payments and collections do to it.

Rules of this file
- A swap is made at the price of SOL when it lands, less ``cost``; one that would bring less than the engine
  would have signed for (MAX_ORACLE_DEVIATION_BPS, MAX_SLIPPAGE_BPS) fails as a whole.
- Nothing is carried out that treasury or wallet cannot pay for: it raises ChangeFailed and leaves no trace.
"""

from collections import Counter
from dataclasses import dataclass, field

from bmv.backtest.paper import ChangeFailed, Paper
from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.events import Collect, Convert, Fund, TreasuryAction
from bmv.model import Conversion, Direction
from bmv.units import Bps, Lamports, MicroUsd, UsdPerSol, lamports_worth, usd_value


@dataclass(slots=True)
class PaperTreasury:
    """``sol`` above its gas floor and ``usdc`` are held; ``rules`` counts conversions by who asked for them.

    ``bought`` and ``sold`` are lamports, ``turnover`` micro-dollars.
    """

    sol: Lamports
    usdc: MicroUsd
    cost: Bps
    rules: Counter[str] = field(default_factory=Counter)
    bought: Lamports = Lamports(0)
    sold: Lamports = Lamports(0)
    turnover: MicroUsd = MicroUsd(0)

    def carry_out(
        self, action: TreasuryAction, paper: Paper, sol_usd: UsdPerSol, settings: Settings
    ) -> tuple[Lamports, MicroUsd]:
        """Do what the engine asked for; return what a conversion changed, nothing for anything else."""
        if isinstance(action, Convert):
            return self._converted(action.conversion, sol_usd, settings)
        self._moved(action, paper)
        return Lamports(0), MicroUsd(0)

    def _converted(
        self, asked: Conversion, sol_usd: UsdPerSol, settings: Settings
    ) -> tuple[Lamports, MicroUsd]:
        buys, kept = asked.direction is Direction.BUY_SOL, BPS - int(self.cost)
        if buys:
            fair, brings = int(asked.sol), int(lamports_worth(asked.usdc, sol_usd)) * kept // BPS
        else:
            fair, brings = int(asked.usdc), int(usd_value(asked.sol, sol_usd)) * kept // BPS
        worst = (BPS - int(settings.max_oracle_deviation)) * (BPS - int(settings.max_slippage))
        sol, usdc = (Lamports(brings), -asked.usdc) if buys else (Lamports(0) - asked.sol, MicroUsd(brings))
        if self.sol + sol < Lamports(0) or self.usdc + usdc < MicroUsd(0) or brings < fair * worst // BPS**2:
            raise ChangeFailed
        self.sol, self.usdc = self.sol + sol, self.usdc + usdc
        self.rules[asked.rule] += 1
        self.bought += max(Lamports(0), sol)
        self.sold += max(Lamports(0), -sol)
        self.turnover += abs(usdc)
        return sol, usdc

    def _moved(self, action: Fund | Collect, paper: Paper) -> None:
        if isinstance(action, Collect):
            paper.take_free(action.wallet, int(action.lamports))
            self.sol += action.lamports
            return
        total = sum((share.lamports for share in action.shares), Lamports(0))
        if total > self.sol:
            raise ChangeFailed
        self.sol -= total
        for share in action.shares:
            paper.endow(share.wallet, int(share.lamports), is_gas=share.is_gas)
