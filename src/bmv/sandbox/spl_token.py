"""The SPL token program: mints, token accounts, transfers, wrapped SOL.

Rules
- Layouts are exact: 165 bytes for a token account, 82 for a mint, little endian, options tagged by a u32.
- A native account's amount is its lamports above the rent reserve as of the last sync; a transfer moves both.
- ``transfer``, ``initialize_account`` and ``close_account`` are also what other programs call directly; their
  caller has checked that ``authority`` really signed.
- Multisig authorities do not exist here.
Source of layouts, tags and error codes: the SPL token program's public interface.
"""

import struct
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from operator import attrgetter

from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError
from bmv.sandbox.system_program import PROGRAM_ID as SYSTEM
from bmv.sandbox.system_program import rent_exempt_lamports

PROGRAM_ID = bytes.fromhex("06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9")
NATIVE_MINT = bytes.fromhex("069b8857feab8184fb687f634618c035dac439dc1aeb3b5598a0f00000000001")

NOT_RENT_EXEMPT, INSUFFICIENT_FUNDS, INVALID_MINT, MINT_MISMATCH, OWNER_MISMATCH, FIXED_SUPPLY = range(6)
ALREADY_IN_USE, NATIVE_NOT_SUPPORTED, NON_NATIVE_HAS_BALANCE, INVALID_INSTRUCTION = 6, 10, 11, 12
INVALID_STATE, OVERFLOW, AUTHORITY_TYPE, CANNOT_FREEZE = 13, 14, 15, 16
FROZEN, DECIMALS_MISMATCH, NON_NATIVE_NOT_SUPPORTED = 17, 18, 19

ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")
MINT = struct.Struct("<I32sQBBI32s")
STATE_INITIALIZED, STATE_FROZEN = 1, 2
U64_MAX = 2**64 - 1
NONE = bytes(32)


@dataclass(slots=True)
class Holding:
    """A token account, field by field in layout order; amounts in atoms."""

    mint: bytes
    owner: bytes
    amount: int
    has_delegate: int
    delegate: bytes
    state: int
    is_native: int
    reserve: int
    delegated: int
    has_closer: int
    closer: bytes

    @classmethod
    def read(cls, account: Account) -> "Holding":
        """Decode an initialized token account; raises ``ProgramError`` otherwise."""
        _owned(account)
        if len(account.data) != ACCOUNT.size:
            raise ProgramError("invalid", why="InvalidAccountData")
        holding = cls(*ACCOUNT.unpack(account.data))
        if holding.state == 0:
            raise ProgramError("invalid", why="UninitializedAccount")
        return holding

    def write(self, account: Account) -> None:
        """Encode into the account's own bytes."""
        ACCOUNT.pack_into(account.data, 0, *_HOLDING_FIELDS(self))

    def thawed(self) -> None:
        """Fail where the account is frozen."""
        if self.state == STATE_FROZEN:
            raise ProgramError("code", FROZEN, "account is frozen")


@dataclass(slots=True)
class Mint:
    """A mint, field by field in layout order; supply in atoms."""

    has_authority: int
    authority: bytes
    supply: int
    decimals: int
    initialized: int
    has_freezer: int
    freezer: bytes

    @classmethod
    def read(cls, account: Account) -> "Mint":
        """Decode an initialized mint; raises ``ProgramError`` otherwise."""
        _owned(account)
        if len(account.data) != MINT.size:
            raise ProgramError("invalid", why="InvalidAccountData")
        if not (mint := cls(*MINT.unpack(account.data))).initialized:
            raise ProgramError("invalid", why="UninitializedAccount")
        return mint

    def write(self, account: Account) -> None:
        """Encode into the account's own bytes."""
        MINT.pack_into(account.data, 0, *astuple(self))


# ``dataclasses.astuple`` copies deeply, which would be a quarter of the cost of an order.
_HOLDING_FIELDS = attrgetter(*(field.name for field in fields(Holding)))


