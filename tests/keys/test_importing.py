"""Keys come in from the forms others keep them in, and nothing of a bad one is shown."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from bmv.errors import BadInput
from bmv.keys.importing import ITERATIONS, decrypt_env, is_encrypted, parse_keypair
from bmv.secret import Secret

FIRST, SECOND = (Keypair.from_seed(bytes([number] * 32)) for number in (1, 2))
SEED_1 = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
ENV = f"""# operator wallets
WALLET_1={FIRST}

export WALLET_2 = "{json.dumps(list(bytes(SECOND)))}"
"""


@given(seed=st.binary(min_size=32, max_size=32))
def test_every_form_of_a_key_gives_the_key(seed: bytes) -> None:
    keypair = Keypair.from_seed(seed)
    assert parse_keypair(str(keypair), "file") == keypair
    assert parse_keypair(keypair.to_json() + "\n", "file") == keypair


def test_the_seed_alone_will_do_too() -> None:
    assert parse_keypair(SEED_1, "file") == FIRST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[1, 2, 3]",
        "[256" + ", 1" * 63 + "]",
        json.dumps(list(FIRST.secret() + bytes(SECOND.pubkey()))),
        str(FIRST)[:-1],
        str(FIRST) + "1",
        "0" * 88,
        str(FIRST.pubkey()) + "x" * 30,
        "1" * 500,
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_keypair(text, "the file")
    assert len(text) < 4 or text not in str(caught.value)
    assert "solana-keygen" in str(caught.value)


def sealed(folder: Path, text: str, *options: str) -> bytes:
    """Return what OpenSSL itself makes of ``text``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    plain = folder / ".env"
    plain.write_text(text)
    command = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-salt", *options, "-in", str(plain)]
    password = ["-pass", "fd:0"]
    return subprocess.run([*command, *password], input=b"open sesame", capture_output=True, check=True).stdout


@pytest.mark.parametrize("armour", [(), ("-a",)])
def test_an_env_file_encrypted_by_openssl_is_read(tmp_path: Path, armour: tuple[str, ...]) -> None:
    content = sealed(tmp_path, ENV, "-iter", str(ITERATIONS), *armour)
    assert is_encrypted(content)
    assert decrypt_env(content, Secret("open sesame"), ".env") == [FIRST, SECOND]


def test_an_env_file_that_does_not_open_is_refused(tmp_path: Path) -> None:
    good = sealed(tmp_path, ENV, "-iter", str(ITERATIONS))
    for content, passphrase in [
        (good, "open sesama"),
        (good[:-16], "open sesame"),
        (good[:-3], "open sesame"),
        (sealed(tmp_path, ENV, "-iter", "10000"), "open sesame"),
        (b"WALLET_1=abc", "open sesame"),
    ]:
        with pytest.raises(BadInput):
            decrypt_env(content, Secret(passphrase), ".env")


def test_a_line_that_is_no_key_is_named_by_its_number(tmp_path: Path) -> None:
    content = sealed(tmp_path, ENV + "DATABASE_PASSWORD=hunter22\n", "-iter", str(ITERATIONS))
    with pytest.raises(BadInput, match="line 5") as caught:
        decrypt_env(content, Secret("open sesame"), ".env")
    assert "hunter22" not in str(caught.value)
    assert not is_encrypted(ENV.encode())
