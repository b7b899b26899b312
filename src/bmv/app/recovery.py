"""Before a run begins: read the journal of the runs before it, and see whether it speaks of this chain.

What cannot be found again is said, never guessed. Where it is not known which bundles of an earlier run may
still land, the start waits until none of them can.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bmv.chain.rpc import Rpc
from bmv.errors import BadInput
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.outcomes import EXPIRY_MARGIN
from bmv.services.recollection import Recollection, recollect
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
        await _outlive(rpc)
        return Recollection(market, tuple(owners), clock.now(), missing=str(error))
    if found is None or found.market != market:
        return None
    if found.mark is not None and not await _reaches(rpc, found.mark.slot):
        log.warning("ANOTHER_CHAIN", remembered=int(found.mark.slot))
        return None
    if found.bundles and found.owners != tuple(owners):
        # Its numbers mean other wallets. What it sent is still looked up, for what it has cost.
        await _outlive(rpc)
        found.actions.clear()
    return found


async def _reaches(rpc: Rpc, slot: Slot) -> bool:
    """Say whether the chain comes to a slot soon: a node may lag, a chain that began anew is far from it."""
    for _ in range(LAG_POLLS):
        if await rpc.slot() >= slot:
            return True
        await asyncio.sleep(POLL_S)
    return False


async def _outlive(rpc: Rpc) -> None:
    """Wait until nothing that was signed before now can land any more."""
    last = await rpc.block_height() + BLOCKHASH_LIFE + EXPIRY_MARGIN
    while await rpc.block_height() <= last:
        await asyncio.sleep(POLL_S)
