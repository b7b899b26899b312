"""The swap program of the simulated chain: one pool of SOL and USDC, at the price of the world outside.

Rules
- It runs ``route_v2`` alone: the taker's tokens go into the pool's vault, the pool's to the taker's account.
- The pool trades at the outside price less its fee, whatever the amount; its vaults are deep, not endless.
- What it brings is held to the quoted amount less the slippage allowed: below that it fails (code 6001).

Instruction (its own reading of the layout): discriminator 8 | amount in u64 | quoted out u64 | slippage u16
| platform fee u16 | positive slippage u16 | route plan. Accounts: taker (signs), source, destination, two
mints, two token programs, destination again or this program, event authority, this program; then of the
route the pool's authority and its two vaults, what goes in first.
"""

import hashlib
import struct
from collections.abc import Callable
from decimal import Decimal

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.account import Invocation, ProgramError

PROGRAM_ID = bytes(Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"))
USDC_MINT = bytes(Pubkey.from_string("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"))
ROUTE_V2 = hashlib.sha256(b"global:route_v2").digest()[:8]
EVENT_AUTHORITY = bytes(Pubkey.find_program_address([b"__event_authority"], Pubkey(PROGRAM_ID))[0])
POOL_AUTHORITY = bytes(Pubkey.find_program_address([b"sandbox pool"], Pubkey(PROGRAM_ID))[0])
POOL_FEE = Decimal("0.0004")
LAMPORTS_PER_SOL, MICROS = 10**9, 10**6
SLIPPAGE_EXCEEDED, NOT_ENOUGH_ACCOUNTS, WRONG_TOKEN_ACCOUNT = 6001, 6008, 6025
AMOUNTS = struct.Struct("<QQHHH")
BPS = 10_000
FIXED_ACCOUNTS = 10


def brings(spends: int, input_mint: bytes, price: Decimal) -> int:
    """Return what the pool gives for ``spends`` atoms at ``price`` (dollars per SOL), rounded down."""
    if input_mint == spl_token.NATIVE_MINT:
        return int(spends * price * MICROS / LAMPORTS_PER_SOL * (1 - POOL_FEE))
    return int(spends * LAMPORTS_PER_SOL / (price * MICROS) * (1 - POOL_FEE))


class JupiterProgram:
    """The program; ``price_at`` returns dollars per SOL at a time in ms."""

    def __init__(self, price_at: Callable[[int], Decimal]) -> None:
        self._price_at = price_at

    def process(self, invocation: Invocation) -> None:
        """Run one instruction; raises ``ProgramError``."""
        data, refs = invocation.data, invocation.accounts
        if data[:8] != ROUTE_V2 or len(data) < 8 + AMOUNTS.size:
            raise ProgramError("code", 101, "InstructionFallbackNotFound")
        if len(refs) < FIXED_ACCOUNTS + 3:
            raise ProgramError("code", NOT_ENOUGH_ACCOUNTS, "Not Enough Account keys")
        spends, quoted, slippage, _, _ = AMOUNTS.unpack_from(data, 8)
        taker, source, destination, input_mint = refs[:4]
        authority, vault_in, vault_out = refs[FIXED_ACCOUNTS : FIXED_ACCOUNTS + 3]
        if not taker.is_signer:
            raise ProgramError("invalid", why="MissingRequiredSignature")
        for ref in (source, vault_in):
            if spl_token.Holding.read(ref.account).mint != input_mint.key:
                raise ProgramError("code", WRONG_TOKEN_ACCOUNT, "Invalid token account")
        given = brings(spends, input_mint.key, self._price_at(invocation.unix_timestamp * 1000))
        if given < quoted * (BPS - slippage) // BPS:
            raise ProgramError("code", SLIPPAGE_EXCEEDED, "Slippage tolerance exceeded")
        if authority.key != POOL_AUTHORITY:
            raise ProgramError("invalid", why="InvalidSeeds")
        spl_token.transfer(source.account, vault_in.account, taker.key, spends)
        spl_token.transfer(vault_out.account, destination.account, POOL_AUTHORITY, given)
        invocation.logs.append(f"Program log: swapped {spends} for {given}")
