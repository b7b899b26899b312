"""What accounts of ours brought when they were closed, as the transactions that closed them say.

A reading tells what an account held some slots before, and anybody may send lamports to it in between.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from solders.pubkey import Pubkey

from bmv.chain.rpc import Rpc
from bmv.chain.shape import exactly, natural
from bmv.errors import Garbled, OutsideError
from bmv.observe.log import get_logger
from bmv.units import Lamports

Brought = Mapping[Pubkey, Lamports]
NOTHING: Brought = MappingProxyType({})
PATIENCE_S = 4.0
"""The reading that shows them gone waits so long; then what was seen last has to do."""
AGAIN_S = 0.4
NEWEST = 10
"""Transactions of an account, newest first, among which the one that closed it is looked for."""


async def brought_by_closing(rpc: Rpc, closed: Sequence[Pubkey]) -> Brought:
    """Return the lamports each account held when it was closed; none where the node does not say in time."""
    found: dict[Pubkey, Lamports] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while missing := [key for key in closed if key not in found]:
                for key in missing:
                    brought = await _brought(rpc, key)
                    if brought is not None:
                        found[key] = brought
                if len(found) < len(closed):
                    await asyncio.sleep(AGAIN_S)
    except (OutsideError, TimeoutError) as error:
        unknown = [str(key) for key in closed if key not in found]
        get_logger("closing").warning("brought_unknown", accounts=unknown, reason=str(error) or "too late")
    return found


async def _brought(rpc: Rpc, key: Pubkey) -> Lamports | None:
    for record in await rpc.signatures_for_address(key, limit=NEWEST):
        transaction = await rpc.transaction(record.signature) if record.err is None else None
        if transaction is not None:
            before, after = _balances(transaction, key)
            if before and not after:
                return Lamports(before)
    return None


def _balances(transaction: dict[str, Any], key: Pubkey) -> tuple[int, int]:
    """Return what an account held before and after a transaction; raise Garbled where it does not say."""
    try:
        meta, message = transaction["meta"], transaction["transaction"]["message"]
        loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
        keys = [
            *message["accountKeys"],
            *loaded["writable"],
            *loaded["readonly"],
        ]
        index = keys.index(str(key))
        before, after = (exactly(len(keys), meta[name])[index] for name in ("preBalances", "postBalances"))
        return natural(before), natural(after)
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled("rpc", f"a transaction's balances: {error!r}") from error
