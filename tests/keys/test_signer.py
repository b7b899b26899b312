"""Secrets stay out of every text, and a signer answers for its own keys only."""

import copy
import pickle
from dataclasses import dataclass

import msgspec
import orjson
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from bmv.keys.signer import InProcessSigner, UnknownKey
from bmv.secret import Secret

WALLET = Keypair.from_seed(bytes(range(32)))
SIGNER = InProcessSigner([WALLET])


@dataclass(frozen=True)
class Holder:
    """Something that carries a secret along."""

    uuid: Secret


def test_a_secret_does_not_show_in_any_text_made_of_it() -> None:
    secret = Secret("hunter2-uuid")
    texts = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{secret!r}",
        "%s" % secret,  # noqa: UP031
        str([secret]),
        repr(Holder(secret)),
        str(ValueError(secret)),
    ]
    assert not [text for text in texts if "hunter2" in text]
    assert secret.reveal() == "hunter2-uuid"


def test_a_secret_is_not_pickled_copied_or_encoded() -> None:
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, orjson.dumps, msgspec.json.encode, vars):
        with pytest.raises(TypeError):
            leak(Secret("hunter2"))


def test_secrets_compare_by_value_and_know_whether_they_are_empty() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("a")
    assert not Secret("")


def test_a_signer_signs_with_its_own_key() -> None:
    signed = SIGNER.sign(WALLET.pubkey(), b"message")
    assert len(signed) == 64
    assert Signature.from_bytes(signed).verify(WALLET.pubkey(), b"message")
    assert SIGNER.pubkeys() == [WALLET.pubkey()]


def test_a_signer_refuses_a_key_it_does_not_hold_by_name() -> None:
    stranger = Keypair().pubkey()
    with pytest.raises(UnknownKey, match=str(stranger)) as refused:
        SIGNER.sign(stranger, b"message")
    assert refused.value.pubkey == stranger


def test_a_signer_shows_public_keys_only_and_is_not_pickled() -> None:
    assert repr(SIGNER) == f"InProcessSigner({WALLET.pubkey()})"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(SIGNER)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 200])
def test_many_messages_get_the_signatures_solders_makes_in_order(count: int) -> None:
    wallets = [Keypair.from_seed(bytes([n] * 32)) for n in range(3)]
    signer = InProcessSigner(wallets)
    jobs = [(wallets[n % 3].pubkey(), n.to_bytes(4, "big")) for n in range(count)]
    assert signer.sign_all(jobs) == [
        bytes(wallets[n % 3].sign_message(n.to_bytes(4, "big"))) for n in range(count)
    ]
