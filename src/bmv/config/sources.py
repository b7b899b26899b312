"""Where settings come from: what was written, under which name, and where.

Rules of this file
- ``%`` in a name is ``PCT``; nothing else is bent into a known name.
- A file is flat; tables come through as one entry each, to be complained about.
- Later sources win: default, preset, file, environment, command line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from bmv.errors import BadInput

ENV_PREFIX = "BMV_"
NO_SETTINGS = frozenset({"BMV_OPENBOOK_V1_SO"})
"""Environment variables with the prefix that name something else: the compiled program, for a test."""


_BARE_PERCENT = re.compile(r"^[ \t]*\w*%\w*[ \t]*=", re.MULTILINE)
_LOOSE = re.compile(
    r"(?:^|\|)[ \t`\"'|*+-]{0,20}(?:export[ \t]{1,9})?([A-Za-z][\w%-]{0,80})"
    r"[ \t`\"'*]{0,40}[=:|\t][ \t`\"'*]{0,40}([^\s`\"'|*]{0,200})",
    re.MULTILINE,
)
"""A name and a value as files, tables, lists and papers write them: ``A = 1``, ``- A: 1``, ``| A | 1 |``.

Every repetition is bounded, so that a hostile file costs no more than its length.
"""
_FAKE_WORD = re.compile(r"\b(?:NOISE|FLASH[_-]VOLUME)[_-][\w%-]{1,80}", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)
_LOOSE_TABLE = re.compile(r"^[ \t]*\[+[ \t]*([\w.%-]+)", re.MULTILINE)
_KEY = re.compile(r"""[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([\w.%-]+))[ \t]*=""")
_AT_LINE = re.compile(r"\(at line (\d+),")
_TWICE = "Cannot overwrite a value"
_FILE = "settings file"
_LARGEST = 2**63
_SECRET = re.compile("AUTH|UUID|RPC|WS_URL|WEBHOOK|_KEY|DATABASE|REDIS|SECRET|PASS|TOKEN")


class Source(StrEnum):
    """Kinds of sources, each winning over those before it."""

    DEFAULT = "default"
    PRESET = "preset"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class Given(msgspec.Struct, frozen=True):
    """One value somebody gave: what, the name as spelled, the kind of source, and which one."""

    value: Any
    spelled: str
    source: Source
    place: str

    @property
    def key(self) -> str:
        """Return the name of the key that is meant."""
        return self.spelled.replace("%", "PCT")

    def refused(self, allowed: str) -> BadInput:
        """Return the complaint about this value."""
        return BadInput(self.spelled, self.shown, allowed, self.place)

    @property
    def shown(self) -> Any:
        """Return the value for people; of what may be a secret only that it is there."""
        if _SECRET.search(self.key.upper()) or (isinstance(self.value, str) and "@" in self.value):
            return "***"
        return str(self.value) if isinstance(self.value, Decimal) else self.value


def from_file(path: Path) -> tuple[list[Given], BadInput | None]:
    """Return what a TOML file says, and why it cannot be taken: not readable, or no TOML.

    Of what is no TOML, such as a table pasted from a paper, the lines are returned that look like a key and
    a value, and every word that names what must be refused, however it stands there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return [], BadInput("--config", str(path), f"a readable file ({error.strerror})", "command line")
    except UnicodeDecodeError as error:
        return [], BadInput(_FILE, "all of it", f"valid TOML ({error})", str(path))
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        loose = [Given(value, name, Source.FILE, str(path)) for name, value in _loosely(text)]
        return loose, _broken(text, str(error), path)
    said = [Given(value, spelled, Source.FILE, str(path)) for spelled, value in raw.items()]
    small = [entry for entry in said if not _too_large(entry.value)]
    if len(small) == len(said):
        return said, None
    names = ", ".join(entry.spelled for entry in said if entry not in small)
    return small, BadInput(names, "a whole number of more than 64 bits", "what TOML can say", str(path))


def _loosely(text: str) -> list[tuple[str, str]]:
    """Return names and values of what is no TOML; of a name that stands there otherwise, no value."""
    text = _COMMENT.sub("", text)
    found = [*_LOOSE.findall(text), *((name, "") for name in _LOOSE_TABLE.findall(text))]
    named = {name.upper() for name, _ in found}
    return found + [(word, "") for word in _FAKE_WORD.findall(text) if word.upper() not in named]


def _broken(text: str, error: str, path: Path) -> BadInput:
    """Return what is wrong with the form of a file: key and line, not the value, which may be a secret."""
    at = _AT_LINE.search(error)
    line = text.split("\n")[int(at[1]) - 1] if at else ""
    key = _KEY.match(line)
    name = next(filter(None, key.groups()), _FILE) if key else _FILE
    where = f"line {at[1]}" if at else "all of it"
    if key and error.startswith(_TWICE):
        return BadInput(name, f"said again in {where}", "each key once", str(path))
    quotes = "; a key with % stands in quotes" if _BARE_PERCENT.search(text) else ""
    return BadInput(name, where, f"valid TOML ({error}){quotes}", str(path))


def _too_large(value: Any) -> bool:
    """Say whether a whole number somewhere in ``value`` is larger than TOML's; it could not even be shown."""
    if isinstance(value, dict):
        return any(map(_too_large, value.values()))
    if isinstance(value, list):
        return any(map(_too_large, value))
    return isinstance(value, int) and not -_LARGEST <= value < _LARGEST


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield what the variables with the prefix say."""
    for name, text in sorted(environ.items()):
        if name.startswith(ENV_PREFIX) and name not in NO_SETTINGS:
            spelled = name.removeprefix(ENV_PREFIX)
            yield Given(text, spelled, Source.ENVIRONMENT, f"environment variable {name}")
