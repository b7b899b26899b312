"""The market account and the accounts it names: checked, decoded, and opened.

Rules of this file
- A market names its vaults, queues and book sides; any other account in their place is refused.
- Totals live in attributes until ``store``. ``*_deposits`` is what the vault owes to OpenOrders
  accounts and fees, in atoms.
Source: the program's state.rs (Market::load, MarketState, account_parser).
"""

from struct import Struct

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account, AccountRef
from bmv.sandbox.openbook.failure import U64, Code, asserted, panicked, refused
from bmv.sandbox.openbook.queues import EventQueue
from bmv.sandbox.openbook.slab import Slab
from bmv.venue.openbook_v1.layouts import (
    FLAGS_OFFSET,
    HEAD_PADDING,
    MARKET_FIELDS,
    MARKET_SIZE,
    PERMISSIONED_MARKET_FIELDS,
    PERMISSIONED_MARKET_SIZE,
    TAIL_PADDING,
    AccountFlag,
)

ALL_FLAGS = sum(AccountFlag)
_DISABLED = int(AccountFlag.DISABLED)
_PERMISSIONED = int(AccountFlag.PERMISSIONED)
_CRANKED = int(AccountFlag.CRANK_AUTHORITY_REQUIRED)
_READY = int(AccountFlag.INITIALIZED | AccountFlag.MARKET)
_USABLE = {
    False: frozenset({_READY}),
    True: frozenset({_READY | _PERMISSIONED, _READY | _PERMISSIONED | _CRANKED}),
}

BODY = Struct("<" + "".join("32s" if kind == "pubkey" else "Q" for _, kind in MARKET_FIELDS.values()))
BODY_OFFSET = MARKET_FIELDS["own_address"][0]
_FLAGS = Struct("<Q")
_U64_FIELD = Struct("<Q")
_BASE_DEPOSITS = MARKET_FIELDS["base_deposits_total"][0]
_QUOTE_DEPOSITS = MARKET_FIELDS["quote_deposits_total"][0]
_QUOTE_FEES = MARKET_FIELDS["quote_fees_accrued"][0]
_REBATES = MARKET_FIELDS["referrer_rebates_accrued"][0]

TOKEN_ACCOUNT_SIZE = spl_token.ACCOUNT.size
_TOKEN_STATE = 108
_TOKEN_AMOUNT = 64


class Market:
    """A decoded market account; atoms are u64."""

    __slots__ = (
        "_account",
        "_asks",
        "_base_mint",
        "_base_vault",
        "_bids",
        "_event_queue",
        "_quote_mint",
        "_quote_vault",
        "_request_queue",
        "base_deposits",
        "base_lot",
        "flags",
        "own_address",
        "program_id",
        "quote_deposits",
        "quote_fees",
        "quote_lot",
        "rebates",
        "vault_nonce",
    )

    def __init__(self, account: Account, flags: int, program_id: bytes) -> None:
        self._account, self.flags, self.program_id = account, flags, program_id
        self.base_lot: int
        self.quote_lot: int
        self.quote_deposits: int
        self.quote_fees: int
        self.rebates: int
        (
            self.own_address,
            self.vault_nonce,
            self._base_mint,
            self._quote_mint,
            self._base_vault,
            self.base_deposits,
            _base_fees,
            self._quote_vault,
            self.quote_deposits,
            self.quote_fees,
            _dust,
            self._request_queue,
            self._event_queue,
            self._bids,
            self._asks,
            self.base_lot,
            self.quote_lot,
            _fee_rate,
            self.rebates,
        ) = BODY.unpack_from(account.data, BODY_OFFSET)

    def store(self) -> None:
        """Write the totals back, wrapped to 64 bits as the program's own sums are."""
        data = self._account.data
        _U64_FIELD.pack_into(data, _BASE_DEPOSITS, self.base_deposits & U64)
        _U64_FIELD.pack_into(data, _QUOTE_DEPOSITS, self.quote_deposits & U64)
        _U64_FIELD.pack_into(data, _QUOTE_FEES, self.quote_fees & U64)
        _U64_FIELD.pack_into(data, _REBATES, self.rebates & U64)

    def disable(self) -> None:
        """Set the disabled flag."""
        _FLAGS.pack_into(self._account.data, FLAGS_OFFSET, self.flags | _DISABLED)

    def _authority(self, field: str, needs: int) -> bytes | None:
        if not self.flags & needs:
            return None
        at = PERMISSIONED_MARKET_FIELDS[field][0]
        return bytes(self._account.data[at : at + 32])

    @property
    def open_orders_authority(self) -> bytes | None:
        """Return who must sign for new OpenOrders accounts, None when nobody."""
        return self._authority("open_orders_authority", _PERMISSIONED)

    @property
    def prune_authority(self) -> bytes | None:
        """Return who may prune, None when nobody."""
        return self._authority("prune_authority", _PERMISSIONED)

    @property
    def crank_authority(self) -> bytes | None:
        """Return who alone may crank, None when anybody may."""
        return self._authority("consume_events_authority", _CRANKED)

    def sides(self, bids: AccountRef, asks: AccountRef, lines: tuple[int, int]) -> tuple[Slab, Slab]:
        """Open both book sides; ``lines`` are the assertions a wrong bids and a wrong asks account meets."""
        if bids.key != self._bids:
            raise asserted(lines[0], "not the market's bids")
        if asks.key != self._asks:
            raise asserted(lines[1], "not the market's asks")
        return Slab(bids.account.data, is_bids=True), Slab(asks.account.data, is_bids=False)

    def request_queue(self, ref: AccountRef) -> bytearray:
        """Return the bytes of the request queue; raises WRONG_REQUEST_QUEUE."""
        if ref.key != self._request_queue:
            raise refused(Code.WRONG_REQUEST_QUEUE)
        return ref.account.data

    def event_queue(self, ref: AccountRef) -> EventQueue:
        """Open the event queue; raises WRONG_EVENT_QUEUE."""
        if ref.key != self._event_queue:
            raise refused(Code.WRONG_EVENT_QUEUE)
        return EventQueue(ref.account.data)

    def base_vault(self, ref: AccountRef) -> Account:
        """Check and return the base vault; raises ``ProgramError``."""
        return _named(ref, self._base_vault, Code.WRONG_BASE_VAULT)

    def quote_vault(self, ref: AccountRef) -> Account:
        """Check and return the quote vault; raises ``ProgramError``."""
        return _named(ref, self._quote_vault, Code.WRONG_QUOTE_VAULT)

    def base_wallet(self, ref: AccountRef) -> Account:
        """Check and return a token account of the base mint; raises ``ProgramError``."""
        return _of_mint(ref, self._base_mint, Code.WRONG_BASE_MINT)

    def quote_wallet(self, ref: AccountRef) -> Account:
        """Check and return a token account of the quote mint; raises ``ProgramError``."""
        return _of_mint(ref, self._quote_mint, Code.WRONG_QUOTE_MINT)

    def is_payer_mint(self, payer: Account, is_bid: bool) -> bool:
        """Return whether ``payer`` holds what an order of this side pays with."""
        mint: bytes = self._quote_mint if is_bid else self._base_mint
        return payer.data.startswith(mint)


