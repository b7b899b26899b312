"""The journal: every event that came in and every action that went out, in order, one JSON line each.

Between them stand the bundles, each written before it is sent: what to look for on the chain after a crash.

Same events in, same actions out: the file is the bug report and the audit. ``digest`` covers the actions
only, so two runs that did the same things agree even if their notifications arrived in another rhythm.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from bmv.events import AnyAction, AnyEvent

_encode = msgspec.json.Encoder().encode


class Journal:
    """Append events and actions to ``path``; None keeps only the digest."""

    def __init__(self, path: Path | None = None) -> None:
        self._file: BinaryIO | None = path.open("ab") if path else None
        self._digest = hashlib.sha256()

    def begin(self, run: Mapping[str, object]) -> None:
        """Append what a replay starts from; a folder used again holds one run after another."""
        if self._file:
            self._file.write(b'{"run":' + _encode(run) + b"}\n")

    def event(self, event: AnyEvent) -> None:
        """Append an event."""
        if self._file:
            self._file.write(b'{"event":' + _encode(event) + b"}\n")

    def action(self, action: AnyAction) -> None:
        """Append an action and fold it into the digest."""
        line = _encode(action)
        self._digest.update(line + b"\n")
        if self._file:
            self._file.write(b'{"action":' + line + b"}\n")

    def bundle(self, bundle: Mapping[str, object]) -> None:
        """Append a bundle that is about to be sent, and hand it to the operating system."""
        if self._file:
            self._file.write(b'{"bundle":' + _encode(bundle) + b"}\n")
            self._file.flush()

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file:
            self._file.flush()

    @property
    def digest(self) -> str:
        """Return the hex sha256 over all actions so far."""
        return self._digest.hexdigest()

    def give_up(self) -> None:
        """Write no more after an error; the digest goes on."""
        with contextlib.suppress(OSError):
            self.close()
        self._file = None

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None
