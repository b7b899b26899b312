"""The journal: every event that came in and every action that went out, in order, one record each.

Between them stand the bundles, each written before it is sent: what to look for on the chain after a crash.
A run begins with what a replay starts from and, where it was closed, ends with its digest.

Same events in, same actions out: the journal is the bug report and the audit. ``digest`` covers the actions
only, so two runs that did the same things agree even if their notifications arrived in another rhythm.

Everything is with the operating system before the next event is decided on, so a killed process loses at most
the actions of its last event. ``durable`` has a bundle on the disk before it is sent: for the machine itself.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from bmv.belief import Belief
from bmv.errors import BadInput, UnsafeState
from bmv.events import AnyAction, AnyEvent
from bmv.observe.log import get_logger
from bmv.observe.segments import RUN_PREFIX, compress, left_behind, line_of, new_segment

JOURNAL_FOLDER = "journal"
SEGMENT_BYTES = 4 << 20
_LOCK = "lock"
_encode = msgspec.json.Encoder().encode


class Journal:
    """Append to segments in ``folder``; None keeps only the digest.

    Raises BadInput where the folder cannot be written to, UnsafeState where another run writes to it.
    """

    def __init__(
        self, folder: Path | None = None, *, durable: bool = False, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._folder, self._durable, self._segment_bytes = folder, durable, segment_bytes
        self._digest, self._actions = hashlib.sha256(), 0
        self._packing: threading.Thread | None = None
        self._file: BinaryIO | None = None
        self._written = 0
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._lock = _locked(folder)
                self._pack(left_behind(folder))
                self._path, self._file = new_segment(folder)
            except OSError as error:
                allowed = f"a folder that can be written to ({error.strerror})"
                raise BadInput("--state", str(folder), allowed, "command line") from error

    def begin(self, run: Mapping[str, object]) -> None:
        """Append what a replay starts from: the first record of a run."""
        self._append(RUN_PREFIX + _encode(run) + b"}")

    def event(self, event: AnyEvent) -> None:
        """Append an event and hand it, with all before it, to the operating system."""
        if self._file and self._written >= self._segment_bytes:
            self._next_segment()
        self._append(b'{"event":' + _encode(event) + b"}")
        self.flush()

    def action(self, action: AnyAction) -> None:
        """Append an action and fold it into the digest."""
        line = _encode(action)
        self._digest.update(line + b"\n")
        self._actions += 1
        self._append(b'{"action":' + line + b"}")

    def bundle(self, bundle: Mapping[str, object]) -> None:
        """Append a bundle that is about to be sent, and see to it that a crash does not lose it."""
        self._append(b'{"bundle":' + _encode(bundle) + b"}")
        self.flush()
        if self._file and self._durable:
            os.fdatasync(self._file.fileno())

    def belief(self, belief: Belief) -> None:
        """Append what a later run goes on from."""
        self._append(b'{"belief":' + _encode(belief) + b"}")

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
        file, self._file = self._file, None
        if file:
            with contextlib.suppress(OSError):
                file.close()
            self._release()

    def close(self) -> None:
        """Append how the run ended, and close and compress what it wrote."""
        if not self._file:
            return
        try:
            self._append(b'{"end":' + _encode({"actions": self._actions, "digest": self.digest}) + b"}")
            self._close_segment()
        except OSError as error:
            # The last of it is lost, as after a crash; what was recorded before stays.
            get_logger("journal").warning("journal_not_closed", reason=str(error))
        self._release()

    def _append(self, record: bytes) -> None:
        if self._file:
            self._written += self._file.write(line_of(record))

    def _next_segment(self) -> None:
        assert self._folder is not None
        self._close_segment()
        self._path, self._file = new_segment(self._folder)

    def _close_segment(self) -> None:
        assert self._file is not None
        file, self._file, self._written = self._file, None, 0
        with file:
            file.flush()
            os.fsync(file.fileno())
        self._pack([self._path])

    def _pack(self, paths: list[Path]) -> None:
        """Compress in a thread: zlib lets the loop go on. There is at most one such thread."""
        self._join()
        if paths:
            self._packing = threading.Thread(target=_compress_all, args=(paths,), name="journal")
            self._packing.start()

    def _join(self) -> None:
        if self._packing is not None:
            self._packing.join()
            self._packing = None

    def settle(self) -> None:
        """Wait until what earlier runs have left is compressed: from then on it can be read."""
        self._join()

    def _release(self) -> None:
        self._join()
        self._lock.close()


def _compress_all(paths: list[Path]) -> None:
    for path in paths:
        compress(path)


def _locked(folder: Path) -> BinaryIO:
    """Return the lock, which ends with this process however that ends."""
    lock = (folder / _LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise UnsafeState(f"{folder}: another run writes its journal there") from error
    return lock
