"""The keystore gives back what was put in, and notices everything that was done to its file."""

import copy
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from bmv.errors import BadInput, UnsafeState
from bmv.keys import private
from bmv.keys.private import TooOpen
from bmv.keys.sealing import Kdf, Sealer
from bmv.keys.store import Document, Keystore, Role, Tampered, WrongPassphrase, peek
from bmv.secret import Secret

PASSPHRASE = Secret("correct horse battery")
KEYS = [Keypair.from_seed(bytes([number] * 32)) for number in range(4)]
ROLES = [Role.OPERATOR, Role.OPERATOR, Role.TREASURY, Role.RETIRED]


class Saved:
    """A saved keystore, opened once: deriving its key takes a third of a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        store = Keystore.create(path, PASSPHRASE)
        for keypair, role in zip(KEYS, ROLES, strict=True):
            store.add(keypair, role)
        store.save()
        self.content = path.read_bytes()
        self.sealer = Sealer(PASSPHRASE, self.document(self.content).kdf)

    @staticmethod
    def document(content: bytes) -> Document:
        return msgspec.json.decode(content, type=Document)

    def restore(self) -> None:
        self.path.write_bytes(self.content)
        self.path.chmod(0o600)

    def open(self, content: bytes) -> Keystore:
        return Keystore.unsealed(self.path, self.sealer, self.document(content), content)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return Saved(tmp_path_factory.mktemp("keystore") / "keystore.json")


@pytest.fixture
def store(saved: Saved) -> Keystore:
    saved.restore()
    return saved.open(saved.content)


def test_what_was_saved_is_opened_by_its_passphrase_alone(saved: Saved) -> None:
    opened = Keystore.open(saved.path, Secret("correct horse battery"))
    assert [(wallet.pubkey, wallet.role) for wallet in opened.wallets] == [
        (keypair.pubkey(), role) for keypair, role in zip(KEYS, ROLES, strict=True)
    ]
    assert opened.keypairs(Role.OPERATOR, Role.TREASURY) == KEYS[:3]
    assert opened.keypair(KEYS[3].pubkey()) == KEYS[3]
    with pytest.raises(WrongPassphrase, match="wrong passphrase"):
        Keystore.open(saved.path, Secret("correct horse batterz"))


def test_the_file_is_ours_alone_and_holds_no_secret(saved: Saved) -> None:
    assert saved.path.stat().st_mode & 0o777 == 0o600
    kdf = json.loads(saved.content)["kdf"]
    assert (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) == ("scrypt", 2**17, 8, 1)
    for keypair in KEYS:
        assert keypair.secret().hex() not in saved.content.decode()
        assert str(keypair) not in saved.content.decode()
        assert str(keypair.pubkey()) in saved.content.decode()


def test_addresses_are_shown_without_the_passphrase(saved: Saved, store: Keystore) -> None:
    assert peek(saved.path) == store.wallets


def altered(content: bytes, change: Any) -> bytes:
    value = json.loads(content)
    change(value)
    return json.dumps(value).encode()


def _remove(value: Any) -> None:
    value["wallets"].pop(0)


def _swap(value: Any) -> None:
    value["wallets"][0], value["wallets"][1] = value["wallets"][1], value["wallets"][0]


def _swap_secrets(value: Any) -> None:
    first, second = value["wallets"][:2]
    first["sealed"], second["sealed"] = second["sealed"], first["sealed"]


def _promote(value: Any) -> None:
    value["wallets"][3]["role"] = "operator"


def _double(value: Any) -> None:
    value["wallets"].append(value["wallets"][0])


def _rename(value: Any) -> None:
    value["wallets"][0]["pubkey"] = str(Keypair.from_seed(bytes([9] * 32)).pubkey())


def _count(value: Any) -> None:
    value["revision"] += 1


@pytest.mark.parametrize("change", [_remove, _swap, _swap_secrets, _promote, _double, _rename, _count])
def test_entries_cannot_be_removed_moved_swapped_or_renamed(saved: Saved, change: Any) -> None:
    with pytest.raises(Tampered, match="altered since it was saved"):
        saved.open(altered(saved.content, change))


def test_a_wallet_of_an_older_version_of_the_file_does_not_come_back(saved: Saved, store: Keystore) -> None:
    store.change_role(KEYS[0].pubkey(), Role.RETIRED)
    store.save()
    newer = saved.path.read_bytes()

    def put_back(value: Any) -> None:
        value["wallets"][0] = json.loads(saved.content)["wallets"][0]

    assert saved.open(newer).wallets[0].role is Role.RETIRED
    with pytest.raises(Tampered):
        saved.open(altered(newer, put_back))


@given(position=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(saved: Saved, position: int, flip: int) -> None:
    content = bytearray(saved.content)
    content[position % len(content)] ^= flip
    try:
        document = saved.document(bytes(content))
        if document == saved.document(saved.content):
            return  # white space
        sealer = saved.sealer
        if document.kdf != saved.document(saved.content).kdf:
            return  # another key: tested below with the real derivation
        Keystore.unsealed(saved.path, sealer, document, bytes(content))
    except (ValueError, Tampered, WrongPassphrase):
        return
    # Upper and lower case of hex digits are one value; everything else must have been noticed.
    assert bytes(content).lower() == saved.content.lower()


def test_an_altered_salt_or_weaker_scrypt_does_not_open(saved: Saved) -> None:
    other_salt = altered(saved.content, lambda value: value["kdf"].update(salt="00" * 32))
    saved.path.write_bytes(other_salt)
    with pytest.raises(WrongPassphrase):
        Keystore.open(saved.path, PASSPHRASE)
    for kdf in ({"n": 2**14}, {"n": 2**17 + 1}, {"n": 2**21}, {"r": 1}, {"p": 4}, {"name": "md5"}):
        weaker = altered(saved.content, lambda value, kdf=kdf: value["kdf"].update(kdf))
        saved.path.write_bytes(weaker)
        with pytest.raises(BadInput, match="scrypt"):
            Keystore.open(saved.path, PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"A=1\n", b"[1]", b'{"format": "bmv-keystore"}'])
def test_a_file_that_is_no_keystore_is_bad_input(saved: Saved, content: bytes) -> None:
    saved.path.write_bytes(content)
    with pytest.raises(BadInput, match="a keystore"):
        Keystore.open(saved.path, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_read_or_change_is_refused(saved: Saved, mode: int) -> None:
    saved.restore()
    saved.path.chmod(mode)
    try:
        for use in (lambda: Keystore.open(saved.path, PASSPHRASE), lambda: peek(saved.path)):
            with pytest.raises(TooOpen, match=f"{mode:03o}"):
                use()
    finally:
        saved.path.chmod(0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(saved: Saved) -> None:
    os.chown(saved.path, 65534, -1)
    try:
        with pytest.raises(TooOpen, match="belongs to user 65534"):
            peek(saved.path)
    finally:
        os.chown(saved.path, os.geteuid(), -1)


def test_a_crash_at_any_step_of_saving_leaves_the_old_file_or_the_new(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        """The power goes."""

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    steps = [(os, "open"), (os, "fdopen"), (os, "fsync"), (Path, "replace"), (private, "_sync_folder")]
    for module, name in steps:
        saved.restore()
        store = saved.open(saved.content)
        store.change_role(KEYS[1].pubkey(), Role.RETIRED)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, crash)
            with pytest.raises(Crash):
                store.save()
        there = saved.open(saved.path.read_bytes())
        assert there.keypairs(*Role) == KEYS, name
        assert saved.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in saved.path.parent.iterdir() if "keystore.json." in one.name] == [
        ".keystore.json.lock"
    ]


def test_a_folder_that_cannot_be_written_to_changes_nothing(saved: Saved, store: Keystore) -> None:
    store.change_role(KEYS[1].pubkey(), Role.RETIRED)
    saved.path.with_name("gone").mkdir(exist_ok=True)
    elsewhere = Keystore.create(saved.path.with_name("absent") / "keystore.json", PASSPHRASE)
    with pytest.raises(BadInput, match="can be written"):
        elsewhere.save()


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(saved: Saved, store: Keystore) -> None:
    other = saved.open(saved.content)
    other.change_role(KEYS[0].pubkey(), Role.RETIRED)
    other.save()
    store.change_role(KEYS[1].pubkey(), Role.RETIRED)
    with pytest.raises(UnsafeState, match="somebody else"):
        store.save()
    assert saved.open(saved.path.read_bytes()).wallets == other.wallets
    saved.path.unlink()
    with pytest.raises(UnsafeState, match="somebody else"):
        other.save()


def test_a_successor_takes_place_and_role_and_the_old_key_stays(store: Keystore) -> None:
    new = Keypair.from_seed(bytes([7] * 32))
    store.succeed(KEYS[2].pubkey(), new)
    assert [wallet.role for wallet in store.wallets] == [*ROLES, Role.RETIRED]
    assert store.wallets[2].pubkey == new.pubkey()
    assert store.wallets[-1].pubkey == KEYS[2].pubkey()
    assert store.keypair(KEYS[2].pubkey()) == KEYS[2]


def test_there_is_one_treasury_and_every_key_once(store: Keystore) -> None:
    with pytest.raises(BadInput, match="one treasury"):
        store.add(Keypair.from_seed(bytes([8] * 32)), Role.TREASURY)
    with pytest.raises(BadInput, match="one treasury"):
        store.change_role(KEYS[0].pubkey(), Role.TREASURY)
    with pytest.raises(BadInput, match="does not hold yet"):
        store.add(KEYS[0], Role.OPERATOR)
    with pytest.raises(BadInput, match="the keystore holds"):
        store.keypair(Keypair.from_seed(bytes([8] * 32)).pubkey())


def test_a_new_keystore_wants_a_free_path_and_a_passphrase(tmp_path: Path, saved: Saved) -> None:
    with pytest.raises(BadInput, match="nothing yet"):
        Keystore.create(saved.path, PASSPHRASE)
    with pytest.raises(BadInput, match="characters") as caught:
        Keystore.create(tmp_path / "new.json", Secret("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_link_to_the_file_stays_a_link(saved: Saved) -> None:
    saved.restore()
    link = saved.path.with_name("link.json")
    link.symlink_to(saved.path)
    store = Keystore.unsealed(link, saved.sealer, saved.document(saved.content), saved.content)
    store.change_role(KEYS[0].pubkey(), Role.RETIRED)
    store.save()
    assert link.is_symlink()
    assert saved.open(saved.path.read_bytes()).wallets[0].role is Role.RETIRED


def test_keystore_and_key_show_nothing_and_are_not_pickled(saved: Saved, store: Keystore) -> None:
    for what in (store, saved.sealer):
        shown = f"{what!r} {what}"
        assert not [key for key in KEYS if key.secret().hex() in shown or str(key) in shown]
        for leak in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                leak(what)


def test_a_seal_opens_for_its_own_purpose_and_head_only(saved: Saved) -> None:
    sealed = saved.sealer.seal(b"text", b"purpose")
    other = Sealer(PASSPHRASE, Kdf.fresh())
    assert saved.sealer.open(sealed, b"purpose") == b"text"
    assert saved.sealer.open(sealed, b"another") is None
    assert other.open(sealed, b"purpose") is None
    assert saved.sealer.open(sealed[:20], b"purpose") is None
    draws = random.Random(1)
    nonces = {saved.sealer.seal(draws.randbytes(8), b"")[:12] for _ in range(100)}
    assert len(nonces) == 100
