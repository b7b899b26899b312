"""Our lookup tables: found on the chain, kept in view, turned into steps, and given to the packing.

A table of ours has our first wallet as its authority and begins with the market's own addresses, so it is
found without any database, and those of another market are left alone. Which accounts a table serves is read
from it, never remembered.
"""

from collections.abc import Sequence

from solders.pubkey import Pubkey
from solders.sysvar import RENT

from bmv.chain.message import NO_TABLES, AddressTable
from bmv.chain.rpc import AccountImage, Rpc
from bmv.errors import BadBytes, OutsideError
from bmv.events import CloseTable, ExtendTable, OpenTable, TableAction
from bmv.model import TableView, WalletIndex
from bmv.observe.log import get_logger
from bmv.services import compute
from bmv.services.accounts import WalletAccounts
from bmv.services.building import Step
from bmv.units import Lamports, Slot
from bmv.venue.lookup_table import (
    AUTHORITY_OFFSET,
    LOOKUP_TABLE_PROGRAM,
    MAX_ADDRESSES,
    LookupTable,
    close_lookup_table,
    create_lookup_table,
    deactivate_lookup_table,
    decode_lookup_table,
    extend_lookup_table,
    table_address,
)
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.token import TOKEN_PROGRAM

ADDRESSES_PER_STEP = 24


def shared_addresses(market: MarketKeys) -> tuple[Pubkey, ...]:
    """Return what the instructions of every wallet name; the market comes first."""
    books = market.market, market.request_queue, market.event_queue, market.bids, market.asks
    vaults = market.base_vault, market.quote_vault, market.vault_signer, market.base_mint, market.quote_mint
    return (*books, *vaults, TOKEN_PROGRAM, RENT)


async def find_tables(rpc: Rpc, authority: Pubkey, market: MarketKeys) -> list[Pubkey] | None:
    """Return the tables an earlier run has left for this market; None where the node does not say."""
    try:
        found = await rpc.program_accounts(
            LOOKUP_TABLE_PROGRAM, at=AUTHORITY_OFFSET, sample=b"\1" + bytes(authority)
        )
    except OutsideError as error:
        get_logger("tables").warning("lookup_tables_unknown", reason=str(error))
        return None
    return [key for key, image in found if _is_ours(image, market)]


def _is_ours(image: AccountImage, market: MarketKeys) -> bool:
    table = _decoded(image)
    return table is not None and table.addresses[:1] == (market.market,)


class TableBook:
    """The tables in view; ``known`` is None where nobody could say which there are: then none is used."""

    def __init__(
        self, market: MarketKeys, wallets: Sequence[WalletAccounts], known: Sequence[Pubkey] | None
    ) -> None:
        self._shared, self._wallets = shared_addresses(market), wallets
        self._known = known is not None
        self.keys: list[Pubkey] = list(known or ())
        self._tables: dict[Pubkey, LookupTable] = {}
        self._usable: dict[Pubkey, AddressTable] = {}
        self._of_payer: dict[Pubkey, tuple[AddressTable, ...]] = {}
        self._told: tuple[TableView, ...] | None = None

    def see(self, images: Sequence[AccountImage | None], slot: Slot) -> Lamports:
        """Take in what a reading shows of ``keys`` (of the first of them); return the lamports they hold."""
        shown = dict(zip(self.keys, images, strict=False))
        self._tables = {key: table for key, image in shown.items() if image and (table := _decoded(image))}
        self._usable = {
            key: self._table(key, usable)
            for key, table in self._tables.items()
            if (usable := table.usable(slot))
        }
        self._of_payer.clear()
        return Lamports(sum(int(image.lamports) for image in shown.values() if image))

    def _table(self, key: Pubkey, usable: Sequence[Pubkey]) -> AddressTable:
        """Return the same table as long as it does not grow: that is all a table ever does."""
        known = self._usable.get(key)
        if known is not None and known.size == len(usable):
            return known
        return AddressTable(bytes(key), [bytes(address) for address in usable])

    def news(self) -> tuple[TableView, ...] | None:
        """Return all tables if anything changed since the last time, else None."""
        views = tuple(self._view(key, table) for key, table in self._tables.items()) if self._known else None
        if views == self._told:
            return None
        self._told = views
        return views

    def of_payer(self, payer: Pubkey) -> tuple[AddressTable, ...]:
        """Return the table to use for what a wallet pays; none where none has its accounts yet."""
        if payer not in self._of_payer:
            self._of_payer[payer] = self._chosen(payer)
        return self._of_payer[payer]

    def steps(self, action: TableAction) -> list[Step]:
        """Return what carries a table action out; a table to be opened is kept in view from now on."""
        authority = self._wallets[0].owner
        if isinstance(action, OpenTable):
            table = table_address(authority, action.recent_slot)
            if table not in self.keys:
                self.keys.append(table)
            create = Step.of(
                authority, create_lookup_table(authority, action.recent_slot), compute.CREATE_TABLE
            )
            return [create, *self._extending(table, (*self._shared, *self._own(action.wallets)))]
        table = Pubkey.from_string(action.table)
        if isinstance(action, ExtendTable):
            return self._extending(table, self._own(action.wallets))
        if isinstance(action, CloseTable):
            return [Step.of(authority, close_lookup_table(table, authority, authority), compute.CLOSE_TABLE)]
        return [Step.of(authority, deactivate_lookup_table(table, authority), compute.CLOSE_TABLE)]

    def _extending(self, table: Pubkey, addresses: Sequence[Pubkey]) -> list[Step]:
        authority = self._wallets[0].owner
        return [
            Step.of(
                authority,
                extend_lookup_table(table, authority, addresses[start : start + ADDRESSES_PER_STEP]),
                compute.EXTEND_TABLE,
            )
            for start in range(0, len(addresses), ADDRESSES_PER_STEP)
        ]

    def _own(self, wallets: Sequence[WalletIndex]) -> tuple[Pubkey, ...]:
        return tuple(key for wallet in wallets for key in _accounts(self._wallets[wallet]))

    def _chosen(self, payer: Pubkey) -> tuple[AddressTable, ...]:
        wallet = next((one for one in self._wallets if one.owner == payer), None)
        if wallet is None:
            return NO_TABLES
        needed = [bytes(key) for key in (*self._shared, *_accounts(wallet))]
        usable = self._usable.values()
        return next(((table,) for table in usable if all(key in table.index for key in needed)), NO_TABLES)

    def _view(self, key: Pubkey, table: LookupTable) -> TableView:
        held = set(table.addresses)
        return TableView(
            address=str(key),
            wallets=tuple(
                index
                for index, wallet in enumerate(self._wallets)
                if held.issuperset(_accounts(wallet)) and held.issuperset(self._shared)
            ),
            room=MAX_ADDRESSES - len(table.addresses),
            retired=table.deactivated,
        )


def _accounts(wallet: WalletAccounts) -> tuple[Pubkey, Pubkey, Pubkey]:
    return wallet.open_orders, wallet.base, wallet.quote


def _decoded(image: AccountImage) -> LookupTable | None:
    """Return the table in an account; one that cannot be read is not used."""
    if image.owner != LOOKUP_TABLE_PROGRAM:
        return None
    try:
        return decode_lookup_table(image.data)
    except BadBytes:
        return None
