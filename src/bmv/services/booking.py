"""What a conversion brought, from the transactions that made it, as the node tells them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from bmv.errors import Garbled
from bmv.services.accounts import TreasuryAccounts
from bmv.units import Lamports, MicroUsd


class Brought(NamedTuple):
    """What a wallet has more (or less, negative) through some transactions, the network's fees put back."""

    sol: Lamports
    usdc: MicroUsd


def brought_by(transactions: Sequence[dict[str, Any]], treasury: TreasuryAccounts) -> Brought:
    """Add up what transactions did to the treasury's accounts; raise Garbled where one does not tell."""
    sol = usdc = 0
    ours = {str(treasury.owner), str(treasury.usdc), str(treasury.wrapped)}
    for transaction in transactions:
        try:
            meta = transaction["meta"]
            keys = _keys(transaction)
            for key, had, has in zip(keys, meta["preBalances"], meta["postBalances"], strict=True):
                sol += int(has) - int(had) if key in ours else 0
            sol += int(meta["fee"]) if keys[0] == str(treasury.owner) else 0
            held = [
                _tokens(meta[name], keys, treasury.usdc) for name in ("preTokenBalances", "postTokenBalances")
            ]
            usdc += held[1] - held[0]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Garbled("rpc", f"a transaction without its balances: {error!r}") from error
    return Brought(Lamports(sol), MicroUsd(usdc))


def _keys(transaction: dict[str, Any]) -> list[str]:
    loaded = transaction["meta"].get("loadedAddresses") or {"writable": [], "readonly": []}
    static = transaction["transaction"]["message"]["accountKeys"]
    return [*static, *loaded["writable"], *loaded["readonly"]]


def _tokens(balances: Any, keys: Sequence[str], account: Pubkey) -> int:
    """Return the atoms of one token account among a transaction's balances; 0 where it was not open."""
    for balance in balances or ():
        if keys[balance["accountIndex"]] == str(account):
            return int(balance["uiTokenAmount"]["amount"])
    return 0
