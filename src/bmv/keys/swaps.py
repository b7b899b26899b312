"""Jupiter's swap instructions, as far as a signer has to know them: who pays, who gets, how much at most.

Four instructions, two generations; the route plan between them has a length of its own and is not read.
Source: Jupiter's published interface (IDL of ``JUP6Lkb...``): an 8-byte discriminator
(SHA-256 of ``global:name``), then

- first generation: [id u8,] route plan, in amount u64, quoted out u64, slippage u16, platform fee u8;
- second (``_v2``): [id u8,] in amount u64, quoted out u64, slippage u16, platform fee u16, positive
  slippage u16, route plan.
"""

import hashlib
import struct
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.keys.decoded import Instruction

JUPITER = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
_TAIL = struct.Struct("<QQHB")
_HEAD = struct.Struct("<QQHHH")


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap's token accounts (None: out of a lookup table), what it spends in atoms, and the slippage."""

    source: bytes | None
    destination: bytes | None
    spends: int
    quoted: int
    slippage_bps: int
    fee_bps: int


@dataclass(frozen=True, slots=True)
class _Shape:
    source: int
    destination: int
    receiver: int | None
    is_second: bool
    has_id: bool


def _discriminator(name: str) -> bytes:
    return hashlib.sha256(f"global:{name}".encode()).digest()[:8]


_SHAPES = {
    _discriminator("route"): _Shape(2, 3, 4, is_second=False, has_id=False),
    _discriminator("shared_accounts_route"): _Shape(3, 6, None, is_second=False, has_id=True),
    _discriminator("route_v2"): _Shape(1, 2, 7, is_second=True, has_id=False),
    _discriminator("shared_accounts_route_v2"): _Shape(2, 5, None, is_second=True, has_id=True),
}


def read_swap(call: Instruction) -> Swap:
    """Return what a swap instruction moves; raise BadBytes where it is none of the four.

    ``route`` may name another receiver than the user's own account; that one counts then.
    """
    shape = _SHAPES.get(call.data[:8])
    if shape is None:
        raise BadBytes("swap", f"instruction {call.data[:8].hex()} of Jupiter is not known")
    data = call.data[8 + shape.has_id :]
    try:
        if shape.is_second:
            spends, quoted, slippage, fee, _positive = _HEAD.unpack_from(data)
        else:
            spends, quoted, slippage, fee = _TAIL.unpack(data[-_TAIL.size :])
        source, destination = call.accounts[shape.source], call.accounts[shape.destination]
        # An account that is left out is named by the program's own key.
        if shape.receiver is not None and call.accounts[shape.receiver] != call.program:
            destination = call.accounts[shape.receiver]
    except (struct.error, IndexError) as error:
        raise BadBytes("swap", "too short for what it says it is") from error
    return Swap(source, destination, spends, quoted, slippage, fee)
