"""Where settings come from: what was written, under which name, and where.

Rules of this file
- ``%`` in a name is ``PCT``; nothing else is bent into a known name.
- A file is flat; tables come through as one entry each, to be complained about.
- Later sources win: default, preset, file, environment, command line.
"""

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
        value = str(self.value) if isinstance(self.value, Decimal) else self.value
        return BadInput(self.spelled, value, allowed, self.place)


def from_file(path: Path) -> Iterator[Given]:
    """Yield what a TOML file says; raise BadInput where it cannot be read or is no TOML."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        allowed = f"a readable file ({error.strerror})"
        raise BadInput("--config", str(path), allowed, "command line") from error
    except (ValueError, RecursionError) as error:
        raise BadInput("--config", str(path), f"valid TOML ({error})", "command line") from error
    for spelled, value in raw.items():
        yield Given(value, spelled, Source.FILE, str(path))


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield what the variables with the prefix say."""
    for name, text in sorted(environ.items()):
        if name.startswith(ENV_PREFIX) and name not in NO_SETTINGS:
            spelled = name.removeprefix(ENV_PREFIX)
            yield Given(text, spelled, Source.ENVIRONMENT, f"environment variable {name}")
