"""The associated token account program: one well-known token account per wallet and mint.

Rules
- The address is the program address of (wallet, token program, mint); any other is refused.
- ``Create`` fails where the account exists; ``CreateIdempotent`` accepts the right one.
Source: the associated token account program's public interface.
"""

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token, system_program
from bmv.sandbox.account import AccountRef, Invocation, ProgramError

PROGRAM_ID = bytes(Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"))
INVALID_OWNER = 0
CREATE, CREATE_IDEMPOTENT = 0, 1


def address(wallet: bytes, mint: bytes) -> bytes:
    """Return the associated token account of ``wallet`` for ``mint`` (32 bytes each)."""
    seeds = [wallet, spl_token.PROGRAM_ID, mint]
    return bytes(Pubkey.find_program_address(seeds, Pubkey(PROGRAM_ID))[0])


def process(invocation: Invocation) -> None:
    """Run one instruction; raises ``ProgramError``."""
    tag = invocation.data[0] if invocation.data else CREATE
    if tag not in (CREATE, CREATE_IDEMPOTENT):
        raise ProgramError("invalid", why="InvalidInstructionData")
    if len(invocation.accounts) < 6:
        raise ProgramError("invalid", why="NotEnoughAccountKeys")
    payer, holding, wallet, mint = invocation.accounts[:4]
    if invocation.accounts[5].key != spl_token.PROGRAM_ID:
        raise ProgramError("invalid", why="IncorrectProgramId")
    if holding.key != address(wallet.key, mint.key):
        raise ProgramError("invalid", why="InvalidSeeds")
    if holding.account.owner == system_program.PROGRAM_ID:
        _create(payer, holding, wallet, mint)
    elif tag == CREATE:
        raise ProgramError("invalid", why="IllegalOwner")
    else:
        _accept(holding, wallet, mint)


def _create(payer: AccountRef, holding: AccountRef, wallet: AccountRef, mint: AccountRef) -> None:
    """Fund, allocate, assign and initialize; lamports already at the address count."""
    account = holding.account
    missing = system_program.rent_exempt_lamports(spl_token.ACCOUNT.size) - account.lamports
    if missing > 0:
        if not payer.is_signer:
            raise ProgramError("invalid", why="MissingRequiredSignature")
        system_program.transfer(payer.account, account, missing)
    system_program.allocate(account, spl_token.ACCOUNT.size)
    account.owner = spl_token.PROGRAM_ID
    spl_token.initialize_account(account, mint.key, mint.account, wallet.key)


def _accept(holding: AccountRef, wallet: AccountRef, mint: AccountRef) -> None:
    found = spl_token.Holding.read(holding.account)
    if found.owner != wallet.key:
        raise ProgramError("code", INVALID_OWNER, "associated account has another owner")
    if found.mint != mint.key:
        raise ProgramError("invalid", why="InvalidAccountData")
