"""Take what was approved and send nothing: a dry run."""

import asyncio

from bmv.core.limits import Approved
from bmv.events import AnyAction, OnChain


class Rehearsal:
    """Stand where the dispatcher stands; ``asked`` is what it would have sent first, all at once."""

    def __init__(self) -> None:
        self.asked: list[AnyAction] = []
        self.called = asyncio.Event()

    def dispatch(self, approved: Approved) -> None:
        """Keep the first actions that would change something on the chain."""
        work: list[AnyAction] = [action for action in approved.actions if isinstance(action, OnChain)]
        if work and not self.asked:
            self.asked = work
            self.called.set()

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()
