"""The system and compute budget programs' instructions, lamports and units spelled out; the clock sysvar."""

import struct

from solders import compute_budget, system_program
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.sysvar import CLOCK

from bmv.errors import BadBytes
from bmv.units import Lamports

__all__ = [
    "CLOCK",
    "COMPUTE_BUDGET_PROGRAM",
    "SYSTEM_PROGRAM",
    "compute_unit_limit",
    "compute_unit_price",
    "create_account",
    "create_account_with_seed",
    "decode_clock",
    "transfer",
]

SYSTEM_PROGRAM = system_program.ID
COMPUTE_BUDGET_PROGRAM = compute_budget.ID
_CLOCK = struct.Struct("<QqQQq")
"""Slot, start of the epoch, epoch, leader schedule's epoch, unix time in seconds."""


def compute_unit_limit(units: int) -> Instruction:
    """Let the transaction use up to ``units`` compute units."""
    return compute_budget.set_compute_unit_limit(units)


def compute_unit_price(micro_lamports: int) -> Instruction:
    """Pay a priority fee of ``micro_lamports`` (1e-6 lamports) per compute unit asked for."""
    return compute_budget.set_compute_unit_price(micro_lamports)


def transfer(source: Pubkey, destination: Pubkey, amount: Lamports) -> Instruction:
    """Move lamports; ``source`` signs."""
    return system_program.transfer(
        system_program.TransferParams(from_pubkey=source, to_pubkey=destination, lamports=int(amount))
    )


def create_account(payer: Pubkey, address: Pubkey, rent: Lamports, size: int, program: Pubkey) -> Instruction:
    """Create an account of ``size`` zero bytes that ``program`` owns; payer and the new address sign."""
    return system_program.create_account(
        system_program.CreateAccountParams(
            from_pubkey=payer, to_pubkey=address, lamports=int(rent), space=size, owner=program
        )
    )


def create_account_with_seed(
    payer: Pubkey, address: Pubkey, base: Pubkey, seed: str, rent: Lamports, size: int, program: Pubkey
) -> Instruction:
    """Create the account derived from ``base``, ``seed`` and ``program``; payer and base sign."""
    return system_program.create_account_with_seed(
        system_program.CreateAccountWithSeedParams(
            from_pubkey=payer,
            to_pubkey=address,
            base=base,
            seed=seed,
            lamports=int(rent),
            space=size,
            owner=program,
        )
    )


def decode_clock(data: bytes) -> int:
    """Return the chain's time in seconds since 1970; raise BadBytes where this is no clock sysvar."""
    if len(data) != _CLOCK.size:
        raise BadBytes("clock", f"{len(data)} bytes; {_CLOCK.size} expected")
    seconds: int = _CLOCK.unpack(data)[4]
    return seconds
