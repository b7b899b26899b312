"""The system program: making accounts, giving them to programs, moving lamports.

Rules
- Only an account owned by the system program and without data pays lamports out.
- A new account must be rent exempt; the chain checks that once more at the end of the transaction.
Source: the instruction enum of the Solana system interface (bincode, u32 tag first).
"""

import hashlib
import struct

from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError

PROGRAM_ID = bytes(32)
LAMPORTS_PER_BYTE = 6960
ACCOUNT_OVERHEAD = 128
MAX_DATA = 10 * 1024 * 1024
MAX_SEED = 32

ALREADY_IN_USE = 0
NOT_ENOUGH_LAMPORTS = 1
DATA_TOO_LONG = 3
ADDRESS_WITH_SEED_MISMATCH = 5

CREATE_ACCOUNT, ASSIGN, TRANSFER, CREATE_WITH_SEED, ALLOCATE = 0, 1, 2, 3, 8


def rent_exempt_lamports(data_len: int) -> int:
    """Return the lamports an account of ``data_len`` bytes must hold: 6960 x (128 + length)."""
    return LAMPORTS_PER_BYTE * (ACCOUNT_OVERHEAD + data_len)


def transfer(source: Account, destination: Account, lamports: int) -> None:
    """Move ``lamports``; raise ``ProgramError`` where the source may not or cannot pay."""
    if source.data or source.owner != PROGRAM_ID:
        raise ProgramError("invalid", why="InvalidArgument")
    if source.lamports < lamports:
        raise ProgramError("code", NOT_ENOUGH_LAMPORTS, "insufficient lamports")
    source.lamports -= lamports
    destination.lamports += lamports


def create_account(payer: Account, account: Account, lamports: int, space: int, owner: bytes) -> None:
    """Fund ``account`` from ``payer``, give it ``space`` zero bytes and ``owner``; it must not exist yet."""
    if account.lamports > 0:
        raise ProgramError("code", ALREADY_IN_USE, "account already in use")
    allocate(account, space)
    account.owner = owner
    transfer(payer, account, lamports)


def allocate(account: Account, space: int) -> None:
    """Give an empty system account ``space`` zero bytes."""
    if account.data or account.owner != PROGRAM_ID:
        raise ProgramError("code", ALREADY_IN_USE, "account already in use")
    if space > MAX_DATA:
        raise ProgramError("code", DATA_TOO_LONG, "data too long")
    account.data = bytearray(space)


def process(invocation: Invocation) -> None:
    """Run one system instruction; raises ``ProgramError``."""
    data, refs = invocation.data, invocation.accounts
    try:
        (tag,) = struct.unpack_from("<I", data)
        if tag == CREATE_ACCOUNT:
            lamports, space, owner = struct.unpack_from("<QQ32s", data, 4)
            _signed(refs[0], refs[1])
            create_account(refs[0].account, refs[1].account, lamports, space, owner)
        elif tag == CREATE_WITH_SEED:
            _create_with_seed(refs, data)
        elif tag == TRANSFER:
            (lamports,) = struct.unpack_from("<Q", data, 4)
            destination = refs[1].account
            _signed(refs[0])
            transfer(refs[0].account, destination, lamports)
        elif tag == ALLOCATE:
            (space,) = struct.unpack_from("<Q", data, 4)
            _signed(refs[0])
            allocate(refs[0].account, space)
        elif tag == ASSIGN:
            (owner,) = struct.unpack_from("<32s", data, 4)
            _assign(refs[0], owner)
        else:
            raise ProgramError("invalid", why="InvalidInstructionData")
    except struct.error as cut:
        raise ProgramError("invalid", why="InvalidInstructionData") from cut
    except IndexError as missing:
        raise ProgramError("invalid", why="NotEnoughAccountKeys") from missing


def _create_with_seed(refs: list[AccountRef], data: bytes) -> None:
    base, seed_len = struct.unpack_from("<32sQ", data, 4)
    seed = data[44 : 44 + seed_len]
    lamports, space, owner = struct.unpack_from("<QQ32s", data, 44 + seed_len)
    derived = hashlib.sha256(base + seed + owner).digest()
    if len(seed) > MAX_SEED or derived != refs[1].key:
        raise ProgramError("code", ADDRESS_WITH_SEED_MISMATCH, "address does not match its seed")
    _signed(refs[0])
    if not any(ref.key == base and ref.is_signer for ref in refs):
        raise ProgramError("invalid", why="MissingRequiredSignature")
    create_account(refs[0].account, refs[1].account, lamports, space, owner)


def _assign(ref: AccountRef, owner: bytes) -> None:
    if ref.account.owner == owner:
        return
    _signed(ref)
    if ref.account.owner != PROGRAM_ID:
        raise ProgramError("invalid", why="ModifiedProgramId")
    ref.account.owner = owner


def _signed(*refs: AccountRef) -> None:
    if not all(ref.is_signer for ref in refs):
        raise ProgramError("invalid", why="MissingRequiredSignature")