def transfer(source: Account, destination: Account, authority: bytes, amount: int) -> None:
    """Move ``amount`` atoms (and, between native accounts, as many lamports).

    ``authority`` is the source's owner or delegate and has signed. Raises ``ProgramError``: code 1 short of
    funds, 3 different mints, 4 wrong authority, 17 frozen.
    """
    _move(source, destination, authority, amount, None)


def _move(
    source: Account,
    destination: Account,
    authority: bytes,
    amount: int,
    expected: tuple[AccountRef, int] | None,
) -> None:
    """Transfer; where ``expected`` names a mint and its decimals, they must be the source's."""
    paid, received = Holding.read(source), Holding.read(destination)
    paid.thawed()
    received.thawed()
    if paid.amount < amount:
        raise ProgramError("code", INSUFFICIENT_FUNDS, "insufficient funds")
    if paid.mint != received.mint:
        raise ProgramError("code", MINT_MISMATCH, "mint mismatch")
    if expected is not None:
        _require_decimals(paid, *expected)
    itself = source is destination
    _spend(paid, authority, 0 if itself else amount, asked=amount)
    if itself:
        return
    if received.amount + amount > U64_MAX:
        raise ProgramError("code", OVERFLOW, "overflow")
    paid.amount -= amount
    received.amount += amount
    if paid.is_native:
        source.lamports -= amount
        destination.lamports += amount
    paid.write(source)
    received.write(destination)


def initialize_account(account: Account, mint_key: bytes, mint: Account, owner: bytes) -> None:
    """Make ``account`` a holding of ``mint_key`` for ``owner``; wrapped SOL counts lamports above rent."""
    _owned(account)
    if len(account.data) != ACCOUNT.size:
        raise ProgramError("invalid", why="InvalidAccountData")
    if account.data[108]:
        raise ProgramError("code", ALREADY_IN_USE, "already in use")
    reserve = rent_exempt_lamports(ACCOUNT.size)
    if account.lamports < reserve:
        raise ProgramError("code", NOT_RENT_EXEMPT, "not rent exempt")
    native = mint_key == NATIVE_MINT
    if not native:
        _require_mint(mint)
    amount, held_back = (account.lamports - reserve, reserve) if native else (0, 0)
    Holding(mint_key, owner, amount, 0, NONE, STATE_INITIALIZED, int(native), held_back, 0, 0, NONE).write(
        account
    )


def close_account(account: Account, destination: Account, authority: bytes) -> None:
    """Empty the account into ``destination``; only wrapped SOL may be closed with a balance."""
    if account is destination:
        raise ProgramError("invalid", why="InvalidAccountData")
    holding = Holding.read(account)
    if not holding.is_native and holding.amount:
        raise ProgramError("code", NON_NATIVE_HAS_BALANCE, "account still holds tokens")
    _require_owner(holding.closer if holding.has_closer else holding.owner, authority)
    destination.lamports += account.lamports
    account.lamports = 0
    account.data = bytearray()
    account.owner = SYSTEM


def process(invocation: Invocation) -> None:
    """Run one token instruction; raises ``ProgramError``."""
    if not invocation.data:
        raise ProgramError("invalid", why="InvalidInstructionData")
    run = _INSTRUCTIONS.get(invocation.data[0])
    if run is None:
        raise ProgramError("code", INVALID_INSTRUCTION, "invalid instruction")
    try:
        run(invocation.accounts, invocation.data[1:])
    except struct.error as cut:
        raise ProgramError("code", INVALID_INSTRUCTION, "instruction data too short") from cut
    except IndexError as missing:
        raise ProgramError("invalid", why="NotEnoughAccountKeys") from missing


def _owned(account: Account) -> None:
    if account.owner != PROGRAM_ID:
        raise ProgramError("invalid", why="IncorrectProgramId")


def _require_owner(expected: bytes, authority: bytes) -> None:
    if expected != authority:
        raise ProgramError("code", OWNER_MISMATCH, "owner does not match")


def _require_mint(account: Account) -> None:
    try:
        Mint.read(account)
    except ProgramError as wrong:
        if account.owner != PROGRAM_ID:
            raise
        raise ProgramError("code", INVALID_MINT, "invalid mint") from wrong


