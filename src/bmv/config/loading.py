"""Collect settings from a flat TOML file and the environment, check them, know where each comes from.

Rules of this file
- A source wins over those before it: default, preset, file, environment, command line.
- Everything that is wrong is told at once, except that refusals (``refusals.py``) come first and alone.
- The environment is given once, at the start; reading again takes the same one.
"""

import difflib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from bmv.config.presets import preset_values
from bmv.config.refusals import without_fake_activity
from bmv.config.rules import contradictions
from bmv.config.settings import KNOWN_KEYS, Settings, bounds, said
from bmv.config.sources import Given, Source, from_environment, from_file
from bmv.errors import BadInput, BadSettings

_OUT_OF_RANGE = ("Input should be greater", "Input should be less")
_ORDER = list(Source)


class Configuration(msgspec.Struct, frozen=True):
    """Settings and where each value comes from; a key that nobody set is not in ``origins``.

    ``overridden`` is what a file says without effect, as the environment says otherwise; ``ignored`` are keys
    of the FLASH_VOLUME block that was switched off.
    """

    settings: Settings
    origins: Mapping[str, Given]
    overridden: Mapping[str, Given]
    ignored: tuple[str, ...]

    def kind_of(self, name: str) -> Source:
        """Return the kind of source the value of a key comes from."""
        return self.origins[name].source if name in self.origins else Source.DEFAULT

    def source_of(self, name: str) -> str:
        """Return where the value of a key comes from, for people."""
        origin = self.origins.get(name)
        if origin is None:
            return Source.DEFAULT.value
        return f"{origin.place}: {origin.spelled}" if origin.source is Source.FILE else origin.place

    def with_value(self, name: str, given: Given) -> "Configuration":
        """Return the same with one key as ``given``, a value that is allowed, in the unit used inside.

        What it takes the place of has no effect any more, where it comes from the command line.
        """
        fields = {str(known.alias): field for field, known in Settings.model_fields.items()}
        settings = self.settings.model_copy(update={fields[name]: given.value})
        displaced = self.origins.get(name) if given.source is Source.COMMAND_LINE else None
        overridden = {**self.overridden, **({name: displaced} if displaced else {})}
        return Configuration(settings, {**self.origins, name: given}, overridden, self.ignored)

    def edited_in_vain(self, before: "Configuration") -> tuple[str, ...]:
        """Return the keys edited in the file since ``before`` though something else decides them."""
        keys = sorted({*self.overridden, *before.overridden})
        return tuple(key for key in keys if _value(self.overridden, key) != _value(before.overridden, key))

    def notes(self) -> Iterator[str]:
        """Yield what somebody who wrote this should know: what has no effect, and what is ignored."""
        for name, entry in self.overridden.items():
            winner = self.origins[name].place
            yield f"{entry.spelled} = {entry.shown} in {entry.place} has no effect: {winner} decides"
        if self.ignored:
            yield self.ignored_note

    @property
    def ignored_note(self) -> str:
        """Return the one warning about the keys that are ignored."""
        return f"ignored, as there is no such module any more: {', '.join(self.ignored)}"


def _value(given: Mapping[str, Given], key: str) -> object:
    return given[key].value if key in given else None


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings alone, for scripts; raises and warns as ``read`` tells."""
    found = read(path, os.environ if environ is None else environ)
    if found.ignored:
        warnings.warn(found.ignored_note, stacklevel=2)
    return found.settings


def read(path: Path | None, environ: Mapping[str, str]) -> Configuration:
    """Read settings from a TOML file (if any) and the environment.

    Raises BadInput where one thing is wrong, BadSettings where several are.
    """
    written, broken = from_file(path) if path else ([], None)
    given, ignored = without_fake_activity([*written, *from_environment(environ)])
    if broken is not None:
        raise broken
    problems = [_unknown(entry) for entry in given if entry.key not in KNOWN_KEYS]
    known = [entry for entry in given if entry.key in KNOWN_KEYS]
    twice = _said_twice(known)
    problems += twice.values()
    chosen = {entry.key: entry for entry in known}
    overridden = {entry.key: entry for entry in known if entry.source is not chosen[entry.key].source}
    origins = {entry.key: entry for entry in _preset(chosen.get("PRESET"))} | chosen
    settings, bad = _checked(origins)
    unsure = {key for key, _ in twice}
    problems += [complaint for key, complaint in bad.items() if key not in unsure]
    problems += _contradictions(settings, origins, bad)
    if problems:
        raise problems[0] if len(problems) == 1 else BadSettings(problems)
    return Configuration(settings, origins, overridden, tuple(ignored))


def _unknown(entry: Given) -> BadInput:
    if isinstance(entry.value, dict):
        return entry.refused("known keys only, at the top level, not in tables")
    if entry.key.upper() == "WALLETS":
        return entry.refused("no such key: the wallets are those of the keystore, see `bmv wallets`")
    near = difflib.get_close_matches(entry.key.upper(), KNOWN_KEYS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return entry.refused("known keys only" + (hint.replace("PCT", "%") if "%" in entry.spelled else hint))


def _said_twice(entries: Iterable[Given]) -> dict[tuple[str, Source], BadInput]:
    """Return a complaint for each key that one source spells in two ways with different values."""
    first: dict[tuple[str, Source], Given] = {}
    problems = {}
    for entry in entries:
        said_in = entry.key, entry.source
        before = first.setdefault(said_in, entry)
        if before.value != entry.value and str(before.value) != str(entry.value):
            allowed = f"one spelling, or the same value as {before.spelled} in both"
            problems[said_in] = entry.refused(allowed)
    return problems


def _preset(chosen: Given | None) -> list[Given]:
    name = str(chosen.value) if chosen else "growth"
    return [Given(value, key, Source.PRESET, f"preset {name}") for key, value in preset_values(name).items()]


def _checked(origins: Mapping[str, Given]) -> tuple[Settings, dict[str, BadInput]]:
    """Return the settings, with defaults in place of what is not allowed, and the complaints by key."""
    try:
        return Settings(**{key: entry.value for key, entry in origins.items()}), {}
    except ValidationError as error:
        found = {str(one["loc"][0]): one["msg"] for one in reversed(error.errors())}
    bad = {key: origins[key].refused(_allowed(key, message)) for key, message in found.items()}
    return Settings(**{key: entry.value for key, entry in origins.items() if key not in bad}), bad


def _allowed(key: str, message: str) -> str:
    """Return what a key takes: its range in the user's units, or pydantic's words without their preamble."""
    if not message.startswith(_OUT_OF_RANGE):
        return message.removeprefix("Value error, ").removeprefix("Input should be ")
    return " and ".join(f"{words} {said(key, value)}" for words, value in bounds(key).items())


def _contradictions(
    settings: Settings, origins: Mapping[str, Given], bad: Mapping[str, Any]
) -> Sequence[BadInput]:
    """Return a complaint for each contradiction between values that are allowed by themselves."""
    problems = []
    for blamed in contradictions(settings):
        if not bad.keys() & blamed.keys():
            given = [key for key in blamed if key in origins]
            key = max(given, key=lambda one: _ORDER.index(origins[one].source))
            problems.append(origins[key].refused(blamed[key]))
    return problems
