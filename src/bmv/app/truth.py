"""What the simulated chain really holds, read from account bytes and from nothing the engine says."""

from collections.abc import Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey

from bmv.model import Side
from bmv.sandbox import spl_token
from bmv.sandbox.chain import Chain
from bmv.services.accounts import WalletAccounts
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM, decode_lookup_table
from bmv.venue.openbook_v1.codec import decode_open_orders
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.slab import decode_book_side
from bmv.venue.token import decode_mint, decode_token_account


class Standing(NamedTuple):
    """One order on the simulated book; ``wallet`` is None for a stranger's."""

    wallet: int | None
    side: Side
    price: int
    size: int


def standing_orders(chain: Chain, market: MarketKeys, wallets: Sequence[WalletAccounts]) -> list[Standing]:
    """Return every order on the book, best first, bids before asks."""
    owners = {bytes(wallet.open_orders): index for index, wallet in enumerate(wallets)}
    found = []
    for key in (market.bids, market.asks):
        side = decode_book_side(_data(chain, bytes(key)))
        found += [
            Standing(owners.get(order.owner), side.side, order.price_ticks, order.size_lots)
            for order in side.orders()
        ]
    return found


def locked_atoms(chain: Chain, wallets: Sequence[WalletAccounts]) -> int:
    """Return what is locked or unsettled in the wallets' OpenOrders accounts, both assets added as atoms."""
    total = 0
    for wallet in wallets:
        account = chain.account(bytes(wallet.open_orders))
        if account is not None and account.data:
            orders = decode_open_orders(bytes(account.data))
            total += orders.base_total + orders.quote_total
    return total


def tables_of(chain: Chain, authority: Pubkey) -> list[int]:
    """Return the lamports that each lookup table of an authority holds."""
    held = []
    for account in chain.bank.accounts.values():
        if account.owner == bytes(LOOKUP_TABLE_PROGRAM):
            table = decode_lookup_table(bytes(account.data))
            held += [account.lamports] if table.authority == authority else []
    return held


def residual_lamports(chain: Chain, genesis_lamports: int) -> int:
    """Return lamports that appeared (or vanished, negative) since genesis."""
    return chain.total_lamports() + chain.burnt_lamports - genesis_lamports


def residual_tokens(chain: Chain, mint: bytes) -> int:
    """Return token atoms in accounts beyond the mint's supply."""
    supply = decode_mint(_data(chain, mint)).supply
    held = 0
    for account in chain.bank.accounts.values():
        if account.owner == spl_token.PROGRAM_ID and len(account.data) == spl_token.ACCOUNT.size:
            holding = decode_token_account(bytes(account.data))
            held += holding.amount if bytes(holding.mint) == mint else 0
    return held - supply


def _data(chain: Chain, key: bytes) -> bytes:
    account = chain.account(key)
    return bytes(account.data) if account is not None else b""