def _signer(ref: AccountRef) -> bytes:
    if not ref.is_signer:
        raise ProgramError("invalid", why="MissingRequiredSignature")
    return ref.key


def _spend(holding: Holding, authority: bytes, amount: int, asked: int) -> None:
    """Check who spends; a delegate's allowance shrinks by ``amount`` and must cover ``asked``."""
    if not (holding.has_delegate and holding.delegate == authority):
        _require_owner(holding.owner, authority)
        return
    if holding.delegated < asked:
        raise ProgramError("code", INSUFFICIENT_FUNDS, "insufficient delegated funds")
    holding.delegated -= amount
    if not holding.delegated:
        holding.has_delegate, holding.delegate = 0, NONE


def _require_decimals(holding: Holding, mint: AccountRef, decimals: int) -> None:
    if holding.mint != mint.key:
        raise ProgramError("code", MINT_MISMATCH, "mint mismatch")
    if Mint.read(mint.account).decimals != decimals:
        raise ProgramError("code", DECIMALS_MISMATCH, "decimals mismatch")


def _option(data: bytes) -> bytes | None:
    (present,) = struct.unpack_from("<B", data)
    if not present:
        return None
    (key,) = struct.unpack_from("<32s", data, 1)
    return bytes(key)


def _initialize_mint(refs: list[AccountRef], data: bytes) -> None:
    decimals, authority = struct.unpack_from("<B32s", data)
    freezer = _option(data[33:])
    account = refs[0].account
    _owned(account)
    if len(account.data) != MINT.size:
        raise ProgramError("invalid", why="InvalidAccountData")
    if account.data[45]:
        raise ProgramError("code", ALREADY_IN_USE, "already in use")
    if account.lamports < rent_exempt_lamports(MINT.size):
        raise ProgramError("code", NOT_RENT_EXEMPT, "not rent exempt")
    Mint(1, authority, 0, decimals, 1, int(freezer is not None), freezer or NONE).write(account)


def _initialize_account(refs: list[AccountRef], _data: bytes) -> None:
    initialize_account(refs[0].account, refs[1].key, refs[1].account, refs[2].key)


def _initialize_account_for(refs: list[AccountRef], data: bytes) -> None:
    (owner,) = struct.unpack_from("<32s", data)
    initialize_account(refs[0].account, refs[1].key, refs[1].account, owner)


def _transfer(refs: list[AccountRef], data: bytes) -> None:
    (amount,) = struct.unpack_from("<Q", data)
    transfer(refs[0].account, refs[1].account, _signer(refs[2]), amount)


def _transfer_checked(refs: list[AccountRef], data: bytes) -> None:
    amount, decimals = struct.unpack_from("<QB", data)
    source, mint, destination, authority = refs[0], refs[1], refs[2], refs[3]
    _move(source.account, destination.account, _signer(authority), amount, (mint, decimals))


def _approve(refs: list[AccountRef], data: bytes) -> None:
    (amount,) = struct.unpack_from("<Q", data)
    source, delegate, owner = refs[0], refs[1], refs[2]
    holding = Holding.read(source.account)
    holding.thawed()
    _require_owner(holding.owner, _signer(owner))
    holding.has_delegate, holding.delegate, holding.delegated = 1, delegate.key, amount
    holding.write(source.account)


def _mint_to(refs: list[AccountRef], data: bytes) -> None:
    (amount,) = struct.unpack_from("<Q", data)
    holding = Holding.read(refs[1].account)
    holding.thawed()
    if holding.is_native:
        raise ProgramError("code", NATIVE_NOT_SUPPORTED, "native mint")
    if holding.mint != refs[0].key:
        raise ProgramError("code", MINT_MISMATCH, "mint mismatch")
    mint = Mint.read(refs[0].account)
    if not mint.has_authority:
        raise ProgramError("code", FIXED_SUPPLY, "fixed supply")
    _require_owner(mint.authority, _signer(refs[2]))
    if mint.supply + amount > U64_MAX:
        raise ProgramError("code", OVERFLOW, "overflow")
    holding.amount += amount
    mint.supply += amount
    holding.write(refs[1].account)
    mint.write(refs[0].account)


