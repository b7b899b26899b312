"""status, halt and resume beside a real engine in a process of its own, its Redis killed on the way."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bmv.cli import main
from bmv.state.folder import StateFolder
from tests.processes import PATIENCE_S, engine, open_orders, prepared, sandbox
from tests.state.valkey import PASSWORD, Valkey, running

SPEED = "8"


def bmv(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it printed."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bmv", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def until_quoting(capsys: pytest.CaptureFixture[str], *where: str) -> dict[str, Any]:
    """Wait until the engine says that many orders stand; return its status."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        code, out, _ = bmv(capsys, "status", "--json", *where)
        if code == 0 and (facts := json.loads(out))["orders"] > 50:
            assert isinstance(facts, dict)
            return facts
        time.sleep(0.2)
    raise AssertionError("the engine never quoted")


def kill_database(state: Path) -> None:
    """Kill the engine's own PostgreSQL."""
    found = [*StateFolder(state).servers.rglob("postmaster.pid")]
    if not found:
        place = json.loads((StateFolder(state).servers / "place.json").read_text())
        found = [*Path(place["folder"]).rglob("postmaster.pid")]
    os.kill(int(found[0].read_text().split()[0]), signal.SIGKILL)


def empty(facts: dict[str, Any]) -> bool:
    accounts = open_orders(facts)
    return len(accounts) == 4 and all(one.base_total + one.quote_total == 0 for one in accounts)


def lived(server: Valkey, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, twice: bool) -> None:
    state, world = tmp_path / "state", tmp_path / "world"
    passphrase = prepared(state, 7)
    where = ("--state", str(state), "--config", str(world / "sandbox.toml"))
    with sandbox(world, "--seed", "7", "--speed", SPEED) as facts:
        settings = world / "sandbox.toml"
        settings.write_text(settings.read_text() + f'REDIS_URL = "{server.url.reveal()}"\n')
        run = engine(settings, state, passphrase, "--speed", SPEED)
        shown = until_quoting(capsys, *where)
        assert (shown["alive"], shown["phase"], shown["pid"]) == (True, "quoting", run.pid)
        assert shown["fence"] > 10**12
        assert sum(len(wallet["orders"]) for wallet in shown["wallets"]) == shown["orders"]
        if twice:
            other = engine(settings, tmp_path / "other", prepared(tmp_path / "other", 7), "--speed", SPEED)
            _, err = other.communicate(timeout=PATIENCE_S)
            assert (other.returncode, f"process {run.pid} on" in err) == (3, True), err

        # Redis and the database dead: the file is enough.
        server.kill()
        kill_database(state)
        code, out, err = bmv(capsys, "halt", "--json", "--reason", "test", *where)
        told = json.loads(out)
        assert (code, told["verified"]) == (0, True), err
        assert all(wallet["orders"] == [] for wallet in told["wallets"])
        assert "not everywhere could the kill switch be raised: redis: not reached" in err
        assert "kill switch raised (signer and file)" in err
        assert PASSWORD not in out + err
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 3
        assert "nothing of ours is left on the chain; test" in err
        assert empty(facts)
        code, out, _ = bmv(capsys, "status", *where)
        assert code == 0
        assert "does not run" in out
        assert "latched by" in out

        server.start()
        code, _, err = bmv(capsys, "run", *where)
        assert (code, "bmv resume --state" in err) == (3, True)
        code, out, _ = bmv(capsys, "resume", *where)
        assert (code, "released: test" in out) == (0, True)

        if not twice:
            return
        # Killed by surprise: nobody is there to withdraw, so it is done without the engine.
        run = engine(settings, state, passphrase, "--speed", SPEED)
        until_quoting(capsys, *where)
        run.kill()
        run.communicate()
        code, out, err = bmv(capsys, "halt", "--timeout", "1s", *where)
        assert (code, "orders may remain" in out) == (3, True)
        assert out.count(" (id ") > 50
        assert not empty(facts)
        code, out, err = bmv(capsys, "halt", "--now", *where)
        assert (code, "verified on the chain" in out) == (0, True), err
        assert empty(facts)
        code, out, _ = bmv(capsys, "status", "--json", *where)
        assert (json.loads(out)["clean"], json.loads(out)["orders"]) == (True, 0)


def test_an_engine_is_seen_and_halted_with_its_databases_dead_and_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as server:
        lived(server, tmp_path, capsys, twice=False)


@pytest.mark.soak
def test_a_second_engine_is_refused_and_what_a_killed_one_left_is_withdrawn_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as server:
        lived(server, tmp_path, capsys, twice=True)


@pytest.mark.parametrize("command", ["status", "halt", "resume"])
def test_a_folder_where_nothing_ever_ran_is_bad_input(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = bmv(capsys, command, "--state", str(tmp_path / "nowhere"))
    assert (code, "--state" in err) == (2, True)
    assert not (tmp_path / "nowhere").exists()
