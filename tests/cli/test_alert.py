"""``bmv alert test`` against a server in a thread."""

import json
import sys
from pathlib import Path

import pytest

from bmv.cli import main
from tests.hook import hook


def command(monkeypatch: pytest.MonkeyPatch, config: Path, text: str) -> int:
    config.write_text(text)
    monkeypatch.setattr(sys, "argv", ["bmv", "alert", "test", "--json", "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_every_messenger_is_tried_and_the_token_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with hook() as there:
        text = f"""
ALERT_WEBHOOK_URL = "{there.url}/gone/hidden-hook"
ALERT_TELEGRAM_TOKEN = "99:hidden-token"
ALERT_TELEGRAM_CHAT = -100
ALERT_TELEGRAM_URL = "{there.url}"
"""
        assert command(monkeypatch, tmp_path / "settings.toml", text) == 4
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["webhook"]["sent"], told["telegram"]["sent"]) == (False, True)
    assert "hidden" not in shown.out + shown.err
    ((_, posted), (path, message)) = sorted(there.taken, key=lambda taken: "bot" in taken[0])
    assert posted["event"] == "ALERT_TEST"
    assert (path, message["chat_id"]) == ("/bot99:hidden-token/sendMessage", "-100")


@pytest.mark.parametrize(
    ("text", "said"), [("", "ALERT_WEBHOOK_URL, or"), ('ALERT_TELEGRAM_TOKEN = "1:2"', "ALERT_TELEGRAM_CHAT")]
)
def test_nothing_or_half_of_it_configured_is_bad_input(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, tmp_path / "settings.toml", text) == 2
    assert said in capsys.readouterr().err
