"""``bmv plan`` and ``bmv doctor`` beside a sandbox: what would be done, what is wrong; nothing is sent."""

import json
import re
import time
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bmv.cli.main import app
from bmv.errors import BadInput
from bmv.sandbox.market_genesis import engine_keypairs, seeded_keypair
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch, LatchFile
from tests.processes import PATIENCE_S, keystore, open_orders, prepared, sandbox


class Beside:
    """A sandbox, and commands run beside it with settings added to its own."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.facts, self.folder, self.state = facts, folder, folder / "state"
        prepared(self.state, 7)

    def __call__(self, *words: str, lines: str = "", code: int = 0) -> Any:
        settings = self.folder / "bmv.toml"
        written = (self.folder / "world" / "sandbox.toml").read_text()
        settings.write_text(f"{written}\n{lines}\n")
        told = CliRunner().invoke(app, [*words, "--config", str(settings), "--state", str(self.state)])
        assert told.exit_code == code, told.output
        return json.loads(told.stdout) if {"--json", "--dry-run"} & set(words) else told.stdout


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("before")
    with sandbox(folder / "world", "--seed", "7") as facts:
        beside, until = Beside(folder, facts), time.monotonic() + PATIENCE_S
        while (told := beside("plan", "--json"))["price"] is None:
            assert "no price to start from" in told["warnings"][0]
            assert time.monotonic() < until
            time.sleep(0.1)
        yield beside


def test_inspect_says_in_a_sentence_what_an_address_is(beside: Beside) -> None:
    url, wallet = beside.facts["rpc_url"], beside.facts["wallets"][0]
    words = ["inspect", "account", beside.facts["market"], "--rpc", url, "--json"]
    told = json.loads(CliRunner().invoke(app, words).stdout)
    assert told["found"] == f"{told['own_address']} is an OpenBook v1 market"
    refused = CliRunner().invoke(app, ["inspect", "account", wallet, "--rpc", url]).exception
    assert isinstance(refused, BadInput)
    assert f"{wallet} is a wallet, not a market" in str(refused)


def test_a_plan_shows_the_ladder_its_cost_and_the_market_it_makes(beside: Beside) -> None:
    told = beside("plan", "--json")
    price, quotes = Decimal(told["price"]), told["quotes"]
    bids = [quote for quote in quotes if quote["side"] == "bid"]
    asks = [quote for quote in quotes if quote["side"] == "ask"]
    assert max(Decimal(bid["price"]) for bid in bids) == Decimal(told["best_bid"]) < price
    assert min(Decimal(ask["price"]) for ask in asks) == Decimal(told["best_ask"]) > price
    assert told["cost"]["places"] == sum(quote["change"] == "place" for quote in quotes) > 50
    assert told["cost"]["kept"] == told["orders_found"] == 0
    # The same words as on the page: which level, which share of which budget.
    said = [re.match(r"level (\d+) from the inside, .*\d\.\d\d % of \d", quote["why"]) for quote in quotes]
    assert all(said)
    assert {int(found[1]) for found in said if found} == set(range(1, 1 + max(len(bids), len(asks))))
    for depth in told["depth"]:
        near = price * (1 - Decimal(depth["within_pct"]) / 100)
        bid_sol = sum(Decimal(bid["sol"]) for bid in bids if Decimal(bid["price"]) >= near)
        assert Decimal(depth["bid_sol"]) == bid_sol
    assert {level["side"]: level["quoted"] for level in told["levels"]} == {
        "bid": len(bids),
        "ask": len(asks),
    }
    assert {action["type"] for action in told["actions"]} == {"Prepare"}
    assert told["warnings"] == []
    assert open_orders(beside.facts) == []
    assert not (beside.state / "journal").exists()


def test_a_plan_warns_of_an_empty_side_and_so_does_a_dry_run(beside: Beside) -> None:
    far = 'CHANNEL_MODE = "pivot"\nSEED_PRICE = 0.02\nSEED_DAILY_VOLUME = 1000'
    told = beside("plan", lines=far)
    assert "WARNING: OUT_OF_CHANNEL: CHANNEL_MODE=pivot leaves the bid side empty" in told
    again = beside("run", "--dry-run", lines=far)
    assert {level["side"]: level["quoted"] for level in again["levels"]}["bid"] == 0
    assert again["warnings"] == [line.removeprefix("WARNING: ") for line in told.splitlines()[1:2]]


def test_a_plan_begins_with_the_imported_history_as_a_run_does(
    beside: Beside, database_url: Secret, tmp_path: Path
) -> None:
    database = f'DATABASE_URL = "{database_url.reveal()}"'
    without = beside("plan", "--json", lines=database)
    price = Decimal(without["price"]) * Decimal("1.3")
    begin = int(time.time()) - 20 * 3_600
    rows = "\n".join(f"{begin + 3_600 * hour},{price},50000000" for hour in range(20))
    (tmp_path / "bars.csv").write_text(f"ts,close,volume\n{rows}\n")
    assert beside("history", "import", str(tmp_path / "bars.csv"), "--json", lines=database)["taken"] == 20
    told = beside("plan", "--json", lines=database)
    assert told["warnings"] == without["warnings"] == []
    assert abs(Decimal(told["pivot"]) / price - 1) < Decimal("0.01")
    assert without["pivot"] is None
    nowhere = beside("plan", "--json", lines='DATABASE_URL = "postgresql://bmv:hunter22@127.0.0.1:1/bmv"')
    (warning,) = nowhere["warnings"]
    assert "what earlier runs recorded is not in this plan" in warning
    assert "hunter22" not in warning


def named(told: list[dict[str, str]], status: str) -> set[str]:
    assert all(finding["found"] for finding in told)
    assert all(finding["advice"] for finding in told if finding["status"] != "ok")
    return {finding["check"] for finding in told if finding["status"] == status}


def test_a_doctor_finds_nothing_that_keeps_a_sandbox_from_being_traded_on(beside: Beside) -> None:
    before = sorted(beside.state.iterdir())
    told = beside("doctor", "--json")
    assert named(told, "failed") == set()
    assert named(told, "warning") == {"keystore", "node", "alerts", "jito auth"}
    assert named(told, "ok") >= {
        *("settings", "state folder", "lock", "kill switch", "database", "redis", "slot lag", "clock"),
        *("websocket", "jito", "tips", "sol price", "market", "event queue", "levels", "rents", "ladder"),
        *(f"wallet {number}" for number in range(4)),
    }
    assert sorted(beside.state.iterdir()) == before


def test_a_doctor_says_all_that_is_wrong_at_once(beside: Beside) -> None:
    other = beside.folder / "keys" / "other.json"
    keystore(other, [*engine_keypairs(7, 1), seeded_keypair(7, "stranger", 0)])
    nowhere = "127.0.0.1:1"
    lines = f"""DATABASE_URL = "postgresql://bmv:hunter22@{nowhere}/bmv"