def load_market(ref: AccountRef, program_id: bytes, allow_disabled: bool = False) -> Market:
    """Check and decode a market account; raises ``ProgramError``."""
    account = ref.account
    data = account.data
    if len(data) < FLAGS_OFFSET + 8:
        raise asserted(120, "too short for a market")
    flags: int = _FLAGS.unpack_from(data, FLAGS_OFFSET)[0]
    if flags & ~ALL_FLAGS:
        raise refused(Code.INVALID_MARKET_FLAGS)
    permissioned = bool(flags & _PERMISSIONED)
    if account.owner != program_id:
        raise asserted(236 if permissioned else 425, "market belongs to another program")
    if not data.startswith(HEAD_PADDING):
        raise asserted(367, "head padding")
    if not data.endswith(TAIL_PADDING):
        raise asserted(368, "tail padding")
    if len(data) != (PERMISSIONED_MARKET_SIZE if permissioned else MARKET_SIZE):
        raise panicked("size of the market account")
    if (flags & ~_DISABLED if allow_disabled else flags) not in _USABLE[permissioned]:
        raise refused(Code.INVALID_MARKET_FLAGS)
    return Market(account, flags, program_id)


def token_account(ref: AccountRef) -> Account:
    """Check and return an initialized token account; raises ``ProgramError``."""
    account = ref.account
    if account.owner != spl_token.PROGRAM_ID:
        raise asserted(1522, "not a token account")
    if len(account.data) != TOKEN_ACCOUNT_SIZE:
        raise asserted(1524, "size of the token account")
    if account.data[_TOKEN_STATE] != spl_token.STATE_INITIALIZED:
        raise asserted(1527, "token account not initialized")
    return account


def token_balance(account: Account) -> int:
    """Return the atoms in a token account."""
    balance: int = _U64_FIELD.unpack_from(account.data, _TOKEN_AMOUNT)[0]
    return balance


def check_signer(ref: AccountRef) -> None:
    """Fail where the account did not sign; raises ``ProgramError``."""
    if not ref.is_signer:
        raise asserted(1562, "signature missing")


def check_token_program(ref: AccountRef) -> None:
    """Fail where the account is not the token program; raises ``ProgramError``."""
    if ref.key != spl_token.PROGRAM_ID:
        raise asserted(1507, "not the token program")


def _named(ref: AccountRef, expected: bytes, otherwise: Code) -> Account:
    account = token_account(ref)
    if ref.key != expected:
        raise refused(otherwise)
    return account


def _of_mint(ref: AccountRef, mint: bytes, otherwise: Code) -> Account:
    account = token_account(ref)
    if account.data[:32] != mint:
        raise refused(otherwise)
    return account
