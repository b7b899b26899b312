"""Version 0 message bytes -> what would be done; strict, because a signature follows.

Rules of this file
- Every byte is accounted for and every index leads somewhere, else BadBytes.
- What a lookup table would put in is None: nobody here can know what the table holds. A program that is
  called, and everybody who signs, is a static key; the chain asks for that too.
- It shares no code with what compiles messages (``chain/message.py``, where the layout is drawn).
"""

from dataclasses import dataclass

from bmv.errors import BadBytes

VERSION_0 = 0x80
_MAX_MESSAGE = 1232


@dataclass(frozen=True, slots=True)
class Instruction:
    """One call: the program's key, the accounts it names (None: out of a lookup table), and its data."""

    program: bytes
    accounts: tuple[bytes | None, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message; the first ``signers`` of its static keys sign, the very first pays."""

    keys: tuple[bytes, ...]
    signers: int
    writable: frozenset[bytes]
    looked_up: int
    instructions: tuple[Instruction, ...]

    @property
    def payer(self) -> bytes:
        """Return who pays the fees."""
        return self.keys[0]


class _Bytes:
    """Read from the front."""

    __slots__ = ("_at", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._raw):
            raise BadBytes("message", "it ends too early")
        piece = self._raw[self._at : end]
        self._at = end
        return piece

    def short(self) -> int:
        """Read a compact-u16; one that is longer than it needs to be is refused, as the chain does."""
        value = 0
        for place in range(3):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                if (place and not byte) or value > 0xFFFF:
                    break
                return value
        raise BadBytes("message", "a length that is none")

    def end(self) -> None:
        if self._at != len(self._raw):
            raise BadBytes("message", "bytes after its end")


def decode_message(raw: bytes) -> Message:
    """Return what a version 0 message says; raise BadBytes where it is none, or contradicts itself."""
    if len(raw) > _MAX_MESSAGE:
        raise BadBytes("message", f"{len(raw)} bytes; at most {_MAX_MESSAGE}")
    source = _Bytes(raw)
    version, signers, read_only_signers, read_only = source.take(4)
    if version != VERSION_0:
        raise BadBytes("message", "not of version 0")
    keys = tuple(source.take(32) for _ in range(source.short()))
    if not 0 < signers <= len(keys) or read_only_signers >= signers or read_only > len(keys) - signers:
        raise BadBytes("message", "a header that does not fit its keys")
    if len(set(keys)) < len(keys):
        raise BadBytes("message", "a key twice")
    source.take(32)
    calls = [_call(source) for _ in range(source.short())]
    looked_up = _lookups(source)
    source.end()
    resolved = keys + (None,) * looked_up
    writing = keys[: signers - read_only_signers] + keys[signers : len(keys) - read_only]
    return Message(
        keys,
        signers,
        frozenset(writing),
        looked_up,
        tuple(_resolve(call, keys, resolved) for call in calls),
    )


def _call(source: _Bytes) -> tuple[int, bytes, bytes]:
    program = source.take(1)[0]
    accounts = source.take(source.short())
    return program, accounts, source.take(source.short())


def _lookups(source: _Bytes) -> int:
    """Return how many accounts the message takes out of tables."""
    count = 0
    for _ in range(source.short()):
        source.take(32)
        count += len(source.take(source.short())) + len(source.take(source.short()))
    return count


def _resolve(
    call: tuple[int, bytes, bytes], keys: tuple[bytes, ...], resolved: tuple[bytes | None, ...]
) -> Instruction:
    program, accounts, data = call
    if program >= len(keys) or any(index >= len(resolved) for index in accounts):
        raise BadBytes("message", "an index that leads nowhere")
    return Instruction(keys[program], tuple(resolved[index] for index in accounts), data)
