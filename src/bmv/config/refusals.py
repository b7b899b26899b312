"""Keys of older configurations that would make the engine fake activity (SPEC 2, docs/integrity.md).

Rules of this file
- One message names every such key of file and environment together, in whatever spelling: another case,
  ``%``, dashes, inside a table.
- FLASH_VOLUME_* is let pass, and ignored, only where FLASH_VOLUME_ENABLED is false everywhere it is said.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bmv.config.sources import ENV_PREFIX, Given
from bmv.errors import BadInput

_SWITCH = "FLASH_VOLUME_ENABLED"
WHY = "bmv never trades with itself or fakes activity, see docs/integrity.md"


class _Fake(NamedTuple):
    """One value that meant fake activity: its name as spelled, tables and all, and the name meant."""

    entry: Given
    spelled: str
    meant: str
    value: Any


def without_fake_activity(given: Sequence[Given]) -> tuple[list[Given], list[str]]:
    """Return what is left to look at, and the names that are ignored; raise BadInput naming all refused."""
    fakes = [fake for entry in given for fake in _fakes(entry, entry.spelled, entry.value)]
    switches = [fake for fake in fakes if fake.meant == _SWITCH]
    off = bool(switches) and all(str(fake.value).strip().lower() == "false" for fake in switches)
    refused = [fake for fake in fakes if not (off and fake.meant.startswith("FLASH"))]
    if refused:
        names = sorted({fake.spelled for fake in refused})
        places = sorted({fake.entry.place for fake in refused})
        raise BadInput(", ".join(names), "set", WHY, ", ".join(places))
    # A table goes only where nothing else stands in it.
    dropped = [
        entry for entry in given if 0 < sum(fake.entry is entry for fake in fakes) == _leaves(entry.value)
    ]
    return [entry for entry in given if entry not in dropped], sorted({fake.spelled for fake in fakes})


def _leaves(value: Any) -> int:
    """Return how many values stand in ``value``: 1 where it is no table."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_leaves, inner)) if inner else 1


def _fakes(entry: Given, spelled: str, value: Any) -> Iterator[_Fake]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _fakes(entry, f"{spelled}.{name}", inner)
        return
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from _fakes(entry, spelled, inner)
        return
    parts = [re.sub(r"[\s-]+", "_", part.strip()) for part in spelled.upper().replace("%", "PCT").split(".")]
    for start in range(len(parts)):
        meant = "_".join(parts[start:]).removeprefix(ENV_PREFIX)
        if f"{meant}_".startswith(("NOISE_", "FLASH_VOLUME_")):
            yield _Fake(entry, spelled, meant, value)
            return
