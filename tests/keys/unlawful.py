"""What a message does as solders sees it: an oracle that shares nothing with the policy."""

from collections.abc import Collection, Iterator

from solders.message import MessageV0
from solders.pubkey import Pubkey

from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.system import SYSTEM_PROGRAM
from bmv.venue.token import TOKEN_PROGRAM

RECEIVERS = {
    (SYSTEM_PROGRAM, (2).to_bytes(4, "little")): (1,),
    (TOKEN_PROGRAM, b"\x03"): (1,),
    (TOKEN_PROGRAM, b"\x0c"): (2,),
    (TOKEN_PROGRAM, b"\x09"): (1,),
    (OPENBOOK_V1, b"\0" + (5).to_bytes(4, "little")): (5, 6),
    (OPENBOOK_V1, b"\0" + (14).to_bytes(4, "little")): (2,),
}
"""Program and first bytes of data -> the places of accounts that get lamports or tokens."""


def receivers(message: MessageV0) -> Iterator[Pubkey | None]:
    """Yield who gets something by a message; None where a lookup table says so."""
    keys = message.account_keys
    for call in message.instructions:
        for (program, head), places in RECEIVERS.items():
            if keys[call.program_id_index] == program and bytes(call.data).startswith(head):
                for place in places:
                    index = call.accounts[place]
                    yield keys[index] if index < len(keys) else None


def is_harmless(raw: bytes, ours: Collection[Pubkey], programs: Collection[Pubkey]) -> bool:
    """Say whether only known programs are called and only we, or a tip account, get anything."""
    message = MessageV0.from_bytes(raw[1:])
    called = {message.account_keys[call.program_id_index] for call in message.instructions}
    return called <= set(programs) and all(one in ours for one in receivers(message))
