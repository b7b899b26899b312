"""The keystore: every wallet's key in one encrypted file.

Rules of this file
- A wallet's secret is sealed together with its public key and role, so nothing can be passed off as another.
- The list of wallets (which, in which order, in which role) is sealed as a whole: an entry that is missing,
  moved, doubled or older than the list is found out before any secret is used.
- Addresses and roles stand in the clear: ``peek`` needs no passphrase, and vouches for nothing.
- No key ever leaves the file: what is not used any more is *retired*, and stays.
- What is saved is what was opened plus one's own changes; a file changed by somebody else meanwhile stays.

The format, byte by byte, and what it does not protect from: docs/keys.md.
"""

import struct
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, SupportsIndex

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.errors import BadInput, BmvError, UnsafeState
from bmv.keys.private import held, read_private, write_private
from bmv.keys.sealing import VERSION, Kdf, Sealer
from bmv.secret import Secret

SHORTEST_PASSPHRASE = 8
FIELD = "KEYSTORE"
_FORMAT = "bmv-keystore"
_CHECK = b"check"
_COUNTS = struct.Struct("<QI")


class Role(StrEnum):
    """What a wallet is for; a retired one only keeps its key.

    One set aside keeps its funds and quotes nothing; one that is leaving is being emptied, to be retired.
    """

    OPERATOR = "operator"
    TREASURY = "treasury"
    RETIRED = "retired"
    ASIDE = "aside"
    LEAVING = "leaving"


LOOKED_AFTER = (Role.OPERATOR, Role.ASIDE, Role.LEAVING)
"""The wallets an engine looks after, quoting or not."""
_ROLE_BYTE = {role: bytes([number]) for number, role in enumerate(Role)}


