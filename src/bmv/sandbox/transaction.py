"""From wire bytes to a checked transaction: size, shape, signatures, compute budget, fee.

Rules
- Everything that does not depend on the chain's state is checked here, once, when the bytes come in.
- Fee: 5000 lamports per signature plus ceil(unit price x unit limit / 1,000,000); the limit, when not set, is
  200,000 units per instruction that is not a compute budget one, at most 1,400,000.
- Keys that a message looks up in tables are not among ``keys`` until the chain has resolved them.
"""

import struct
from dataclasses import dataclass

from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

PACKET_BYTES = 1232
MAX_INSTRUCTIONS = 64
LAMPORTS_PER_SIGNATURE = 5000
DEFAULT_UNITS = 200_000
MAX_UNITS = 1_400_000
COMPUTE_BUDGET = bytes(Pubkey.from_string("ComputeBudget111111111111111111111111111111"))

TxError = str | dict[str, object]
"""A transaction error as RPC answers carry it, such as ``{"InstructionError": [0, {"Custom": 1}]}``."""


class Rejected(Exception):
    """The transaction cannot be taken at all: it never lands and costs nothing."""

    def __init__(self, error: TxError, message: str) -> None:
        super().__init__(message)
        self.error, self.message = error, message


class Undecodable(Rejected):
    """The bytes are not a transaction."""

    def __init__(self, why: str) -> None:
        super().__init__("SanitizeFailure", why)


@dataclass(frozen=True, slots=True)
class Call:
    """One instruction: the program, indexes into the transaction's keys, and data."""

    program: bytes
    accounts: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a message takes from one lookup table: indexes of accounts to write and to read."""

    table: bytes
    writable: bytes
    readonly: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A well-formed transaction; ``writable`` is per key, the first ``signer_count`` keys sign.

    The first ``static_count`` keys stand in the message, the others come from ``message_lookups``;
    ``lookups`` are those that have not been resolved yet.
    """

    raw: bytes
    version: int | None
    signatures: tuple[str, ...]
    keys: tuple[bytes, ...]
    signer_count: int
    readonly_counts: tuple[int, int]
    writable: tuple[bool, ...]
    blockhash: str
    calls: tuple[Call, ...]
    unit_limit: int
    unit_price: int
    static_count: int
    lookups: tuple[Lookup, ...] = ()
    message_lookups: tuple[Lookup, ...] = ()

    @property
    def signature(self) -> str:
        """Return the first signature in base58, the transaction's name."""
        return self.signatures[0]

    @property
    def fee(self) -> int:
        """Return base fee plus priority fee in lamports."""
        return LAMPORTS_PER_SIGNATURE * self.signer_count - (-self.unit_price * self.unit_limit // 1_000_000)


def parse(raw: bytes, *, verify: bool = True) -> Transaction:
    """Decode and check ``raw``; raises ``Undecodable`` or ``Rejected`` (version, bad signature)."""
    if len(raw) > PACKET_BYTES:
        raise Undecodable(f"transaction is {len(raw)} bytes, at most {PACKET_BYTES} fit")
    try:
        signed = VersionedTransaction.from_bytes(raw)
        signed.sanitize()
    except ValueError as cut:
        raise Undecodable(f"failed to deserialize transaction: {cut}") from cut
    if bytes(signed) != raw:
        raise Undecodable("failed to deserialize transaction: trailing bytes")
    message = signed.message
    if not isinstance(message, Message | MessageV0):
        raise Rejected("UnsupportedVersion", "only legacy and version 0 transactions are simulated")
    if verify and not all(signed.verify_with_results()):
        raise Rejected("SignatureFailure", "Transaction signature verification failure")
    return _checked(raw, signed, message)


def _checked(raw: bytes, signed: VersionedTransaction, message: Message | MessageV0) -> Transaction:
    keys = tuple(bytes(key) for key in message.account_keys)
    if len(set(keys)) != len(keys):
        raise Rejected("AccountLoadedTwice", "Account loaded twice")
    calls = tuple(Call(keys[ix.program_id_index], tuple(ix.accounts), ix.data) for ix in message.instructions)
    if len(calls) > MAX_INSTRUCTIONS:
        raise Rejected(
            "SanitizeFailure", f"{len(calls)} instructions, at most {MAX_INSTRUCTIONS} are allowed"
        )
    header = message.header
    limit, price = _compute_budget(calls)
    lookups = _lookups(message)
    return Transaction(
        raw=raw,
        version=0 if isinstance(message, MessageV0) else None,
        signatures=tuple(str(signature) for signature in signed.signatures),
        keys=keys,
        signer_count=header.num_required_signatures,
        readonly_counts=(header.num_readonly_signed_accounts, header.num_readonly_unsigned_accounts),
        writable=_writable(message, keys, frozenset(call.program for call in calls)),
        blockhash=str(message.recent_blockhash),
        calls=calls,
        unit_limit=limit,
        unit_price=price,
        static_count=len(keys),
        lookups=lookups,
        message_lookups=lookups,
    )


def _lookups(message: Message | MessageV0) -> tuple[Lookup, ...]:
    if isinstance(message, Message):
        return ()
    return tuple(
        Lookup(bytes(one.account_key), bytes(one.writable_indexes), bytes(one.readonly_indexes))
        for one in message.address_table_lookups
    )


def _writable(
    message: Message | MessageV0, keys: tuple[bytes, ...], programs: frozenset[bytes]
) -> tuple[bool, ...]:
    """Apply the header's counts; a key that is called as a program is never writable."""
    header = message.header
    signers = header.num_required_signatures
    signed_end = signers - header.num_readonly_signed_accounts
    unsigned_end = len(keys) - header.num_readonly_unsigned_accounts
    return tuple(
        (index < signed_end or signers <= index < unsigned_end) and key not in programs
        for index, key in enumerate(keys)
    )


def _compute_budget(calls: tuple[Call, ...]) -> tuple[int, int]:
    """Return (unit limit, micro-lamports per unit) that the compute budget instructions ask for."""
    asked: dict[int, int] = {}
    shapes = {1: "<I", 2: "<I", 3: "<Q", 4: "<I"}
    for index, call in enumerate(calls):
        if call.program != COMPUTE_BUDGET:
            continue
        tag = call.data[0] if call.data else 0
        if tag not in shapes or len(call.data) < 1 + struct.calcsize(shapes[tag]):
            error: TxError = {"InstructionError": [index, "InvalidInstructionData"]}
            raise Rejected(error, f"Error processing Instruction {index}: invalid instruction data")
        if tag in asked:
            raise Rejected(
                {"DuplicateInstruction": index}, f"Transaction contains a duplicate instruction ({index})"
            )
        asked[tag] = struct.unpack_from(shapes[tag], call.data, 1)[0]
    working = sum(call.program != COMPUTE_BUDGET for call in calls)
    return min(asked.get(2, working * DEFAULT_UNITS), MAX_UNITS), asked.get(3, 0)
