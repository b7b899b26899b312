"""The reference of keys tells what the declarations say, and the paper is the reference."""

from pathlib import Path

from bmv.config import KNOWN_KEYS
from bmv.config.reference import markdown, reference

PAPER = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_paper_is_up_to_date() -> None:
    assert PAPER.read_text(encoding="utf-8") == markdown(), (
        "bmv config reference --markdown > docs/configuration.md"
    )


def test_the_reference_holds_every_key_once_with_default_range_and_meaning() -> None:
    entries = {entry.key: entry for entry in reference()}
    assert sorted(entries) == sorted(KNOWN_KEYS)
    spread = entries["MIN_SPREAD_PCT"]
    assert (spread.default, spread.range, spread.hot) == ("0.5 %", "0.01 % to 20 %", True)
    assert spread.section.startswith("3.3")
    assert entries["GRID_LEVELS"].range == "4 to 6400, or auto"
    assert entries["PIVOT_MODE"].default == "seeded"
    assert "pure" in entries["PIVOT_MODE"].range
    assert entries["SEED_PRICE"].range == "at least 0"
    assert entries["JUPITER_API_KEY"].range == entries["ORACLE_HERMES_KEY"].range == "text, or none"
    assert all(entry.range[:1].isalnum() and entry.meaning for entry in reference())
