"""What accounts of ours brought when they were closed, as the transactions that closed them say.

A reading tells what an account held some slots before, and anybody may send lamports to it in between. SOL
that was wrapped in it is no rent: it was its wallet's all the time.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, Rpc
from bmv.chain.shape import exactly, natural
from bmv.errors import Garbled, OutsideError
from bmv.model import Leftover, WalletIndex
from bmv.observe.log import get_logger
from bmv.units import Lamports
from bmv.venue.token import TOKEN_ACCOUNT_SIZE, TOKEN_PROGRAM, WRAPPED_SOL, decode_token_account

Brought = Mapping[Pubkey, Lamports]
Shown = Mapping[Pubkey, tuple[WalletIndex, AccountImage | None]]
"""What a reading shows of accounts, and which wallet has the rent in them."""
NOTHING: Brought = MappingProxyType({})
PATIENCE_S = 4.0
"""The reading that shows them gone waits so long; then what was seen last has to do."""
AGAIN_S = 0.4
NEWEST = 10
"""Transactions of an account, newest first, among which the one that closed it is looked for."""


class WorkingAccounts:
    """The accounts the engine works with, and the rent each was last seen to hold."""

    def __init__(self) -> None:
        self._rent: dict[Pubkey, Lamports] = {}

    def closed(self, shown: Shown) -> list[Pubkey]:
        """Return those that were there, and are gone in what a reading shows."""
        return [key for key, (_, image) in shown.items() if image is None and key in self._rent]

    def see(self, shown: Shown, brought: Brought) -> tuple[Leftover, ...]:
        """Take in what a reading shows; return those that are gone, with what closing them ``brought``."""
        gone = tuple(
            Leftover(str(key), shown[key][0], brought.get(key, self._rent[key]), working=True)
            for key in self.closed(shown)
        )
        self._rent = {key: _rent(image) for key, (_, image) in shown.items() if image is not None}
        return gone


def _rent(image: AccountImage) -> Lamports:
    """Return an account's lamports without those that are wrapped in it."""
    if image.owner != TOKEN_PROGRAM or len(image.data) != TOKEN_ACCOUNT_SIZE:
        return image.lamports
    account = decode_token_account(image.data)
    return image.lamports - Lamports(account.amount if account.mint == WRAPPED_SOL else 0)


async def brought_by_closing(rpc: Rpc, closed: Sequence[Pubkey]) -> Brought:
    """Return the lamports each account gave back when closed; none where the node does not say in time."""
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
            before, after, wrapped = _balances(transaction, key)
            if before and not after:
                return Lamports(before - wrapped)
    return None


def _balances(transaction: dict[str, Any], key: Pubkey) -> tuple[int, int, int]:
    """Return what an account held before and after a transaction, and how much of it was wrapped before.

    Raises Garbled where the transaction does not say.
    """
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
        wrapped = [
            natural(int(held["uiTokenAmount"]["amount"]))
            for held in meta.get("preTokenBalances") or ()
            if held["accountIndex"] == index and held["mint"] == str(WRAPPED_SOL)
        ]
        return natural(before), natural(after), sum(wrapped)
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled("rpc", f"a transaction's balances: {error!r}") from error
