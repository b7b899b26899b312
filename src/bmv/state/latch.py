"""The latch of the kill switch: once raised, nothing quotes until somebody releases it on purpose.

It is raised in two places, each enough by itself: the file ``run/HALT`` of the state folder, which needs no
database, and the key ``halt`` in Redis, which needs no common disk. Anything found there counts, an empty
file (``touch``) and a word set by hand included: a switch must not ask for a format.

``bmv resume`` writes ``run/RELEASED``. A flag in Redis that is older than that is lowered at the next start,
so that the latch can be released while Redis is away.
"""

from pathlib import Path

import msgspec

from bmv.errors import BadInput, UnsafeState
from bmv.state.folder import StateFolder, made, unwritable
from bmv.units import Millis


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """Who raised it (``by``), when, and why; the time is 0 where nobody said so."""

    at: Millis = Millis(0)
    reason: str = "no reason given"
    by: str = "unknown"


def packed_latch(latch: Latch) -> bytes:
    """Return a latch as JSON."""
    return msgspec.json.encode(latch)


def read_latch(raw: bytes, where: str) -> Latch:
    """Return what a file or key says; one that says nothing sensible is raised all the same."""
    try:
        return msgspec.json.decode(raw, type=Latch)
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = raw[:200].decode(errors="replace").strip()
        return Latch(reason=words or Latch().reason, by=f"set by hand in {where}")


class LatchFile:
    """The latch of one state folder."""

    def __init__(self, folder: StateFolder) -> None:
        self.root, self.path, self._released = folder.root, folder.run / "HALT", folder.run / "RELEASED"

    def read(self) -> Latch | None:
        """Return the latch, None where it is not raised; a file that cannot be read counts as raised."""
        try:
            return read_latch(self.path.read_bytes(), self.path.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Latch(reason=f"{self.path.name} cannot be read ({error.strerror})", by=self.path.name)

    def raise_(self, latch: Latch) -> None:
        """Raise it; one that is up already keeps its reason. BadInput where the folder cannot be written."""
        if self.path.exists():
            return
        try:
            self._write(self.path, latch)
        except BadInput as error:
            # A disk that is full still takes a name, and any file of that name is a raised switch.
            try:
                self.path.touch()
            except OSError:
                raise error from None

    def release(self, latch: Latch) -> None:
        """Lower it, and note when, by whom and why; its flag in Redis too is outdated from then on."""
        standing = self.read()
        if standing is not None and standing.at > latch.at:
            # Who raised it has another clock: beside a fast sandbox, or before this machine's was set back.
            latch = msgspec.structs.replace(latch, at=standing.at)
        self._write(self._released, latch)
        self.path.unlink(missing_ok=True)

    def outdated(self, flag: Latch) -> bool:
        """Say whether a flag found in Redis was raised before the last release."""
        try:
            released = read_latch(self._released.read_bytes(), self._released.name)
        except OSError:
            return False
        return Millis(0) < flag.at <= released.at

    def _write(self, path: Path, latch: Latch) -> None:
        made(path.parent)
        partial = path.with_name(path.name + ".partial")
        try:
            partial.write_bytes(packed_latch(latch) + b"\n")
            partial.replace(path)
        except OSError as error:
            raise unwritable(path, error) from error


class Latched(UnsafeState):
    """A start was refused because the kill switch is latched; ``latch`` says by whom and why."""

    def __init__(self, latch: Latch, release: str) -> None:
        super().__init__(
            f"halted by {latch.by}: {latch.reason}; nothing starts before it is released: {release}"
        )
        self.latch = latch
