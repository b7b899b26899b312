"""Keep the history of a running engine: opened with what was known before, written while it runs."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from bmv.app.assembly import Assembly
from bmv.config import Settings
from bmv.model import MarketSpec
from bmv.ports import Clock
from bmv.sandbox.clock import LoopClock
from bmv.secret import Secret
from bmv.services.history import EVERY_S, Historian
from bmv.services.mending import journalled
from bmv.services.recollection import Recollection
from bmv.state.folder import StateFolder
from bmv.state.history import History
from bmv.state.rows import Opening
from bmv.state.servers import local_database
from bmv.state.spool import Spool


@dataclass(frozen=True, slots=True)
class Keeping:
    """What was known before, and who writes what is added; its ``run`` is a service beside the engine's."""

    opening: Opening
    historian: Historian


@contextlib.asynccontextmanager
async def history_kept(
    assembly: Assembly,
    database_url: Secret,
    state: StateFolder,
    world: str,
    clock: Clock,
    *,
    memory: Recollection | None = None,
    haste: float = 1.0,
    every_s: float = EVERY_S,
) -> AsyncIterator[Keeping]:
    """Open the history of the engine's market in ``world``, and write it until the block ends.

    What earlier runs have left in spool and journal is written first; ``memory`` is what the journal
    remembers of them. ``every_s`` is by the loop's clock, which runs ``haste`` times as fast as real time.
    Raises Unreachable or Refused where the database does not answer, UnsafeState where its schema is not
    ours, BadInput where the spool cannot be written.
    """
    engine = assembly.engine
    async with contextlib.AsyncExitStack() as stack:
        history = History.at(database_url, assembly.spec, world, clock, haste=haste)
        stack.push_async_callback(history.close)
        spool = Spool(state.spool)
        stack.callback(spool.close)
        historian = Historian(history, spool, clock, lambda: engine.settings, engine.record, every_s=every_s)
        owners = [str(wallet.owner) for wallet in assembly.wallets]
        told = partial(journalled, state.journal, memory.pages if memory else ())
        opening = await historian.open(owners, engine.state.now, told)
        engine.listeners.append(historian)
        engine.record.sources.append(historian.measure)
        try:
            yield Keeping(opening, historian)
        finally:
            engine.listeners.remove(historian)
            await historian.finish()


async def history_seen(
    state: StateFolder, settings: Settings, spec: MarketSpec, world: str, clock: LoopClock
) -> Opening | None:
    """Return what a run would find in the history, and record nothing; None where none was kept yet.

    Raises BadInput, Unreachable or Refused where the database does not answer, UnsafeState where it is
    not ours.
    """
    if settings.database_url is None and not state.servers.is_dir():
        return None
    async with local_database(state, clock, settings.database_url) as url:
        history = History.at(url, spec, world, clock, starts=False)
        try:
            return await history.glimpse(clock.now(), settings.history_window, settings.price_max_age)
        finally:
            await history.close()
