"""Signed wire transactions: build, measure, sign.

Rules of this file
- The compute limit comes first and the tip last, in one place, for what is measured and what is sent.
- No transaction above ``MAX_TRANSACTION_BYTES`` or ``MAX_INSTRUCTIONS`` leaves it.
- Nothing here fetches: blockhash, keys and lamports are arguments.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Protocol

from solders.pubkey import Pubkey
from solders.signature import Signature

from bmv.chain.message import (
    NO_TABLES,
    AddressTable,
    KeyRoles,
    MessageTemplate,
    Names,
    Piece,
    Shape,
    Templates,
    invoked_size,
    message_signers,
    short_length,
    split,
)
from bmv.units import Lamports
from bmv.venue.system import compute_unit_limit, transfer

MAX_TRANSACTION_BYTES = 1232
"""A packet: IPv6 minimum MTU 1280 less 48 of headers."""
MAX_INSTRUCTIONS = 64
MAX_ACCOUNTS = 64
"""What one transaction may lock, looked-up accounts included."""
ONWARD = 16
"""Ways on that a footprint keeps."""

Tip = tuple[Pubkey, Lamports]
"""Tip account and amount."""


class MessageSigner(Protocol):
    """Whatever holds keys and signs with them; ``elsewhere``: in another process, so asking takes a while."""

    @property
    def elsewhere(self) -> bool:
        """Say whether something else can be done while it signs."""
        ...

    def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
        """Return the 64-byte ed25519 signature of each (key, message), in order."""
        ...


class WalletSigner(MessageSigner, Protocol):
    """A signer that names whom it signs for."""

    def pubkeys(self) -> list[Pubkey]:
        """Return the wallets that trade, in order."""
        ...


def framed(payer: Pubkey, pieces: Sequence[Piece], compute_limit: int, tip: Tip | None) -> list[Piece]:
    """Put the compute limit (units) before the instructions and the payer's tip, if any, after them."""
    tail = [] if tip is None else [_tipping(payer, tip)]
    return [_compute_limit(compute_limit), *pieces, *tail]


@lru_cache(maxsize=1024)
def _compute_limit(units: int) -> Piece:
    return split(compute_unit_limit(units))


@lru_cache(maxsize=1024)
def _tipping(payer: Pubkey, tip: Tip) -> Piece:
    return split(transfer(payer, *tip))


_LIMIT_BYTES = invoked_size(_compute_limit(0)[0])


class Room:
    """What still fits into a transaction to which instructions are added, its compute limit included."""

    __slots__ = ("_count", "_footprint", "_payer", "_size")

    def __init__(self, payer: Pubkey, tables: Sequence[AddressTable] = NO_TABLES) -> None:
        self._payer = payer
        self._footprint = _limit_alone(payer, tuple(tables))
        self._count, self._size = 1, _LIMIT_BYTES

    def add(self, shape: Shape) -> None:
        """Take up the room of one more instruction."""
        self._footprint = self._footprint.naming(shape[0])
        self._count += 1
        self._size += invoked_size(shape)

    def left(self, names: Names) -> int:
        """Return the bytes there are for one more instruction that names these; none where it is full."""
        footprint = self._footprint.naming(names)
        if self._count >= MAX_INSTRUCTIONS or footprint.accounts > MAX_ACCOUNTS:
            return 0
        # The number of instructions takes one byte below 128.
        return MAX_TRANSACTION_BYTES - footprint.size - 1 - self._size

    def over(self, shapes: Sequence[Shape], tip: Tip | None = None) -> int:
        """Return by how many bytes it would be too large with these and the tip; at most 0 where they fit."""
        more = shapes if tip is None else [*shapes, _tipping(self._payer, tip)[0]]
        footprint, size = self._footprint, self._size
        for shape in more:
            footprint = footprint.naming(shape[0])
            size += invoked_size(shape)
        if self._count + len(more) > MAX_INSTRUCTIONS or footprint.accounts > MAX_ACCOUNTS:
            return MAX_TRANSACTION_BYTES
        return footprint.size + 1 + size - MAX_TRANSACTION_BYTES


