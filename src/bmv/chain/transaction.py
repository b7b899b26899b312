"""Signed wire transactions: build and sign.

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

from bmv.chain.layout import MAX_INSTRUCTIONS, MAX_TRANSACTION_BYTES, Layout, empty_layout
from bmv.chain.message import NO_TABLES, AddressTable, Piece, message_signers, short_length, split
from bmv.units import Lamports
from bmv.venue.system import compute_unit_limit, transfer

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


@lru_cache(maxsize=1024)
def _compute_limit(units: int) -> Piece:
    return split(compute_unit_limit(units))


@lru_cache(maxsize=1024)
def tipping(payer: Pubkey, tip: Tip) -> Piece:
    """Return the instruction that pays a tip."""
    return split(transfer(payer, *tip))


def fill(
    layout: Layout, datas: Sequence[bytes], compute_limit: int, tip: Tip | None, blockhash: bytes
) -> bytes:
    """Return the message of a layout: its instructions' data, the compute limit (units), then the tip.

    A tip account must be in none of the lookup tables (it would not count). Raises ValueError where it would
    not fit.
    """
    said = [_compute_limit(compute_limit)[1], *datas]
    if tip is not None:
        shape, data = tipping(layout.payer, tip)
        layout = layout.then(shape)
        said.append(data)
    if layout.instructions > MAX_INSTRUCTIONS:
        many = f"{layout.instructions} instructions in one transaction; at most {MAX_INSTRUCTIONS}"
        raise ValueError(many)
    message = layout.template.render(blockhash, said)
    _refuse_oversize(len(message) + 1 + 64 * message[1])
    return message


def build_transaction(
    payer: Pubkey,
    pieces: Sequence[Piece],
    compute_limit: int,
    tip: Tip | None,
    blockhash: bytes,
    *,
    tables: Sequence[AddressTable] = NO_TABLES,
) -> bytes:
    """Return the message of one transaction: compute limit (units), instructions, tip.

    What ``tables`` hold is named by index. Raises ValueError where it would not fit.
    """
    layout = empty_layout(payer, tables).after(shape for shape, _ in pieces)
    return fill(layout, [data for _, data in pieces], compute_limit, tip, blockhash)


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
