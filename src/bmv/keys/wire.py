"""What goes between a signer and those who ask it: length-prefixed msgpack over a UNIX socket.

A frame is a 4-byte little-endian length and so many bytes of msgpack. One request, one answer, in turn. No
request carries a secret and no answer does; passphrase and keys never cross the socket.
"""

import struct
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from bmv.errors import Garbled
from bmv.keys.store import Role
from bmv.venue.openbook_v1.instructions import MarketKeys

PROTOCOL = 2
MAX_FRAME = 8 * 1024 * 1024
LENGTH = struct.Struct("<I")


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """Ask who is there."""

    protocol: int = PROTOCOL


class Serve(msgspec.Struct, tag="serve", frozen=True):
    """Tell which market is traded (its keys in the order of ``MarketKeys``) and which mints are ours too."""

    market: tuple[bytes, ...] = ()
    mints: tuple[bytes, ...] = ()


class Sign(msgspec.Struct, tag="sign", frozen=True):
    """Ask for signatures: each job is the number of a message and the key that signs it."""

    messages: tuple[bytes, ...]
    jobs: tuple[tuple[int, bytes], ...]


class Latch(msgspec.Struct, tag="latch", frozen=True):
    """Sign only ways out from now on."""

    reason: str


class Release(msgspec.Struct, tag="release", frozen=True):
    """Sign everything lawful again."""


class Renew(msgspec.Struct, tag="renew", frozen=True):
    """Take over what has changed in the keystore since it was opened."""


class Quit(msgspec.Struct, tag="quit", frozen=True):
    """Forget the keys and end."""


Request = Hello | Serve | Sign | Latch | Release | Renew | Quit


class Member(msgspec.Struct, frozen=True):
    """One wallet the signer holds."""

    pubkey: bytes
    role: Role


class State(msgspec.Struct, tag="state", frozen=True):
    """How the signer is: wallets in order, whether it is latched, what it has signed and refused so far.

    Its caps count minutes of ``speed`` seconds a second.
    """

    wallets: tuple[Member, ...]
    halted: bool
    signed: int
    refused: int
    pid: int
    protocol: int = PROTOCOL
    speed: float = 1.0


class Signed(msgspec.Struct, tag="signed", frozen=True):
    """One signature per job."""

    signatures: tuple[bytes, ...]


class Refusal(msgspec.Struct, tag="refusal", frozen=True):
    """Why nothing was done; ``rule`` names what stands against it."""

    rule: str
    why: str


Answer = State | Signed | Refusal

_ENCODER = msgspec.msgpack.Encoder()
_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def frame(value: Request | Answer) -> bytes:
    """Return a request or an answer with its length in front."""
    body = _ENCODER.encode(value)
    return LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """Return how many bytes follow; raise Garbled above ``MAX_FRAME``."""
    (length,) = LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise Garbled("signer", f"a frame of {length} bytes")
    return int(length)


def read_request(body: bytes) -> Request:
    """Return the request in a frame; raise Garbled where it is none."""
    try:
        return _REQUESTS.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise Garbled("signer's caller", "no request") from error


def read_answer(body: bytes) -> Answer:
    """Return the answer in a frame; raise Garbled where it is none."""
    try:
        return _ANSWERS.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise Garbled("signer", "no answer") from error


def pack_market(market: MarketKeys) -> tuple[bytes, ...]:
    """Return a market's keys in the order they are sent."""
    return tuple(bytes(getattr(market, name)) for name in market.__struct_fields__)


def unpack_market(keys: tuple[bytes, ...]) -> MarketKeys:
    """Return a market from its keys; raise Garbled where there are others than it has."""
    names = MarketKeys.__struct_fields__
    if len(keys) != len(names) or any(len(key) != 32 for key in keys):
        raise Garbled("signer's caller", f"{len(keys)} keys of a market")
    fields: dict[str, Any] = {name: Pubkey(key) for name, key in zip(names, keys, strict=True)}
    return MarketKeys(**fields)
