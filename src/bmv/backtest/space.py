"""What a study may choose from: settings and their ranges, read from a TOML file.

Rules of this file
- ``KEY = [a, b, c]`` is a choice, ``KEY = {low = 5, high = 25}`` a range, with ``step`` or ``log``.
- A range is of whole numbers where all that it names are; a value is written down as a settings file would.
- Only keys that may change while the engine runs are strategy; the others are refused.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import optuna

from bmv.config import KNOWN_KEYS
from bmv.config.settings import is_cold
from bmv.errors import BadInput

NAMES = {"low", "high", "step", "log"}


class Choice(msgspec.Struct, frozen=True):
    """One of several values."""

    key: str
    values: tuple[str, ...]

    def suggest(self, trial: optuna.Trial) -> str:
        """Return the value a trial takes."""
        return trial.suggest_categorical(self.key, self.values)


class Range(msgspec.Struct, frozen=True):
    """Any number between two, in steps where there are some."""

    key: str
    low: Decimal
    high: Decimal
    step: Decimal | None
    log: bool

    def suggest(self, trial: optuna.Trial) -> str:
        """Return the value a trial takes."""
        if all(each == int(each) for each in (self.low, self.high, self.step or 1)):
            step = int(self.step or 1)
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), step=step, log=self.log))
        if self.step is None:
            return f"{trial.suggest_float(self.key, float(self.low), float(self.high), log=self.log):.6g}"
        # Steps are counted in whole numbers: a float that is almost a step is no value of a settings file.
        steps = int((self.high - self.low) / self.step)
        return f"{self.low + self.step * trial.suggest_int(self.key, 0, steps):f}"


Space = tuple[Choice | Range, ...]


def read_space(path: Path) -> Space:
    """Read the file; raise BadInput for anything this file's rules forbid."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise BadInput("--space", str(path), f"a readable TOML file ({error})", "command line") from error
    if not raw:
        raise BadInput("--space", str(path), "at least one key to choose", "command line")
    return tuple(_part(spelled, value, str(path)) for spelled, value in raw.items())


def _part(spelled: str, value: Any, source: str) -> Choice | Range:
    key = spelled.replace("%", "PCT")
    if key not in KNOWN_KEYS or is_cold(key):
        raise BadInput(spelled, "a key of the space", "a key that may change while the engine runs", source)
    if isinstance(value, list) and value and all(isinstance(each, int | str | Decimal) for each in value):
        return Choice(key, tuple(str(each) for each in value))
    if isinstance(value, Mapping):
        return _range(key, spelled, value, source)
    raise BadInput(spelled, str(value), "[a, b, ...] or {low = ..., high = ...}", source)


def _range(key: str, spelled: str, value: Mapping[str, Any], source: str) -> Range:
    unknown = set(value) - NAMES
    numbers = {name: value[name] for name in ("low", "high", "step") if name in value}
    sound = not unknown and {"low", "high"} <= set(value) and isinstance(value.get("log", False), bool)
    sound = sound and all(isinstance(n, int | Decimal) and not isinstance(n, bool) for n in numbers.values())
    if not sound or not numbers["low"] < numbers["high"] or numbers.get("step", 1) <= 0:
        raise BadInput(spelled, str(dict(value)), "low < high, and step above 0 or log = true", source)
    log = bool(value.get("log", False))
    if log and ("step" in value or numbers["low"] <= 0):
        raise BadInput(spelled, str(dict(value)), "log without step, from above 0", source)
    step = Decimal(numbers["step"]) if "step" in numbers else None
    return Range(key, Decimal(numbers["low"]), Decimal(numbers["high"]), step, log)