class WrongPassphrase(BmvError):
    """The passphrase does not open this keystore."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: wrong passphrase (or the file's salt or scrypt numbers were altered)")


class Tampered(UnsafeState):
    """The passphrase is right, and the file is not what was saved with it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: altered since it was saved: {what}; keep a copy, and look who had access")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wallet in the file; ``sealed`` is its 32-byte seed under the key, in hex (60 bytes)."""

    pubkey: str
    role: Role
    sealed: str

    def __post_init__(self) -> None:
        bytes.fromhex(self.sealed)
        Pubkey.from_string(self.pubkey)

    @property
    def bound(self) -> bytes:
        """Return what the seed is sealed together with."""
        return b"entry" + _ROLE_BYTE[self.role] + bytes(Pubkey.from_string(self.pubkey))


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; ``revision`` counts its changes, ``check`` and ``seal`` hold no text, only tags."""

    format: str
    version: int
    kdf: Kdf
    check: str
    revision: int
    wallets: tuple[Entry, ...]
    seal: str

    def __post_init__(self) -> None:
        bytes.fromhex(self.check)
        bytes.fromhex(self.seal)
        if self.format != _FORMAT or self.version != VERSION:
            raise ValueError(f"{self.format!r} of version {self.version}; this program reads {VERSION}")


class Wallet(msgspec.Struct, frozen=True):
    """A wallet as others see it."""

    pubkey: Pubkey
    role: Role


def _list_bytes(revision: int, entries: Sequence[Entry]) -> bytes:
    whole = [b"list", _COUNTS.pack(revision, len(entries))]
    for entry in entries:
        whole += [entry.bound, bytes.fromhex(entry.sealed)]
    return b"".join(whole)


def peek(path: Path) -> list[Wallet]:
    """Return addresses and roles without the passphrase: what the file claims, not what was proved."""
    return _public(_document(path, read_private(FIELD, path)).wallets)


def _public(entries: Sequence[Entry]) -> list[Wallet]:
    return [Wallet(Pubkey.from_string(entry.pubkey), entry.role) for entry in entries]


def _document(path: Path, content: bytes) -> Document:
    try:
        return msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, ValueError) as error:
        # The message names fields and types only: there is no secret in the clear it could quote.
        raise BadInput(FIELD, str(path), f"a keystore ({error})", "the file") from error


class Keystore:
    """An opened keystore; changes are in memory until ``save``."""

    def __init__(self, path: Path, sealer: Sealer, document: Document, content: bytes | None) -> None:
        self._path, self._sealer, self._document, self._content = path, sealer, document, content
        self._entries = list(document.wallets)

    @classmethod
    def create(cls, path: Path, passphrase: Secret) -> "Keystore":
        """Return an empty keystore to be saved at ``path``; raise BadInput where something is there."""
        if len(passphrase.reveal()) < SHORTEST_PASSPHRASE:
            raise BadInput("passphrase", "***", f"at least {SHORTEST_PASSPHRASE} characters", "its source")
        if path.exists():
            raise BadInput(FIELD, str(path), "a path at which there is nothing yet", "its path")
        kdf = Kdf.fresh()
        sealer = Sealer(passphrase, kdf)
        check = sealer.seal(b"", _CHECK).hex()
        return cls(path, sealer, Document(_FORMAT, VERSION, kdf, check, 0, (), ""), None)

    @classmethod
    def open(cls, path: Path, passphrase: Secret) -> "Keystore":
        """Open and check a keystore.

        Raises WrongPassphrase, Tampered, TooOpen, or BadInput where the file is none.
        """
        content = read_private(FIELD, path)
        document = _document(path, content)
        return cls.unsealed(path, Sealer(passphrase, document.kdf), document, content)

    @classmethod
    def unsealed(cls, path: Path, sealer: Sealer, document: Document, content: bytes) -> "Keystore":
        """Check a document against the key; raise WrongPassphrase or Tampered."""
        bound = _list_bytes(document.revision, document.wallets)
        knows_key = sealer.open(bytes.fromhex(document.check), _CHECK) is not None
        list_holds = sealer.open(bytes.fromhex(document.seal), bound) is not None
        if not knows_key and not list_holds:
            raise WrongPassphrase(path)
        if not list_holds or not knows_key:
            raise Tampered(path, "its list of wallets" if knows_key else "its check of the passphrase")
        store = cls(path, sealer, document, content)
        for entry in document.wallets:
            store._keypair(entry)
        return store

    def read_again(self) -> "Keystore":
        """Return the keystore as the file has it by now, opened with the same key; itself where unchanged.

        Raises UnsafeState where that needs another passphrase; Tampered, TooOpen, BadInput as ``open`` does.
        """
        content = read_private(FIELD, self._path)
        if content == self._content:
            return self
        document = _document(self._path, content)
        if document.kdf != self._document.kdf:
            raise UnsafeState(f"{self._path}: sealed with another passphrase since it was opened")
        if document.revision < self._document.revision:
            raise Tampered(self._path, "it was put back as it was earlier")
        return Keystore.unsealed(self._path, self._sealer, document, content)

    @property
    def path(self) -> Path:
        """Return where it is kept."""
        return self._path

    @property
    def wallets(self) -> list[Wallet]:
        """Return every wallet in order, the retired ones too."""
        return _public(self._entries)

    def keypair(self, pubkey: Pubkey) -> Keypair:
        """Return the key pair of one wallet; raise BadInput where there is none."""
        return self._keypair(self._entries[self._index(pubkey)])

    def keypairs(self, *roles: Role) -> list[Keypair]:
        """Return the key pairs of wallets in any of these roles, in order."""
        return [self._keypair(entry) for entry in self._entries if entry.role in roles]

    def add(self, keypair: Keypair, role: Role) -> None:
        """Append a wallet; raise BadInput where it is there already, or there would be two treasuries."""
        pubkey = keypair.pubkey()
        if any(entry.pubkey == str(pubkey) for entry in self._entries):
            raise BadInput("wallet", str(pubkey), "a key the keystore does not hold yet", str(self._path))
        self._refuse_second_treasury(role)
        self._entries.append(self._entry(keypair, role))

    def change_role(self, pubkey: Pubkey, role: Role) -> None:
        """Give a wallet another role; raise BadInput where there is none, or would be two treasuries."""
        index = self._index(pubkey)
        if self._entries[index].role is not role:
            self._refuse_second_treasury(role)
            self._entries[index] = self._entry(self.keypair(pubkey), role)

    def succeed(self, pubkey: Pubkey, successor: Keypair) -> None:
        """Put a new key in a wallet's place and role, and retire the old one at the end of the list."""
        index = self._index(pubkey)
        role, old = self._entries[index].role, self.keypair(pubkey)
        del self._entries[index]
        self.add(successor, role)
        self._entries.insert(index, self._entries.pop())
        self._entries.append(self._entry(old, Role.RETIRED))

    def save(self) -> None:
        """Write the file, whole or not at all.

        Raises UnsafeState where somebody else changed it since it was opened, BadInput where it cannot be
        written; the file is then what it was.
        """
        revision = self._document.revision + 1
        seal = self._sealer.seal(b"", _list_bytes(revision, self._entries)).hex()
        document = msgspec.structs.replace(
            self._document, revision=revision, wallets=tuple(self._entries), seal=seal
        )
        content = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        with held(self._path):
            there = read_private(FIELD, self._path) if self._path.exists() else None
            if there != self._content:
                raise UnsafeState(f"{self._path}: somebody else changed it meanwhile; nothing was saved")
            write_private(FIELD, self._path, content)
        self._document, self._content = document, content

    def _entry(self, keypair: Keypair, role: Role) -> Entry:
        blank = Entry(str(keypair.pubkey()), role, "")
        sealed = self._sealer.seal(keypair.secret(), blank.bound)
        return msgspec.structs.replace(blank, sealed=sealed.hex())

    def _keypair(self, entry: Entry) -> Keypair:
        seed = self._sealer.open(bytes.fromhex(entry.sealed), entry.bound)
        if seed is None or len(seed) != 32:
            raise Tampered(self._path, f"the key of {entry.pubkey}")
        keypair = Keypair.from_seed(seed)
        if str(keypair.pubkey()) != entry.pubkey:
            raise Tampered(self._path, f"the key of {entry.pubkey} is another's")
        return keypair

    def _index(self, pubkey: Pubkey) -> int:
        for index, entry in enumerate(self._entries):
            if entry.pubkey == str(pubkey):
                return index
        raise BadInput("wallet", str(pubkey), "an address the keystore holds", str(self._path))

    def _refuse_second_treasury(self, role: Role) -> None:
        if role is Role.TREASURY and any(entry.role is Role.TREASURY for entry in self._entries):
            raise BadInput("role", str(role), "one treasury wallet a keystore", str(self._path))

    def __repr__(self) -> str:
        return f"Keystore({self._path}, {len(self._entries)} wallets)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a keystore is not pickled or copied")
