"""Take what was approved and send nothing: a dry run."""

import asyncio

from bmv.config import Settings
from bmv.core.limits import Approved
from bmv.core.outlook import as_opened
from bmv.core.state import Phase, State
from bmv.events import AnyAction, OnChain, Report


class Rehearsal:
    """Stand where the dispatcher stands; ``asked`` is what it would have sent first, all at once.

    ``called`` once that is known, or that there is nothing to send.
    """

    def __init__(self, settings: Settings) -> None:
        self.asked: list[AnyAction] = []
        self.approved: Approved | None = None
        self.called = asyncio.Event()
        self._waits_for_oracle = settings.pivot_mode == "sol_fade_in"

    def dispatch(self, approved: Approved) -> None:
        """Keep the first actions that would change something on the chain."""
        work: list[AnyAction] = [action for action in approved.actions if isinstance(action, OnChain)]
        rebuilt = any(isinstance(each, Report) and each.name == "GRID_REBUILD" for each in approved.actions)
        if self.approved is None and (work or rebuilt):
            self.asked, self.approved = work, approved

    def follow(self, state: State) -> None:
        """See whether enough is known to tell what the ladder comes to."""
        patient = self._waits_for_oracle and state.oracle.sol_usd is None
        priceless = state.phase is Phase.QUOTING and state.market.reading is None
        known = self.approved is not None or priceless
        if state.phase in (Phase.HALTING, Phase.DONE) or (known and not patient):
            self.called.set()

    def conclude(self, state: State, settings: Settings) -> Approved | None:
        """Return the decision about the ladder, accounts seen as open; None where there could be none yet."""
        if state.phase is Phase.STARTING and self.asked:
            return as_opened(state, settings)
        return self.approved

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()
