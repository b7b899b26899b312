"""The baseline from which bought base is counted, in a small file beside the journal (SPEC 3.4).

``{"market", "number", "set_at", "net_base"}``: which baseline it is, when it was set, and the base lots that
were bought less sold since. The engine's belief begins with what the file says, as an event; every fill is
written back at once, whole or not at all. ``bmv baseline`` writes the next number and a count of 0; a running
engine finds that within seconds and takes it up as another event. A file of another market is not continued:
the first start on a market sets its first baseline.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from bmv.core.state import State
from bmv.errors import BadInput
from bmv.events import BaselineSet
from bmv.units import BaseLots, Millis

BASELINE_NAME = "baseline.json"
LOOK_EVERY_MS = Millis(5_000)


class Baseline(msgspec.Struct, frozen=True):
    """What the file holds; ``net_base`` is base lots bought less sold since ``set_at``."""

    market: str
    number: int
    set_at: Millis
    net_base: BaseLots


def read_baseline(path: Path) -> Baseline | None:
    """Return what the file says, None where there is none; raise BadInput where it says nothing sensible."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        allowed = f"a baseline as the engine wrote it ({error}); delete it to begin anew"
        raise BadInput("--state", str(path), allowed, "command line") from error


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file, whole or not at all; raise BadInput where it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(msgspec.json.encode(baseline) + b"\n")
        partial.replace(path)
    except OSError as error:
        allowed = f"a folder that can be written to ({error.strerror})"
        raise BadInput("--state", str(path), allowed, "command line") from error


def next_baseline(known: Baseline | None, market: str, at: Millis) -> Baseline:
    """Return the baseline that is set now; numbers never repeat, so a running engine notices."""
    return Baseline(market, known.number + 1 if known else 1, at, BaseLots(0))


class BaselineKeeper:
    """Keep one file and the engine's count in step; ``emit`` takes the engine's events."""

    def __init__(self, path: Path, market: str, at: Millis, emit: Callable[[BaselineSet], None]) -> None:
        self._path, self._emit, self._looked = path, emit, at
        known = read_baseline(path)
        if known is None or known.market != market:
            known = next_baseline(known, market, at)
            write_baseline(path, known)
        self._known = known
        self._tell(at)

    def follow(self, state: State) -> None:
        """Write what fills changed; every few seconds, look whether somebody set another baseline."""
        if state.now - self._looked >= LOOK_EVERY_MS:
            self._look(state.now)
        told = state.flow.baseline == self._known.number
        if told and state.flow.net_base != self._known.net_base:
            self._look(state.now)
            if state.flow.baseline == self._known.number:
                self._known = msgspec.structs.replace(self._known, net_base=state.flow.net_base)
                write_baseline(self._path, self._known)

    def _look(self, now: Millis) -> None:
        self._looked = now
        found = read_baseline(self._path)
        if found is not None and found.market == self._known.market and found.number != self._known.number:
            self._known = found
            self._tell(now)

    def _tell(self, at: Millis) -> None:
        known = self._known
        self._emit(BaselineSet(at=at, number=known.number, set_at=known.set_at, net_base=known.net_base))