def _burn(refs: list[AccountRef], data: bytes) -> None:
    (amount,) = struct.unpack_from("<Q", data)
    holding, mint = Holding.read(refs[0].account), Mint.read(refs[1].account)
    holding.thawed()
    if holding.is_native:
        raise ProgramError("code", NATIVE_NOT_SUPPORTED, "native mint")
    if holding.amount < amount:
        raise ProgramError("code", INSUFFICIENT_FUNDS, "insufficient funds")
    if holding.mint != refs[1].key:
        raise ProgramError("code", MINT_MISMATCH, "mint mismatch")
    _spend(holding, _signer(refs[2]), amount, asked=amount)
    holding.amount -= amount
    mint.supply -= amount
    holding.write(refs[0].account)
    mint.write(refs[1].account)


def _close(refs: list[AccountRef], _data: bytes) -> None:
    close_account(refs[0].account, refs[1].account, _signer(refs[2]))


def _sync_native(refs: list[AccountRef], _data: bytes) -> None:
    holding = Holding.read(refs[0].account)
    if not holding.is_native:
        raise ProgramError("code", NON_NATIVE_NOT_SUPPORTED, "not a native account")
    amount = refs[0].account.lamports - holding.reserve
    if amount < holding.amount:
        raise ProgramError("code", INVALID_STATE, "lamports below the token amount")
    holding.amount = amount
    holding.write(refs[0].account)


def _set_authority(refs: list[AccountRef], data: bytes) -> None:
    (kind,) = struct.unpack_from("<B", data)
    new = _option(data[1:])
    if len(refs[0].account.data) == MINT.size:
        _set_mint_authority(refs[0].account, _signer(refs[1]), kind, new)
    else:
        _set_holding_authority(refs[0].account, _signer(refs[1]), kind, new)


def _set_mint_authority(account: Account, authority: bytes, kind: int, new: bytes | None) -> None:
    mint = Mint.read(account)
    if kind == 0:
        if not mint.has_authority:
            raise ProgramError("code", FIXED_SUPPLY, "fixed supply")
        _require_owner(mint.authority, authority)
        mint.has_authority, mint.authority = int(new is not None), new or NONE
    elif kind == 1:
        if not mint.has_freezer:
            raise ProgramError("code", CANNOT_FREEZE, "mint cannot freeze")
        _require_owner(mint.freezer, authority)
        mint.has_freezer, mint.freezer = int(new is not None), new or NONE
    else:
        raise ProgramError("code", AUTHORITY_TYPE, "authority type not supported")
    mint.write(account)


def _set_holding_authority(account: Account, authority: bytes, kind: int, new: bytes | None) -> None:
    holding = Holding.read(account)
    holding.thawed()
    if kind == 2:
        _require_owner(holding.owner, authority)
        if new is None:
            raise ProgramError("code", INVALID_INSTRUCTION, "an account needs an owner")
        holding.owner = new
        holding.has_delegate, holding.delegate, holding.delegated = 0, NONE, 0
        if holding.is_native:
            holding.has_closer, holding.closer = 0, NONE
    elif kind == 3:
        _require_owner(holding.closer if holding.has_closer else holding.owner, authority)
        holding.has_closer, holding.closer = int(new is not None), new or NONE
    else:
        raise ProgramError("code", AUTHORITY_TYPE, "authority type not supported")
    holding.write(account)


_INSTRUCTIONS: dict[int, Callable[[list[AccountRef], bytes], None]] = {
    0: _initialize_mint,
    1: _initialize_account,
    3: _transfer,
    4: _approve,
    6: _set_authority,
    7: _mint_to,
    8: _burn,
    9: _close,
    12: _transfer_checked,
    16: _initialize_account_for,
    17: _sync_native,
    18: _initialize_account_for,
    20: _initialize_mint,
}
