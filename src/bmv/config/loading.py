"""Collect settings from a flat TOML file and the environment, check them, refuse what must not be.

Rules of this file
- A key may spell ``%`` as ``PCT``; unknown keys are errors that name the nearest known one.
- Environment variables (prefix ``BMV_``) win over the file.
- Keys that would make the engine fake activity are refused, see docs/integrity.md.
"""

import difflib
import os
import tomllib
import warnings
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bmv.config.parsing import Shown
from bmv.config.settings import FIELDS, KNOWN_KEYS, Settings
from bmv.errors import BadInput

ENV_PREFIX = "BMV_"
NO_SETTINGS = frozenset({"BMV_OPENBOOK_V1_SO"})
"""Environment variables with the prefix that name something else: the compiled program, for a test."""
_OUT_OF_RANGE = ("Input should be greater", "Input should be less")


class _Given(NamedTuple):
    """What the user wrote: the value, the key as spelled, and where."""

    value: Any
    spelled: str
    source: str

    def refused(self, allowed: str) -> BadInput:
        value = str(self.value) if isinstance(self.value, Decimal) else self.value
        return BadInput(self.spelled, value, allowed, self.source)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from a TOML file (if any) and the environment; raise BadInput for the first bad key."""
    given = _from_file(path) if path else {}
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX) and name not in NO_SETTINGS:
            key = name.removeprefix(ENV_PREFIX)
            given[key] = _Given(text, key, f"environment variable {name}")
    _refuse_fake_activity(given)
    for key, entry in given.items():
        if key not in KNOWN_KEYS:
            near = difflib.get_close_matches(key, KNOWN_KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise entry.refused(
                "known keys only" + (hint.replace("PCT", "%") if "%" in entry.spelled else hint)
            )
    try:
        settings = Settings(**{key: entry.value for key, entry in given.items()})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise given[key].refused(_allowed(key, first["msg"])) from error
    _refuse_contradictions(settings, given)
    return settings


def _allowed(key: str, message: str) -> str:
    """Return what a key takes: its range in the user's units, or pydantic's words without their preamble."""
    if not message.startswith(_OUT_OF_RANGE):
        return message.removeprefix("Value error, ").removeprefix("Input should be ")
    bounds = {
        words: getattr(each, bound)
        for each in FIELDS[key].metadata
        for bound, words in (("ge", "at least"), ("le", "at most"))
        if hasattr(each, bound)
    }
    return " and ".join(f"{words} {_shown(key, value)}" for words, value in bounds.items())


def _shown(key: str, value: int) -> str:
    return next((each.text for each in FIELDS[key].metadata if isinstance(each, Shown)), str)(value)


TIPS_IN_THE_GAS_FLOOR = 20
"""A wallet starts with at least this many of the largest tips, or it could soon not pay for its cancels."""


def _refuse_contradictions(settings: Settings, given: Mapping[str, _Given]) -> None:
    """Refuse values each of which is allowed but which cannot be meant together."""
    pairs = (
        ("MIN_SPREAD_PCT", settings.min_spread, "INSIDE_SPREAD_PCT", settings.inside_spread),
        ("MIN_BASE_SHARE_PCT", settings.min_base_share, "MAX_BASE_SHARE_PCT", settings.max_base_share),
    )
    for low_key, low, high_key, high in pairs:
        if low > high and low_key in given:
            raise given[low_key].refused(f"at most {high_key}, {_shown(high_key, int(high))}")
        if low > high:
            raise given[high_key].refused(f"at least {low_key}, {_shown(low_key, int(low))}")
    enough = settings.jito_tip * TIPS_IN_THE_GAS_FLOOR
    if settings.gas_floor < enough:
        key = "GAS_FLOOR_SOL" if "GAS_FLOOR_SOL" in given else "JITO_TIP_AMOUNT_SOL"
        least = f"a gas floor of {TIPS_IN_THE_GAS_FLOOR} tips or more (GAS_FLOOR_SOL, JITO_TIP_AMOUNT_SOL)"
        raise given[key].refused(least)
    for key, other in (("SEED_PRICE", "SEED_DAILY_VOLUME"), ("SEED_DAILY_VOLUME", "SEED_PRICE")):
        if getattr(settings, key.lower()) and not getattr(settings, other.lower()):
            raise given[key].refused(f"0 unless {other} is set too: a seed is a price and a volume")


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise BadInput(
            "--config", str(path), f"a readable file ({error.strerror})", "command line"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("--config", str(path), f"valid TOML ({error})", "command line") from error
    given: dict[str, _Given] = {}
    for spelled, value in raw.items():
        entry, key = _Given(value, spelled, str(path)), spelled.replace("%", "PCT")
        if key in given and given[key].value != value:
            raise entry.refused(f"one spelling, or the same value as {given[key].spelled} in both")
        given[key] = entry
    return given


def _refuse_fake_activity(given: dict[str, _Given]) -> None:
    """Refuse NOISE_* and FLASH_VOLUME_* in one message; a disabled FLASH_VOLUME block is dropped."""
    flash = [key for key in given if key.startswith("FLASH_VOLUME_")]
    enabled = given.get("FLASH_VOLUME_ENABLED")
    disabled = enabled is not None and str(enabled.value).strip().lower() == "false"
    refused = [key for key in given if key.startswith("NOISE_")] + ([] if disabled else flash)
    if refused:
        raise BadInput(
            ", ".join(sorted(given[key].spelled for key in refused)),
            "set",
            "bmv never trades with itself or fakes activity, see docs/integrity.md",
            ", ".join(sorted({given[key].source for key in refused})),
        )
    if flash:
        names = ", ".join(sorted(given[key].spelled for key in flash))
        warnings.warn(f"ignored, as there is no such module any more: {names}", stacklevel=3)
    for key in flash:
        del given[key]
