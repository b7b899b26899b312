"""The accounts there are before anybody acts: programs, sysvars, wrapped SOL's mint, tip accounts.

The eight tip accounts are the Block Engine's own on mainnet ("have remained constant", Jito's documentation).
"""

import struct
from collections.abc import Iterable

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account
from bmv.sandbox.system_program import LAMPORTS_PER_BYTE, rent_exempt_lamports

NATIVE_LOADER = bytes(Pubkey.from_string("NativeLoader1111111111111111111111111111111"))
SYSVAR_OWNER = bytes(Pubkey.from_string("Sysvar1111111111111111111111111111111111111"))
CLOCK_SYSVAR = bytes(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"))
RENT_SYSVAR = bytes(Pubkey.from_string("SysvarRent111111111111111111111111111111111"))
WRAPPED_SOL_DECIMALS = 9
TIP_ACCOUNTS = tuple(
    bytes(Pubkey.from_string(text))
    for text in (
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
        "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
        "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
        "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    )
)


def infrastructure(programs: Iterable[bytes]) -> dict[bytes, Account]:
    """Return those accounts; ``programs`` are the ids to mark executable."""
    accounts = {program: Account(1, b"", NATIVE_LOADER, True) for program in programs}
    rent = struct.pack("<QdB", LAMPORTS_PER_BYTE // 2, 2.0, 50)
    accounts[RENT_SYSVAR] = Account(rent_exempt_lamports(len(rent)), rent, SYSVAR_OWNER)
    clock = clock_data(0, 0, 0)
    accounts[CLOCK_SYSVAR] = Account(rent_exempt_lamports(len(clock)), clock, SYSVAR_OWNER)
    native = spl_token.MINT.pack(0, bytes(32), 0, WRAPPED_SOL_DECIMALS, 1, 0, bytes(32))
    accounts[spl_token.NATIVE_MINT] = Account(rent_exempt_lamports(len(native)), native, spl_token.PROGRAM_ID)
    for tip_account in TIP_ACCOUNTS:
        accounts[tip_account] = Account(rent_exempt_lamports(0))
    return accounts


def clock_data(slot: int, epoch: int, unix_timestamp: int) -> bytes:
    """Return the data of the clock sysvar; its epochs begin when the chain does."""
    return struct.pack("<QqQQq", slot, 0, epoch, epoch + 1, unix_timestamp)