class _Footprint:
    """What a signed transaction takes whatever is said to whom: bytes, and accounts it names.

    What a wallet sends names the same few sets of accounts over and over: each way on from here is
    measured once, and the most recent are kept.
    """

    __slots__ = ("_named", "_onward", "_payer", "_tables", "accounts", "size")

    def __init__(self, payer: bytes, named: frozenset[Names], tables: tuple[AddressTable, ...]) -> None:
        self._payer, self._named, self._tables = payer, named, tables
        self._onward: dict[Names, _Footprint] = {}
        roles = KeyRoles(payer)
        for names in sorted(named):
            roles.add((names, 0))
        signed = len(short_length(roles.signers)) + 64 * roles.signers
        self.size, self.accounts = signed + roles.fixed_size(tables), roles.keys

    def naming(self, names: Names) -> "_Footprint":
        """Return the footprint with these accounts named as well."""
        if names in self._named:
            return self
        onward = self._onward.get(names)
        if onward is None:
            if len(self._onward) == ONWARD:
                del self._onward[next(iter(self._onward))]
            onward = self._onward[names] = _Footprint(self._payer, self._named | {names}, self._tables)
        return onward


@lru_cache(maxsize=1024)
def _limit_alone(payer: Pubkey, tables: tuple[AddressTable, ...]) -> _Footprint:
    return _Footprint(bytes(payer), frozenset({_compute_limit(0)[0][0]}), tables)


def build_transaction(
    payer: Pubkey,
    pieces: Sequence[Piece],
    compute_limit: int,
    tip: Tip | None,
    blockhash: bytes,
    *,
    tables: Sequence[AddressTable] = NO_TABLES,
    templates: Templates = MessageTemplate,
) -> bytes:
    """Return the message of one transaction: compute limit (units), instructions, tip.

    What ``tables`` hold is named by index; a tip account must be in none of them (it would not count).
    With templates that are kept, shapes seen before cost a copy instead of a compilation; the bytes are the
    same.
    Raises ValueError where it would not fit.
    """
    whole = framed(payer, pieces, compute_limit, tip)
    if len(whole) > MAX_INSTRUCTIONS:
        raise ValueError(f"{len(whole)} instructions in one transaction; at most {MAX_INSTRUCTIONS}")
    shapes, datas = zip(*whole, strict=True)
    message = templates(payer, shapes, tuple(tables)).render(blockhash, datas)
    _refuse_oversize(len(message) + 1 + 64 * message[1])
    return message


def sign(message: bytes, signer: MessageSigner) -> bytes:
    """Return one wire transaction, as ``sign_all`` does."""
    return sign_all([message], signer)[0]


def sign_all(messages: Iterable[bytes], signer: MessageSigner) -> list[bytes]:
    """Return the wire transactions: every key a message names as a signer signs it, in its order.

    Raises ValueError where a result is too large or not a v0 message; what ``signer`` raises for a key it
    does not hold passes through.
    """
    whole = list(messages)
    jobs = [(pubkey, message) for message in whole for pubkey in message_signers(message)]
    signatures = iter(signer.sign_all(jobs))
    raws = [b"".join((short_length(one[1]), *islice(signatures, one[1]), one)) for one in whole]
    _refuse_oversize(max(map(len, raws), default=0))
    return raws


def signature(raw: bytes) -> str:
    """Return the first signature of a wire transaction in base58: the transaction's id."""
    if len(raw) < 65 or not 1 <= raw[0] < 0x80:
        raise ValueError("not a signed transaction")
    return str(Signature.from_bytes(raw[1:65]))


def _refuse_oversize(size: int) -> None:
    if size > MAX_TRANSACTION_BYTES:
        raise ValueError(f"a transaction of {size} bytes; at most {MAX_TRANSACTION_BYTES}")
