"""The table of keys as a whole."""

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.config import KNOWN_KEYS, Settings
from bmv.config.settings import FIELDS, PARTS, bounds, is_cold, said
from bmv.config.strategy import Keys

SOURCE = Path(__file__).resolve().parents[2] / "src" / "bmv"


def test_every_default_is_within_its_own_range() -> None:
    for name, field in Settings.model_fields.items():
        value = getattr(Settings(), name)
        for bound in field.metadata:
            if value is not None:
                assert value >= getattr(bound, "ge", value)
                assert value <= getattr(bound, "le", value)


def test_every_key_is_read_somewhere() -> None:
    read = set()
    for path in SOURCE.rglob("*.py"):
        if path.parent != SOURCE / "config":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert [name for name in Settings.model_fields if name not in read] == []


def test_keys_are_upper_case_and_unique() -> None:
    assert len(set(KNOWN_KEYS)) == len(KNOWN_KEYS) == len(Settings.model_fields)
    assert all(key == key.upper() and "%" not in key for key in KNOWN_KEYS)


def test_every_key_belongs_to_one_titled_part_and_says_what_it_means() -> None:
    assert [name for part in PARTS for name in part.__annotations__] != []
    assert sorted(name for part in PARTS for name in part.__annotations__) == sorted(Settings.model_fields)
    for part in PARTS:
        assert part.__doc__ not in {None, Keys.__doc__}
    for key, field in FIELDS.items():
        assert field.description is not None, key
        assert field.description.endswith("."), key


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().grid_levels = 5


def test_what_is_cold_is_what_the_definition_says() -> None:
    assert is_cold("MARKET")
    assert is_cold("ORACLE_URL")
    assert is_cold("LOCKED_ACCOUNTS")
    assert not is_cold("GRID_LEVELS")


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a value inside the range of every key that has one, in the unit used inside."""
    found: dict[str, Any] = {}
    for key in KNOWN_KEYS:
        limits = bounds(key)
        if len(limits) == 2:
            found[key] = draw(st.integers(limits["at least"], limits["at most"]))
    return found


@given(values())
@settings(max_examples=60)
def test_settings_written_out_and_read_again_are_the_same(drawn: dict[str, Any]) -> None:
    names = {str(field.alias): name for name, field in Settings.model_fields.items()}
    changed = Settings().model_copy(update={names[key]: value for key, value in drawn.items()})
    written: dict[str, Any] = {**changed.written()}
    assert set(written) == set(KNOWN_KEYS)
    assert all(isinstance(value, str | int) for value in written.values())
    assert Settings(**written) == changed
    for key, value in changed.by_key().items():
        assert said(key, value) != ""


def test_a_written_value_reads_as_a_person_would_write_it() -> None:
    written = Settings().written()
    assert written["MIN_SPREAD_PCT"] == "0.5"
    assert written["FORCED_SYNC"] == "1h"
    assert written["IDLE_INTERVAL_MIN"] == 15
    assert written["GRID_LEVELS"] == "auto"
    odd = Settings().model_copy(update={"idle_interval": 90_500, "seed_price": Decimal("0.000001")}).written()
    assert odd["IDLE_INTERVAL_MIN"] == "90500ms"
    assert Decimal(str(odd["SEED_PRICE"])) == Decimal("0.000001")


LOCKS = ("So11111111111111111111111111111111111111112", "8VMi93EEqSGCHGjRGNhEFBkGoNZTQxUFfFYWDEX2e5Uf")


def given_as(**keys: Any) -> Settings:
    """Return settings from values as a file has them."""
    return Settings(**keys)


def test_addresses_are_a_list_or_text_with_commas_and_written_as_text() -> None:
    assert given_as(LOCKED_ACCOUNTS=list(LOCKS)).locked_accounts == LOCKS
    locked = given_as(LOCKED_ACCOUNTS=f" {LOCKS[0]} ,{LOCKS[1]}")
    assert locked.locked_accounts == LOCKS
    assert given_as(**locked.written()) == locked
    assert said("LOCKED_ACCOUNTS", LOCKS) == ", ".join(LOCKS)


@pytest.mark.parametrize("value", ["abc", [LOCKS[0], "0OIl"], [LOCKS[0]] * 2, 7, [7]])
def test_what_is_no_list_of_addresses_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="address"):
        given_as(LOCKED_ACCOUNTS=value)


def test_target_control_is_dynamic_or_a_percentage() -> None:
    assert given_as(TARGET_CONTROL_PCT="dynamic").target_control is None
    assert given_as(TARGET_CONTROL_PCT="12.5").target_control == 1_250
    assert said("TARGET_CONTROL_PCT", None) == "dynamic"
