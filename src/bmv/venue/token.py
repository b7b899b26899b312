"""The classic SPL token program: its two account layouts, associated addresses, and the instructions we send.

Amounts are atoms of the mint; for wrapped SOL an atom is a lamport. Source: the program's ``state.rs`` and
``instruction.rs`` (solana-program/token) and the associated-token-account program's; docs/layouts.md.
"""

import struct
from enum import IntEnum

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.token import ID
from solders.token.associated import get_associated_token_address

from bmv.errors import BadBytes
from bmv.venue.system import SYSTEM_PROGRAM

TOKEN_PROGRAM = ID
ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")

TOKEN_ACCOUNT_SIZE = 165
MINT_SIZE = 82

_TOKEN_ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT = struct.Struct("<I32sQBBI32s")
_SHORT_U64 = struct.Struct("<BQ")

_TRANSFER = 3
_MINT_TO = 7
_CLOSE_ACCOUNT = 9
_SYNC_NATIVE = 17
_INITIALIZE_ACCOUNT_3 = 18
_INITIALIZE_MINT_2 = 20
_CREATE_IDEMPOTENT = 1


class TokenAccountState(IntEnum):
    """Whether a token account can be used."""

    INITIALIZED = 1
    FROZEN = 2


class TokenAccount(msgspec.Struct, frozen=True):
    """A token account; ``native_rent`` is None unless the mint is wrapped SOL."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    state: TokenAccountState
    native_rent: int | None
    delegate: Pubkey | None
    delegated_amount: int
    close_authority: Pubkey | None


class Mint(msgspec.Struct, frozen=True):
    """A mint; ``supply`` is in atoms, ``decimals`` turn atoms into tokens."""

    supply: int
    decimals: int
    mint_authority: Pubkey | None
    freeze_authority: Pubkey | None


def decode_token_account(data: bytes) -> TokenAccount:
    """Decode a token account (165 bytes); raise BadBytes when it is another thing or not initialised."""
    what = "token account"
    if len(data) != TOKEN_ACCOUNT_SIZE:
        raise BadBytes(what, f"{len(data)} bytes instead of {TOKEN_ACCOUNT_SIZE}")
    (
        mint,
        owner,
        amount,
        has_delegate,
        delegate,
        state,
        is_native,
        native_rent,
        delegated_amount,
        has_close_authority,
        close_authority,
    ) = _TOKEN_ACCOUNT.unpack(data)
    if state not in (TokenAccountState.INITIALIZED, TokenAccountState.FROZEN):
        raise BadBytes(what, f"state {state}")
    if is_native > 1:
        raise BadBytes(what, f"option tag {is_native}")
    return TokenAccount(
        Pubkey(mint),
        Pubkey(owner),
        amount,
        TokenAccountState(state),
        native_rent if is_native else None,
        _optional(what, has_delegate, delegate),
        delegated_amount,
        _optional(what, has_close_authority, close_authority),
    )


def decode_mint(data: bytes) -> Mint:
    """Decode a mint (82 bytes); raise BadBytes when it is another thing or not initialised."""
    what = "mint"
    if len(data) != MINT_SIZE:
        raise BadBytes(what, f"{len(data)} bytes instead of {MINT_SIZE}")
    has_authority, authority, supply, decimals, initialized, has_freeze, freeze = _MINT.unpack(data)
    if initialized != 1:
        raise BadBytes(what, "not initialised")
    return Mint(
        supply,
        decimals,
        _optional(what, has_authority, authority),
        _optional(what, has_freeze, freeze),
    )


def _optional(what: str, tag: int, address: bytes) -> Pubkey | None:
    if tag > 1:
        raise BadBytes(what, f"option tag {tag}")
    return Pubkey(address) if tag else None


def associated_token_address(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """Return the address of the owner's own token account for a mint of the classic token program."""
    return get_associated_token_address(owner, mint)


def create_associated_token_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """Create the owner's associated account unless it exists already; the payer signs and pays its rent."""
    accounts = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        _writable(associated_token_address(owner, mint)),
        _readonly(owner),
        _readonly(mint),
        _readonly(SYSTEM_PROGRAM),
        _readonly(TOKEN_PROGRAM),
    ]
    return Instruction(ASSOCIATED_TOKEN_PROGRAM, bytes([_CREATE_IDEMPOTENT]), accounts)


def transfer(source: Pubkey, destination: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    """Move ``amount`` atoms between two token accounts; the owner of ``source`` signs."""
    accounts = [_writable(source), _writable(destination), _signer(owner)]
    return Instruction(TOKEN_PROGRAM, _SHORT_U64.pack(_TRANSFER, amount), accounts)


def mint_to(mint: Pubkey, destination: Pubkey, authority: Pubkey, amount: int) -> Instruction:
    """Create ``amount`` new atoms in a token account; the mint authority signs."""
    accounts = [_writable(mint), _writable(destination), _signer(authority)]
    return Instruction(TOKEN_PROGRAM, _SHORT_U64.pack(_MINT_TO, amount), accounts)


def sync_native(account: Pubkey) -> Instruction:
    """Count the lamports that were sent to a wrapped SOL account."""
    return Instruction(TOKEN_PROGRAM, bytes([_SYNC_NATIVE]), [_writable(account)])


def close_account(account: Pubkey, destination: Pubkey, owner: Pubkey) -> Instruction:
    """Close an empty (or wrapped SOL) token account; its lamports go to ``destination``, the owner signs."""
    accounts = [_writable(account), _writable(destination), _signer(owner)]
    return Instruction(TOKEN_PROGRAM, bytes([_CLOSE_ACCOUNT]), accounts)


def initialize_account(account: Pubkey, mint: Pubkey, owner: Pubkey) -> Instruction:
    """Make a fresh 165-byte account a token account (InitializeAccount3)."""
    data = bytes([_INITIALIZE_ACCOUNT_3]) + bytes(owner)
    return Instruction(TOKEN_PROGRAM, data, [_writable(account), _readonly(mint)])


def initialize_mint(
    mint: Pubkey, decimals: int, authority: Pubkey, freeze_authority: Pubkey | None = None
) -> Instruction:
    """Make a fresh 82-byte account a mint (InitializeMint2)."""
    freeze = b"\0" if freeze_authority is None else b"\1" + bytes(freeze_authority)
    data = bytes([_INITIALIZE_MINT_2, decimals]) + bytes(authority) + freeze
    return Instruction(TOKEN_PROGRAM, data, [_writable(mint)])


def _writable(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=True)


def _readonly(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=False)


def _signer(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=True, is_writable=False)
