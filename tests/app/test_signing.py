"""The signer is started where none answers, outlives who started it, and says why it does not start."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from solders.keypair import Keypair

from bmv.app.signing import (
    SignerNotStarted,
    ensured_signer,
    guarded,
    keys_of,
    limits_of,
    policy_of,
    running_signer,
    tell_supervisor,
)
from bmv.cli import halt as halt_command
from bmv.cli import main
from bmv.config import Settings, load
from bmv.errors import BadInput, UnsafeState
from bmv.keys.client import SignerClient
from bmv.keys.policy import Unlawful
from bmv.keys.store import Keystore, Role
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch
from bmv.units import Lamports
from bmv.venue import system
from tests.keys.test_policy import LAWFUL, UNLAWFUL, message

PASSPHRASE = "correct horse battery"
KEYS = [Keypair.from_seed(bytes([number] * 32)) for number in range(1, 4)]


def descriptor(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    root = tmp_path_factory.mktemp("state")
    store = Keystore.create(root / "keystore.json", Secret(PASSPHRASE))
    for keypair, role in zip(KEYS, (Role.OPERATOR, Role.OPERATOR, Role.TREASURY), strict=True):
        store.add(keypair, role)
    store.save()
    return StateFolder(root)


@pytest.mark.parametrize("name", ["file", "@abstract"])
def test_systemd_is_told_when_the_signer_answers(tmp_path: Path, name: str) -> None:
    address = f"@bmv-{tmp_path}" if name == "@abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if address.startswith("@") else address)
        systemd.settimeout(5)
        tell_supervisor({"NOTIFY_SOCKET": address})
        assert systemd.recv(100) == b"READY=1"
    tell_supervisor({})


@contextmanager
def started(folder: StateFolder) -> Iterator[SignerClient]:
    client = ensured_signer(folder, folder.keystore, None, descriptor(PASSPHRASE))
    try:
        yield client
    finally:
        client.quit()


def assert_second_is_refused(folder: StateFolder) -> None:
    number = descriptor(PASSPHRASE)
    command = [sys.executable, "-c", "from bmv.cli.entry import main; main()", "signer"]
    options = ["--state", str(folder.root), "--passphrase-fd", str(number)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, pass_fds=[number]
    )
    os.close(number)
    assert done.returncode == UnsafeState.exit_code
    assert "another signer" in done.stderr


def test_a_signer_is_started_once_found_again_and_ends_when_told(folder: StateFolder) -> None:
    assert running_signer(folder) is None
    with started(folder) as client:
        known = client.state()
        assert known.pid != os.getpid()
        assert os.getsid(known.pid) == known.pid
        again = ensured_signer(folder, folder.keystore, None, None)
        assert again.state().pid == known.pid
        again.close()
        with pytest.raises(BadInput, match="1, by which the running signer counts"):
            ensured_signer(folder, folder.keystore, None, None, 24.0)
        assert client.pubkeys() == [KEYS[0].pubkey(), KEYS[1].pubkey()]
        jobs = [(KEYS[2].pubkey(), LAWFUL["fund"])]
        store = Keystore.open(folder.keystore, Secret(PASSPHRASE))
        assert client.sign_all(jobs) == guarded(keys_of(store), Settings()).sign_all(jobs)
        with pytest.raises(Unlawful):
            client.sign_all([(KEYS[0].pubkey(), UNLAWFUL["lamports to a stranger"])])
        assert_second_is_refused(folder)
        command = Path(f"/proc/{known.pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{known.pid}/environ").read_bytes()
        assert PASSPHRASE.encode() not in command + environ
    assert running_signer(folder) is None
    lines = [json.loads(line) for line in folder.signer_log.read_text().splitlines()]
    assert {"SIGNER_REFUSED", "SIGNER_DOWN"} <= {line["event"] for line in lines}
    assert folder.signer_log.stat().st_mode & 0o777 == 0o600


def test_a_signer_that_cannot_start_says_so_with_its_exit_code(
    folder: StateFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SignerNotStarted) as caught:
        ensured_signer(folder, folder.keystore, None, descriptor("another passphrase"))
    assert caught.value.exit_code == 2
    assert "wrong passphrase" in capfd.readouterr().err


def test_the_halt_file_of_the_folder_is_the_latch_and_the_caps_are_those_of_the_settings(
    folder: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "bmv.toml"
    config.write_text("SIGNER_MAX_TX_PER_MIN = 10\n")
    client = ensured_signer(folder, folder.keystore, config, descriptor(PASSPHRASE))
    halt = folder.run / "HALT"
    try:
        halt.touch()
        with pytest.raises(Unlawful, match="halted"):
            client.sign_all([(KEYS[2].pubkey(), LAWFUL["fund"])])
        halt.unlink()
        asyncio.run(halt_command._raise(folder, Settings(), Latch(reason="a test"), must=True))
        with pytest.raises(Unlawful, match="halted"):
            client.sign_all([(KEYS[2].pubkey(), LAWFUL["fund"])])
        monkeypatch.setattr(sys, "argv", ["bmv", "resume", "--state", str(folder.root)])
        with pytest.raises(SystemExit):
            main.main()
        for number in range(10):
            amount = system.transfer(KEYS[2].pubkey(), KEYS[0].pubkey(), Lamports(number + 1))
            client.sign_all([(KEYS[2].pubkey(), message(amount, payer=KEYS[2].pubkey()))])
        with pytest.raises(Unlawful, match="11 transactions in a minute"):
            client.sign_all([(KEYS[2].pubkey(), LAWFUL["fund"])])
    finally:
        halt.unlink(missing_ok=True)
        client.quit()


def test_limits_follow_the_settings() -> None:
    limits = limits_of(load(None, {"BMV_SIGNER_MAX_TIP_SOL": "0.02", "BMV_SIGNER_MAX_SWAP_USD_PER_MIN": "5"}))
    assert limits.tip == Lamports(20_000_000)
    assert set(limits.swap_per_minute.values()) == {100 * 10**9, 5_000_000}


def test_stopping_where_no_signer_is_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from bmv.cli.entry import main; main()", "signer", "--stop"]
    done = subprocess.run([*command, "--state", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "nobody answers" in done.stderr


def test_the_caps_count_minutes_of_a_sandbox_that_runs_faster(folder: StateFolder) -> None:
    wallets = Keystore.open(folder.keystore, Secret(PASSPHRASE)).wallets
    ordinary, fast = (policy_of(wallets, Settings(), speed)._now() for speed in (1.0, 24.0))
    assert 23 * ordinary < fast < 25 * ordinary
