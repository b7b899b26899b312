"""``bmv disclose``: complete about wallets and rules, silent about secrets."""

import json
import sys
from pathlib import Path

import pytest

from bmv.app.disclosure import DISCLOSED
from bmv.cli import main
from bmv.sandbox.market_genesis import seeded_keypair
from tests.processes import keystore

SETTINGS = """
BUY_DENSITY = 3
RPC_URL = "https://user:hunter22@node.example/key-of-the-node"
ALERT_TELEGRAM_TOKEN = "1:hunter22"
ALERT_TELEGRAM_CHAT = "5"
DRAWDOWN_HALT_PCT = 33
"""


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bmv", "disclose", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_every_wallet_and_every_rule_is_told_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [seeded_keypair(1, "engine", number) for number in range(3)]
    keystore(tmp_path / "keystore.json", keys)
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    assert command(monkeypatch, "--config", settings, "--state", tmp_path, "--json") == 0
    text = capsys.readouterr().out
    told = json.loads(text)
    assert [wallet["address"] for wallet in told["wallets"]] == [str(key.pubkey()) for key in keys]
    assert {wallet["role"] for wallet in told["wallets"]} == {"operator"}
    listed = {key: value for rules in told["rules"].values() for key, value in rules.items()}
    assert listed["BUY_DENSITY"] == "3"
    assert set(listed) == {
        str(part.model_fields[name].alias) for part in DISCLOSED for name in part.__annotations__
    }
    assert command(monkeypatch, "--config", settings, "--state", tmp_path) == 0
    words = capsys.readouterr().out
    assert all(str(key.pubkey()) in words for key in keys)
    assert all(f"| `{key}` | {value} |" in words for key, value in listed.items())
    for shown in (text, words):
        assert not [word for word in ("hunter22", "node.example", "DRAWDOWN", "ALERT") if word in shown]


def test_without_a_keystore_there_is_nobody_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--state", tmp_path) == 2
    assert "keystore" in capsys.readouterr().err
