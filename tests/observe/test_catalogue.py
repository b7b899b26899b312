"""Every event of the engine has a schema, and the paper of events is the one the code prints."""

import json
import re
from pathlib import Path

import pytest

from bmv.cli import main
from bmv.observe.alerts import ALERTS, TEST
from bmv.observe.catalogue import EVENTS, level_of, problems
from bmv.observe.reference import markdown, schema

ROOT = Path(__file__).parents[2]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bmv").rglob("*.py")}
NAME = r"[A-Z][A-Z]+(?:_[A-Z]+)*"
FILL = {"price": 12_000, "size": 3, "side": "BID", "wallet": 0}


def test_every_event_that_the_code_can_tell_is_in_the_catalogue() -> None:
    """Whoever adds an event adds its line to observe/catalogue.py and prints docs/events.md anew."""
    said = {name for text in SOURCES.values() for name in re.findall(rf'Report\(\s*"({NAME})"', text)}
    assert len(said) > 30
    assert said <= set(EVENTS)
    # Those whose name is chosen or put together stand somewhere as a word, or as an outcome of a bundle.
    others = " ".join(text for path, text in SOURCES.items() if path.name != "catalogue.py")
    words = set(re.findall(rf'"({NAME})"', others))
    assert set(EVENTS) - words == {"BUNDLE_FAILED", "BUNDLE_EXPIRED", "BUNDLE_UNSENT"}


def test_the_paper_of_events_is_the_printed_one() -> None:
    assert (ROOT / "docs" / "events.md").read_text(encoding="utf-8") == markdown()


def test_what_does_not_fit_its_schema_is_named() -> None:
    assert problems("ORDER_FILL", FILL) == []
    assert problems("ORDER_FILL", FILL | {"mood": "good"}) == ["ORDER_FILL.mood is not in the catalogue"]
    assert problems("ORDER_FILL", FILL | {"price": "12"}) == ["ORDER_FILL.price is str, not int"]
    assert problems("ORDER_FILL", FILL | {"size": True}) == ["ORDER_FILL.size is bool, not int"]
    assert problems("ORDER_FILL", {key: FILL[key] for key in ("price", "size", "side")}) == [
        "ORDER_FILL.wallet is missing"
    ]
    assert problems("NOTHING", {}) == ["NOTHING is not in the catalogue"]
    # What is there only when there is something to say.
    told = {"wallet": 0, "lamports": 5}
    assert problems("RENT_RECLAIM", told) == problems("RENT_RECLAIM", told | {"account": "A"}) == []


def test_a_schema_asks_for_what_is_always_there() -> None:
    found = schema("RENT_RECLAIM")
    assert found["required"] == ["wallet", "lamports"]
    assert found["properties"]["account"]["type"] == "string"
    assert found["additionalProperties"] is False


def test_whoever_is_called_at_night_is_called_by_what_the_log_says_loudly() -> None:
    assert set(ALERTS) <= set(EVENTS)
    assert {name for name in ALERTS if level_of(name) != "warning"} == {"KILL_SWITCH"}
    assert TEST not in EVENTS


@pytest.mark.parametrize("form", ["--json", "--markdown", ""])
def test_the_command_prints_them_all(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bmv", "events", *filter(None, [form])])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code in {0, None}
    out = capsys.readouterr().out
    assert all(name in out for name in EVENTS)
    if form == "--json":
        assert set(json.loads(out)) == set(EVENTS)
