"""Before a run begins: read what the runs before it have left, and see whether it speaks of this chain.

What cannot be found again is said, never guessed. Where it is not known which bundles of an earlier run may
still land, the start waits until none of them can.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bmv.app.keeping import history_seen
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.errors import BadInput, OutsideError, UnsafeState
from bmv.model import MarketSpec
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.sandbox.clock import LoopClock
from bmv.services.mending import completed
from bmv.services.recollection import Recollection, recollect
from bmv.state.folder import StateFolder
from bmv.units import BlockHeight, Slot

BLOCKHASH_LIFE = BlockHeight(151)
POLL_S = 1.0
LAG_POLLS = 20


async def recovered(
    folder: Path, rpc: Rpc, market: str, owners: Sequence[str], clock: Clock
) -> Recollection | None:
    """Return what earlier runs have left; None where there was none of this market on this chain."""
    log = get_logger("recovery")
    try:
        found = recollect(folder)
    except BadInput as error:
        log.warning("JOURNAL_DAMAGED", reason=str(error))
        newest = await _outlive(rpc)
        return Recollection(market, tuple(owners), clock.now(), newest=newest, missing=str(error))
    if found is None or found.market != market:
        return None
    if not await speaks_of(found, rpc):
        log.warning("ANOTHER_CHAIN", remembered=found.chain, slot=int(found.newest))
        return None
    if found.owners != tuple(owners):
        # Its numbers mean other wallets. What it sent is still looked up, for what it has cost.
        if found.bundles:
            found.newest = max(found.newest, await _outlive(rpc))
        found.actions.clear()
        found.unbooked.clear()
    return found


async def glimpsed(
    state: StateFolder,
    settings: Settings,
    spec: MarketSpec,
    owners: Sequence[str],
    rpc: Rpc,
    clock: LoopClock,
) -> tuple[Recollection | None, str]:
    """Return what a run would begin with, and why it is not all that was recorded; nothing is changed."""
    missing: list[str] = []
    memory = opening = None
    try:
        with clock.hold():
            memory = await asyncio.to_thread(recollect, state.journal) if state.journal.is_dir() else None
        if memory is not None and memory.market != spec.address:
            memory = None
        if memory is not None and not await speaks_of(memory, rpc):
            memory = None
            missing.append("the journal is of another chain")
    except BadInput as error:
        missing.append(str(error))
    try:
        opening = await history_seen(state, settings, spec, await rpc.genesis_hash(), clock)
    except (BadInput, OutsideError, UnsafeState) as error:
        missing.append(str(error))
    found = completed(memory, opening, spec.address, owners) if opening else memory
    return found, "; ".join(missing)


async def speaks_of(found: Recollection, rpc: Rpc) -> bool:
    """Say whether what is remembered happened on the node's chain: by its genesis, however far the node lags.

    A journal of before that was told has only its slot to go by.
    """
    if found.chain:
        return await rpc.genesis_hash() == found.chain
    return found.mark is None or await _reaches(rpc, found.mark.slot)


async def _reaches(rpc: Rpc, slot: Slot) -> bool:
    """Say whether the chain comes to a slot soon: a node may lag, a chain that began anew is far from it."""
    for _ in range(LAG_POLLS):
        if await rpc.slot() >= slot:
            return True
        await asyncio.sleep(POLL_S)
    return False


async def _outlive(rpc: Rpc) -> Slot:
    """Wait until nothing that was signed before now can land any more; return from which slot on."""
    last = (await rpc.block_height()).height + BLOCKHASH_LIFE
    while (now := await rpc.block_height()).height <= last:
        await asyncio.sleep(POLL_S)
    return now.slot
