"""Dollars on the simulated chain: USDC's mint, the pool that trades it for SOL, and the treasury's wallet.

Rules
- USDC has its real address and six decimals; all of its supply is in the pool and the treasury.
- The pool's accounts stand in a lookup table that nobody can change any more, as routes' tables do.
"""

from dataclasses import dataclass
from decimal import Decimal

from bmv.sandbox import ata_program, lookup_table_program, spl_token
from bmv.sandbox.account import Account
from bmv.sandbox.jupiter_program import EVENT_AUTHORITY, POOL_AUTHORITY, PROGRAM_ID, USDC_MINT
from bmv.sandbox.lookup_table_program import NEVER, Meta
from bmv.sandbox.market_genesis import seeded_keypair, token_account
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD

POOL_SOL, POOL_USD = 2_000_000, 300_000_000
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Purse:
    """What the treasury starts with: plain SOL and USDC."""

    sol: Decimal = Decimal(40)
    usdc: Decimal = Decimal(6_000)


def table_key(seed: int) -> bytes:
    """Return the address of the pool's lookup table."""
    return bytes(seeded_keypair(seed, "pool table", 0).pubkey())


def table_addresses() -> list[bytes]:
    """Return what the pool's lookup table holds."""
    vaults = [ata_program.address(POOL_AUTHORITY, mint) for mint in (spl_token.NATIVE_MINT, USDC_MINT)]
    return [*vaults, POOL_AUTHORITY, EVENT_AUTHORITY, spl_token.NATIVE_MINT, USDC_MINT, spl_token.PROGRAM_ID]


def found_dollars(seed: int, treasury: bytes, purse: Purse) -> dict[bytes, Account]:
    """Return the accounts there are at the beginning."""
    held = int(purse.usdc * MICROS_PER_USD)
    supply = held + POOL_USD * MICROS_PER_USD
    mint = spl_token.MINT.pack(0, bytes(32), supply, DECIMALS, 1, 0, bytes(32))
    accounts = {
        USDC_MINT: Account(rent_exempt_lamports(len(mint)), mint, spl_token.PROGRAM_ID),
        POOL_AUTHORITY: Account(rent_exempt_lamports(0)),
        EVENT_AUTHORITY: Account(rent_exempt_lamports(0)),
        table_key(seed): _table(),
        treasury: Account(int(purse.sol * LAMPORTS_PER_SOL)),
    }
    for owner, mint_key, amount in (
        (POOL_AUTHORITY, spl_token.NATIVE_MINT, POOL_SOL * LAMPORTS_PER_SOL),
        (POOL_AUTHORITY, USDC_MINT, POOL_USD * MICROS_PER_USD),
        (treasury, USDC_MINT, held),
    ):
        accounts[ata_program.address(owner, mint_key)] = token_account(mint_key, owner, amount)
    return accounts


def _table() -> Account:
    data = Meta(1, NEVER, 0, 0, 0, bytes(32), 0).pack() + b"".join(table_addresses())
    return Account(rent_exempt_lamports(len(data)), data, lookup_table_program.PROGRAM_ID)


def swap_accounts(taker: bytes, input_mint: bytes) -> list[tuple[bytes, bool, bool]]:
    """Return the accounts of a swap in order, each with whether it signs and whether it is written."""
    output_mint = USDC_MINT if input_mint == spl_token.NATIVE_MINT else spl_token.NATIVE_MINT
    source, destination = (ata_program.address(taker, mint) for mint in (input_mint, output_mint))
    vault_in, vault_out = (ata_program.address(POOL_AUTHORITY, mint) for mint in (input_mint, output_mint))
    fixed = [
        (taker, True, False),
        (source, False, True),
        (destination, False, True),
        (input_mint, False, False),
        (output_mint, False, False),
        (spl_token.PROGRAM_ID, False, False),
        (spl_token.PROGRAM_ID, False, False),
        (PROGRAM_ID, False, False),
        (EVENT_AUTHORITY, False, False),
        (PROGRAM_ID, False, False),
    ]
    return [*fixed, (POOL_AUTHORITY, False, False), (vault_in, False, True), (vault_out, False, True)]
