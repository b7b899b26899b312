"""What PostgreSQL has not taken yet, on disk, in order, bounded.

Segments ``spool/<number>.log`` hold records ``length, crc32, bytes`` (little-endian, four bytes each).

Rules of this file
- A run never appends to a segment of an earlier one, so a record that a crash has torn is the last of its
  segment and is passed over; whatever else does not read is kept under another name, and told.
- A record is on the disk when ``append`` returns. One that is only partly written is cut off again.
- Records leave from the front, after the database has them: what is sent twice after a crash is the same rows
  with the same keys.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bmv.errors import Unreachable
from bmv.observe.log import get_logger
from bmv.state.folder import made

LIMIT = 256 * 1024 * 1024
SEGMENT = 4 * 1024 * 1024
HEAD = struct.Struct("<II")


class Spool:
    """Append at the end, take from the front; Unreachable where the disk does not take it, or it is full."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder, self._limit = made(folder), limit
        self._log = get_logger("history")
        self._segments = sorted(folder.glob("*.log"))
        self._size = sum(path.stat().st_size for path in self._segments)
        self._last = max((int(path.stem) for path in folder.glob("*.log*") if _is_number(path)), default=0)
        self._writing: BinaryIO | None = None
        self._reading: BinaryIO | None = None
        self._next: bytes | None = None

    @property
    def size(self) -> int:
        """Return how many bytes wait; what was taken from a segment counts until all of it is."""
        return self._size

    @property
    def is_empty(self) -> bool:
        """Return whether nothing waits."""
        return self.first() is None

    def append(self, record: bytes) -> None:
        """Write a record to the end, on the disk when this returns."""
        data = HEAD.pack(len(record), zlib.crc32(record)) + record
        if self._size + len(data) > self._limit:
            raise Unreachable("spool", f"{self._folder} is full: {self._size} of {self._limit} bytes")
        try:
            file = self._open_segment()
            end = file.tell()
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                self._close_segment()
                raise
        except OSError as error:
            raise Unreachable("spool", f"{self._folder}: {error.strerror or error}") from error
        self._size += len(data)

    def first(self) -> bytes | None:
        """Return the oldest record, None where nothing waits."""
        with self._mapped():
            while self._next is None and self._segments:
                if self._reading is None:
                    self._reading = self._segments[0].open("rb")
                self._next = self._read(self._reading)
                if self._next is None:
                    if self._writing is not None and len(self._segments) == 1:
                        return None
                    self._drop_segment()
        return self._next

    def done(self) -> None:
        """Forget the oldest record: the database has it."""
        self._next = None
        reading, writing = self._reading, self._writing
        # The segment being written is given up once all of it was taken, so that the disk is free again.
        if writing and reading and len(self._segments) == 1 and reading.tell() == writing.tell():
            with self._mapped():
                self._close_segment()
                self._drop_segment()

    def set_aside(self) -> None:
        """Move the oldest record to ``refused.records``: the database will never take it."""
        record = self.first()
        if record is not None:
            with self._mapped(), (self._folder / "refused.records").open("ab") as file:
                file.write(HEAD.pack(len(record), zlib.crc32(record)) + record)
            self.done()

    def close(self) -> None:
        """Close the files; what waits stays."""
        self._close_segment()
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unreachable("spool", f"{self._folder}: {error.strerror or error}") from error

    def _open_segment(self) -> BinaryIO:
        if self._writing is not None and self._writing.tell() >= SEGMENT:
            self._close_segment()
        if self._writing is None:
            self._last += 1
            path = self._folder / f"{self._last:08}.log"
            self._writing = path.open("xb")
            self._segments.append(path)
        return self._writing

    def _close_segment(self) -> None:
        if self._writing is not None:
            with suppress(OSError):
                self._writing.close()
            self._writing = None

    def _read(self, file: BinaryIO) -> bytes | None:
        """Return the next record of a segment; None at its end, or at what does not read."""
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        length, checksum = HEAD.unpack(head)
        record = file.read(length) if length <= self._limit else b""
        if len(record) < length <= self._limit:
            return None
        if zlib.crc32(record) != checksum or length > self._limit:
            kept = self._segments[0].with_suffix(".log.damaged")
            self._log.error("SPOOL_DAMAGED", segment=self._segments[0].name, kept=kept.name, at=file.tell())
            kept.write_bytes(self._segments[0].read_bytes())
            return None
        return record

    def _drop_segment(self) -> None:
        path = self._segments.pop(0)
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        self._size -= path.stat().st_size
        path.unlink()


def _is_number(path: Path) -> bool:
    return path.name.split(".")[0].isdigit()
