"""``bmv halt --now`` acts alone: beside whatever of engine, signer, Redis and PostgreSQL was killed."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from bmv.app.signing import running_signer
from bmv.state.folder import StateFolder
from tests.cli.test_halt import bmv, empty, kill_database, until_quoting
from tests.processes import PASSPHRASE, PATIENCE_S, engine, prepared, sandbox
from tests.state.valkey import Valkey, running

SPEED = "8"
ENGINE, SIGNER, REDIS, DATABASE = "engine", "signer", "Redis", "PostgreSQL"
ALL = (ENGINE, SIGNER, REDIS, DATABASE)


def kill(victims: tuple[str, ...], run: subprocess.Popen[str], state: Path, server: Valkey) -> None:
    """Kill them without a word, the database before the engine that would start it again."""
    signer = running_signer(StateFolder(state))
    assert signer is not None
    if DATABASE in victims:
        kill_database(state)
    if ENGINE in victims:
        run.kill()
        run.communicate()
    if SIGNER in victims:
        os.kill(signer.state().pid, signal.SIGKILL)
    if REDIS in victims:
        server.kill()
    signer.close()


@pytest.mark.parametrize(
    "victims",
    [
        (SIGNER,),
        ALL,
        pytest.param((ENGINE,), marks=pytest.mark.soak),
        pytest.param((REDIS,), marks=pytest.mark.soak),
        pytest.param((DATABASE,), marks=pytest.mark.soak),
    ],
    ids="+".join,
)
def test_everything_is_withdrawn_and_verified_whatever_was_killed(
    victims: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, world = tmp_path / "state", tmp_path / "world"
    passphrase = prepared(state, 7)
    where = ("--state", str(state), "--config", str(world / "sandbox.toml"))
    with running() as server, sandbox(world, "--seed", "7", "--speed", SPEED) as facts:
        settings = world / "sandbox.toml"
        settings.write_text(settings.read_text() + f'REDIS_URL = "{server.url.reveal()}"\n')
        run = engine(settings, state, passphrase, "--speed", SPEED)
        until_quoting(capsys, *where)
        kill(victims, run, state, server)

        if ENGINE in victims:
            # Nobody is there to carry it out: what stands is told, and that it may remain.
            code, out, _ = bmv(capsys, "halt", "--timeout", "1s", *where)
            assert (code, "orders may remain" in out, out.count(" (id ") > 50) == (3, True, True)
        elif SIGNER in victims:
            # The engine cannot have a cancel signed; it says so by not coming to an end.
            code, out, _ = bmv(capsys, "halt", "--timeout", "1s", *where)
            assert (code, "orders may remain" in out) == (3, True)
        assert not empty(facts) or victims in ((REDIS,), (DATABASE,))

        # Whoever reads the passphrase closes its descriptor.
        given = ["--passphrase-fd", str(os.open(passphrase, os.O_RDONLY))] if SIGNER in victims else []
        code, out, err = bmv(capsys, "halt", "--now", "--json", *given, *where)
        told = json.loads(out)
        assert (code, told["verified"]) == (0, True), err
        assert all(wallet["orders"] == [] for wallet in told["wallets"])
        assert ("no signer answers" in err) == (SIGNER in victims)
        assert PASSPHRASE not in out + err
        assert empty(facts)
        if ENGINE not in victims:
            _, err = run.communicate(timeout=PATIENCE_S)
            assert run.returncode == 3, err
        code, _, err = bmv(capsys, "run", *where)
        assert (code, "bmv resume --state" in err) == (3, True)
