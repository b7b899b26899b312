"""``bmv run`` beside a sandbox, as real processes: start, halt by signal, dry run, what is refused."""

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bmv.app.presenting import shown_at
from bmv.app.signing import running_signer
from bmv.cli import main
from bmv.observe.journal import JOURNAL_FOLDER
from bmv.observe.segments import records
from bmv.observe.view import View
from bmv.sandbox.market_genesis import engine_keypairs, seeded_keypair
from bmv.services.replay import replay
from bmv.state.folder import StateFolder
from bmv.state.place import known_place
from tests.hook import hook
from tests.hunting import in_files, in_memory, needles, seen_in
from tests.processes import PASSPHRASE, PATIENCE_S, call, engine, keystore, open_orders, prepared, sandbox

SPEED = "8"


def entries(state: Path, kind: str) -> list[dict[str, Any]]:
    """Return the records of one kind in a journal that may be growing."""
    folder = state / JOURNAL_FOLDER
    if not folder.is_dir() or not any(folder.glob("*.journal*")):
        return []
    found = (json.loads(record.payload) for record in records(folder))
    return [entry[kind] for entry in found if kind in entry]


def wait_until_quoting(state: Path) -> None:
    """Wait until placements have landed."""
    until = time.monotonic() + PATIENCE_S
    while sum(e["outcome"] == "landed" for e in entries(state, "event") if "outcome" in e) < 2:
        assert time.monotonic() < until
        time.sleep(0.2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_run_quotes_until_a_signal_and_leaves_nothing(tmp_path: Path) -> None:
    state, world = tmp_path / "state", tmp_path / "world"
    passphrase = prepared(state, 7)
    with sandbox(world, "--seed", "7", "--speed", SPEED) as facts, hook() as pager:
        settings, port = world / "sandbox.toml", free_port()
        with settings.open("a", encoding="utf-8") as file:
            file.write(f'\nMETRICS_PORT = {port}\nALERT_WEBHOOK_URL = "{pager.url}/pager"\n')
        dry = engine(settings, state, passphrase, "--dry-run")
        out, err = dry.communicate(timeout=PATIENCE_S)
        told = json.loads(out)
        assert dry.returncode == 0, err
        assert {action["type"] for action in told["actions"]} <= {"Prepare", "Execute", "OpenTable"}
        assert not (state / JOURNAL_FOLDER).exists()

        running = engine(settings, state, passphrase, "--speed", SPEED, "--json")
        wait_until_quoting(state)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert 'bmv_phase{phase="quoting"} 1.0' in answer.read().decode()
        folder = StateFolder(state)
        page = shown_at(folder)
        assert page is not None
        assert folder.page.stat().st_mode & 0o777 == 0o600
        with urllib.request.urlopen(f"{page.url}api/view", timeout=10) as answer:
            seen = msgspec.json.decode(answer.read(), type=View)
        assert (seen.mode, seen.state, seen.counters.self_trades) == ("live", "quoting", 0)
        assert any("from the inside" in level.why for level in seen.ladder)
        keys = needles([*engine_keypairs(7, 4)])
        keys["the passphrase"] = PASSPHRASE.encode()
        if os.geteuid() == 0:
            signer = running_signer(folder)
            assert signer is not None
            assert len(in_memory(signer.state().pid, keys)) >= 4  # so the search finds what is there
            assert in_memory(running.pid, keys) == set()
        second = engine(settings, state, passphrase, "--speed", SPEED)
        _, err = second.communicate(timeout=PATIENCE_S)
        assert (second.returncode, "another run" in err) == (3, True), err
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 0, err
        ended = json.loads(out)
        assert (ended["clean"], ended["asked"], ended["reason"]) == (True, True, "SIGTERM received")
        assert "nothing of ours is left on the chain; SIGTERM received" in err
        assert "KILL_SWITCH" in [posted["event"] for _, posted in pager.taken]
        assert shown_at(folder) is None
        assert page.url in err
        assert page.token not in err
        accounts = open_orders(facts)
        assert len(accounts) == 4
        assert all(one.base_total + one.quote_total == 0 for one in accounts)
    (run,) = replay(state / JOURNAL_FOLDER)
    assert (run.complete, run.first_difference) == (True, None)
    assert run.actions > 10
    everything = b"".join(record.payload for record in records(state / JOURNAL_FOLDER))
    assert b'"RPC_URL":"(secret)"' in everything
    assert seen_in(everything + err.encode(), keys) == set()
    passphrase.unlink()
    place = known_place(StateFolder(state))
    assert place is not None
    databases = [place.folder, StateFolder(state).servers]
    assert any(path.rglob("PG_VERSION") for path in databases)
    assert [in_files(path, keys) for path in (state, *databases)] == [set()] * 3


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ("", 2, "RPC_URL"),
        ('RPC_URL = "http://user:hunter22@127.0.0.1:1"\nMARKET = "nowhere"', 2, "MARKET: 'nowhere'"),
        ('RPC_URL = "ftp://user:hunter22@127.0.0.1"', 2, "RPC_URL: '***'"),
        ('RPC_URI = "http://user:hunter22@127.0.0.1"', 2, "did you mean RPC_URL?"),
        ('RPC_URL = "http://127.0.0.1:1"', 2, "KEYSTORE"),
        ('RPC_URL = "http://user:hunter22@127.0.0.1:1"', 4, "rpc 127.0.0.1:1"),
    ],
)
def test_what_cannot_run_is_refused_in_a_line_without_secrets(
    tmp_path: Path,
    lines: str,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = tmp_path / "bmv.toml"
    settings.write_text(lines)
    if words != "KEYSTORE":
        keystore(tmp_path / "keystore.json", [seeded_keypair(1, "engine", 0)])
    arguments = ["bmv", "run", "--config", str(settings), "--state", str(tmp_path), "--dry-run"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main.main()
    err = capsys.readouterr().err
    assert ended.value.code == code, err
    assert words in err
    assert err.count("\n") == 1
    assert "hunter22" not in err


def test_a_guest_is_funded_and_an_airdrop_lands(tmp_path: Path) -> None:
    guest = "8VMi93EEqSGCHGjRGNhEFBkGoNZTQxUFfFYWDEX2e5Uf"
    with sandbox(tmp_path, "--speed", "20", "--fund", guest) as facts:
        node = facts["rpc_url"]
        before = call(node, "getBalance", guest)["value"]
        assert before == call(node, "getBalance", facts["wallets"][0])["value"]
        wishes = [call(node, "requestAirdrop", guest, 5_000_000) for _ in range(2)]
        assert len(set(wishes)) == 2
        until = time.monotonic() + PATIENCE_S
        while call(node, "getBalance", guest)["value"] != before + 10_000_000:
            assert time.monotonic() < until
            time.sleep(0.05)
