"""``bmv wallets`` on files and beside a sandbox: keys made, taken in, funded, swept, passed on, retired."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from bmv.app.signing import running_signer
from bmv.cli import main
from bmv.keys.importing import ITERATIONS
from bmv.keys.store import Keystore, Role, peek
from bmv.sandbox.market_genesis import engine_keypairs
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from tests.keys.test_importing import ENV, FIRST, SECOND, sealed
from tests.processes import BMV, PASSPHRASE, PATIENCE_S, call, keystore, sandbox

CONFIRMED = {"commitment": "confirmed"}


def bmv(*words: str, passphrase: str | None = PASSPHRASE) -> subprocess.CompletedProcess[str]:
    """Run ``bmv wallets`` in this process; the passphrase goes through a pipe."""
    reading, writing = os.pipe()
    os.write(writing, (passphrase or "").encode())
    os.close(writing)
    given = [] if passphrase is None else ["--passphrase-fd", str(reading)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["bmv", "wallets", *words, *given])
        try:
            main.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    with suppress(OSError):
        os.close(reading)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def told(*words: str, passphrase: str | None = PASSPHRASE) -> dict[str, Any]:
    """Run a command that must succeed, and return what it says as JSON."""
    done = bmv(*words, "--json", passphrase=passphrase)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_keys_are_made_listed_and_taken_in_without_showing_any(tmp_path: Path) -> None:
    path, others = tmp_path / "keys.json", [Keypair() for _ in range(2)]
    place = ["--keystore", str(path)]
    made = told("create", *place, "--wallets", "2")
    assert [one["role"] for one in made["added"]] == ["operator", "operator", "treasury"]
    from_file = tmp_path / "id.json"
    from_file.write_text(others[0].to_json())
    from_file.chmod(0o644)
    refused = bmv("import", str(from_file), *place)
    assert (refused.returncode, "chmod 600" in refused.stderr) == (3, True)
    from_file.chmod(0o600)
    taken = told("import", str(from_file), *place)
    assert taken["added"] == [{"address": str(others[0].pubkey()), "role": "operator"}]
    again = bmv("import", str(from_file), *place)
    assert (again.returncode, "does not hold yet" in again.stderr) == (2, True)
    more = told("create", *place, "--wallets", "1")
    assert len(more["added"]) == 1
    listed = told("list", *place, passphrase=None)
    assert [one["role"] for one in listed["wallets"]] == [*["operator"] * 2, "treasury", *["operator"] * 2]
    assert listed["verified"] is False
    assert told("list", *place, "--verify")["wallets"] == listed["wallets"]
    wrong = bmv("list", *place, "--verify", passphrase="not the passphrase")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    shown = str([made, taken, again, more, listed, wrong, refused])
    store = Keystore.open(path, Secret(PASSPHRASE))
    secrets = [form for key in store.keypairs(*Role) for form in (str(key), key.secret().hex())]
    assert not [form for form in secrets if form in shown]
    path.write_text(path.read_text().replace('"treasury"', '"retired"'))
    altered = bmv("list", *place, "--verify")
    assert (altered.returncode, "altered since" in altered.stderr) == (3, True)


def test_an_encrypted_env_file_is_taken_in_with_a_passphrase_of_its_own(tmp_path: Path) -> None:
    place, path = ["--keystore", str(tmp_path / "keys.json")], tmp_path / "old.env"
    path.write_bytes(sealed(tmp_path, ENV, "-iter", str(ITERATIONS)))
    path.chmod(0o600)

    def taken(env_passphrase: str, role: str) -> subprocess.CompletedProcess[str]:
        reading, writing = os.pipe()
        os.write(writing, env_passphrase.encode())
        os.close(writing)
        given = ["--env-passphrase-fd", str(reading), "--role", role, "--json"]
        done = bmv("import", str(path), *place, *given)
        with suppress(OSError):
            os.close(reading)
        return done

    # The wrong passphrase, and a second treasury: nothing of the file is taken.
    for done in (taken("open sesama", "operator"), taken("open sesame", "treasury")):
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert not (tmp_path / "keys.json").exists()
    good = taken("open sesame", "operator")
    assert good.returncode == 0, good.stderr
    assert [one["address"] for one in json.loads(good.stdout)["added"]] == [
        str(key.pubkey()) for key in (FIRST, SECOND)
    ]
    store = Keystore.open(tmp_path / "keys.json", Secret(PASSPHRASE))
    assert list(store.keypairs(Role.OPERATOR)) == [FIRST, SECOND]
    shown = good.stdout + good.stderr
    assert not [form for key in (FIRST, SECOND) for form in (str(key), key.secret().hex()) if form in shown]


def test_without_a_passphrase_or_a_keystore_a_line_says_what_would_do(tmp_path: Path) -> None:
    place = ["--keystore", str(tmp_path / "keys.json")]
    alone = subprocess.run(
        [BMV, "wallets", "create", *place],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    nothing = bmv("list", *place, passphrase=None)
    for done, missing in [(alone, "--passphrase-fd"), (nothing, "a file that can be read")]:
        assert (done.returncode, missing in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    assert not (tmp_path / "keys.json").exists()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], list[str], Path]]:
    """A sandbox whose guest is our treasury; the words that name settings and state; the state folder."""
    folder = tmp_path_factory.mktemp("world")
    state = folder / "state"
    made = told("create", "--state", str(state), "--wallets", "3")
    treasury = made["added"][-1]["address"]
    with sandbox(folder / "sandbox", "--speed", "20", "--fund", treasury) as facts:
        yield facts, ["--config", str(folder / "sandbox" / "sandbox.toml"), "--state", str(state)], state


def balances(place: list[str]) -> dict[str, dict[str, Any]]:
    return {one["address"]: one for one in told("list", *place, passphrase=None)["wallets"]}


def by_role(known: dict[str, dict[str, Any]], role: str) -> list[str]:
    return [address for address, one in known.items() if one["role"] == role]


def test_a_wallet_s_whole_life(world: tuple[dict[str, Any], list[str], Path]) -> None:
    _, place, state = world
    start = balances(place)
    (treasury,) = by_role(start, "treasury")
    first, second, third = by_role(start, "operator")
    assert float(start[treasury]["sol"]) > 10 < float(start[treasury]["tokens"])

    done = told("fund", *place, "--sol", "2", "--tokens", "5")
    assert {one["wallet"] for one in done["moved"]} == {first, second, third}
    funded = balances(place)
    assert [funded[one]["sol"] for one in (first, second, third)] == ["2"] * 3
    assert [funded[one]["tokens"] for one in (first, second, third)] == ["5"] * 3
    again = told("fund", *place, "--sol", "2", "--tokens", "5")
    assert {one["note"] for one in again["moved"]} == {"has it already"}
    too_much = bmv("fund", *place, "--sol", "1000000")
    assert (too_much.returncode, "the treasury's" in too_much.stderr) == (2, True)

    passed = told("rotate", *place, "--wallet", second)
    rotated = balances(place)
    assert rotated[passed["successor"]]["tokens"] == "5"
    assert 1.98 < float(rotated[passed["successor"]]["sol"]) < 2
    assert (rotated[second]["role"], rotated[second]["lamports"]) == ("retired", 0)
    assert by_role(rotated, "operator") == [first, passed["successor"], third]

    told("retire", *place, "--wallet", third)
    told("sweep", *place)
    end = balances(place)
    assert by_role(end, "operator") == [first, passed["successor"]]
    assert [one["lamports"] for address, one in end.items() if address != treasury] == [0] * 4
    assert end[treasury]["tokens"] == start[treasury]["tokens"]
    paid = start[treasury]["lamports"] - end[treasury]["lamports"]
    assert 0 < paid < 0.2 * 10**9
    assert len(peek(state / "keystore.json")) == 5

    # The treasury's key may be the one that is lost.
    passed = told("rotate", *place, "--wallet", treasury)
    fresh = balances(place)
    assert (by_role(fresh, "treasury"), fresh[treasury]["role"]) == ([passed["successor"]], "retired")
    assert fresh[treasury]["lamports"] == 0
    assert fresh[passed["successor"]]["tokens"] == start[treasury]["tokens"]
    paid = end[treasury]["lamports"] - fresh[passed["successor"]]["lamports"]
    assert 0 < paid < 0.02 * 10**9
    told("fund", *place, "--sol", "2", "--wallet", first)
    assert balances(place)[first]["sol"] == "2"


def test_a_running_signer_is_asked_so_nobody_types_a_passphrase(tmp_path: Path) -> None:
    state, operators = tmp_path / "state", engine_keypairs(3, 4)
    passphrase = keystore(state / "keystore.json", operators)
    treasury = Keypair()
    store = Keystore.open(state / "keystore.json", Secret(PASSPHRASE))
    store.add(treasury, Role.TREASURY)
    store.save()
    with sandbox(
        tmp_path / "world", "--seed", "3", "--speed", "20", "--fund", str(treasury.pubkey())
    ) as facts:
        place = ["--config", str(tmp_path / "world" / "sandbox.toml"), "--state", str(state)]
        with passphrase.open() as secret:
            command = [
                BMV,
                "signer",
                "--state",
                str(state),
                "--passphrase-fd",
                str(secret.fileno()),
                "--detach",
            ]
            running = subprocess.Popen(command, pass_fds=[secret.fileno()])
        assert running.wait(PATIENCE_S) == 0
        client = running_signer(StateFolder(state))
        assert client is not None
        try:
            target = str(operators[0].pubkey())
            had = call(facts["rpc_url"], "getBalance", target, CONFIRMED)["value"]
            wanted = had // 10**9 + 1
            told("fund", *place, "--sol", str(wanted), "--wallet", target, passphrase=None)
            assert call(facts["rpc_url"], "getBalance", target, CONFIRMED)["value"] == wanted * 10**9
            assert client.state().signed > 0
        finally:
            client.quit()
