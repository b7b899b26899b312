"""Keys of older configurations that would make the engine fake activity (SPEC 2, docs/integrity.md).

Rules of this file
- One message names every such key of file and environment together, in whatever spelling: another case,
  ``%``, dashes, inside a table.
- FLASH_VOLUME_* is let pass, and ignored, only where FLASH_VOLUME_ENABLED is false everywhere it is said.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bmv.config.sources import Given
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
    dropped = [fake.entry for fake in fakes]
    return [entry for entry in given if entry not in dropped], sorted({fake.spelled for fake in fakes})


def _fakes(entry: Given, spelled: str, value: Any) -> Iterator[_Fake]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _fakes(entry, f"{spelled}.{name}", inner)
        return
    parts = spelled.upper().replace("%", "PCT").replace("-", "_").split(".")
    for start in range(len(parts)):
        meant = "_".join(part.strip() for part in parts[start:])
        if f"{meant}_".startswith(("NOISE_", "FLASH_VOLUME_")):
            yield _Fake(entry, spelled, meant, value)
            return