REDIS_URL = "redis://:hunter22@{nowhere}"
KEYSTORE = "{other}"
GRID_LEVELS = 200
"""
    latch = LatchFile(StateFolder(beside.state))
    latch.raise_(Latch(reason="a drill", by="a test"))
    told = beside("doctor", "--json", lines=lines, code=1)
    latch.path.unlink()
    assert named(told, "failed") == {"kill switch", "database", "redis", "levels", "wallet 1", "ladder"}
    assert "hunter22" not in str(told)
    poor = next(finding for finding in told if finding["check"] == "wallet 1")
    assert "accounts to be opened for 0.0" in poor["found"]
    assert "bmv wallets fund" in poor["advice"]


def test_a_doctor_warns_of_what_only_makes_a_run_worse(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, settings = (
        "http://127.0.0.1:1",
        tomllib.loads((beside.folder / "world" / "sandbox.toml").read_text()),
    )
    monkeypatch.setenv("BMV_JITO_URLS", f"{settings['JITO_URLS']}, {dead}")
    monkeypatch.setenv("BMV_ORACLE_COINBASE_URL", dead)
    monkeypatch.setenv("BMV_JITO_TIP_AMOUNT_SOL", "0.000009")
    lines = 'CHANNEL_MODE = "pivot"\nSEED_PRICE = 0.02\nSEED_DAILY_VOLUME = 1000'
    told = beside("doctor", "--json", lines=lines)
    assert named(told, "failed") == set()
    found = {finding["check"]: finding["found"] for finding in told if finding["status"] == "warning"}
    assert "1 of 2 regions answer" in found["jito"]
    assert "coinbase" in found["oracle"]
    assert "OUT_OF_CHANNEL" in found["ladder"]
    assert {"settings", "tips"} <= found.keys()


def test_a_node_that_is_not_there_ends_with_4_and_bad_settings_with_1(tmp_path: Path) -> None:
    settings = tmp_path / "bmv.toml"

    def look(lines: str) -> tuple[int, list[dict[str, str]]]:
        settings.write_text(lines)
        words = ["doctor", "--json", "--config", str(settings), "--state", str(tmp_path / "state")]
        told = CliRunner().invoke(app, words)
        return told.exit_code, json.loads(told.stdout)

    dead = "127.0.0.1:1"
    lines = [f'{key} = "http://{dead}"' for key in ("RPC_URL", "JITO_URLS", "JITO_TIP_FLOOR_URL")]
    lines += [f'DATABASE_URL = "postgresql://{dead}"', f'REDIS_URL = "redis://{dead}"']
    code, told = look("\n".join([*lines, 'ORACLE_SOURCES = "pyth"', "ORACLE_MIN_SOURCES = 1"]))
    assert code == 4, told
    assert named(told, "failed") == {"keystore", "database", "redis", "node", "websocket", "jito"}
    code, told = look("GRID_LEVELS = 1\nRPC_URI = 3")
    assert code == 1
    assert named(told, "failed") == {"settings"}
    assert len([finding for finding in told if finding["check"] == "settings"]) == 2
    assert named(told, "ok") == {"state folder", "lock", "kill switch"}
