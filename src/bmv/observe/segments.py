"""The files of a journal: numbered segments of checksummed lines, the full ones compressed.

A line is the CRC-32 of a record in hex, a space, the record (JSON), a newline; ``zcat`` and ``cut -c10-``
show it to people. Rules of this file
- A segment is only ever appended to, and by one process; a run begins a new one and never touches another's.
- Compressing makes a whole new file first: at any instant the plain or the compressed one is complete.
- A process killed while it writes leaves a torn last line. Where nothing sound follows in the segment and the
  next one begins another run, that is the end of what was recorded; any other bad line is damage, and told
  with file and offset.
"""

import contextlib
import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bmv.errors import BadInput

PLAIN, PACKED, PARTIAL = ".journal", ".journal.gz", ".partial"
RUN_PREFIX = b'{"run":'
_NAME = re.compile(r"(\d{8})\.journal(\.gz)?")
_CHECK = 9
_LEVEL = 4


class Record(NamedTuple):
    """One sound record and where it stands; ``offset`` counts bytes of the uncompressed segment."""

    payload: bytes
    path: Path
    offset: int


def line_of(payload: bytes) -> bytes:
    """Return a record as the line that stands in a segment."""
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def segments(folder: Path) -> list[Path]:
    """Return the segments in the order they were written; of two forms of one, the compressed one."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if match := _NAME.fullmatch(path.name):
            found[match[1]] = path
    return [found[number] for number in sorted(found)]


def new_segment(folder: Path) -> tuple[Path, BinaryIO]:
    """Make the next segment and open it for writing."""
    known = segments(folder)
    path = folder / f"{number_of(known[-1]) + 1 if known else 1:08d}{PLAIN}"
    return path, path.open("xb")


def number_of(path: Path) -> int:
    """Return a segment's number."""
    return int(path.name[:8])


def compress(path: Path) -> None:
    """Put a compressed segment in the place of a plain one; where that fails the plain one stays."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with path.open("rb") as plain, partial.open("wb") as file:
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
                shutil.copyfileobj(plain, packed, 1 << 18)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path.with_name(path.name.removesuffix(PLAIN) + PACKED))
        path.unlink()
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def left_behind(folder: Path) -> list[Path]:
    """Remove what a killed process left half done; return the plain segments it did not come to compress."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink()
    plain = sorted(folder.glob(f"*{PLAIN}"))
    for path in plain:
        if path.with_name(path.name + ".gz").exists():
            path.unlink()
    return [path for path in plain if path.exists()]


def records(folder: Path, first: int = 0) -> Iterator[Record]:
    """Yield every record from segment ``first`` on, in order; BadInput where none is, or one is damaged."""
    try:
        known = [path for path in segments(folder) if number_of(path) >= first]
    except OSError as error:
        raise _bad(folder, f"a journal that can be read ({error.strerror})") from error
    if not known:
        raise _bad(folder, "a folder with a journal")
    for path, following in pairwise([*known, None]):
        assert path is not None
        yield from _records_of(path, following)


def _records_of(path: Path, following: Path | None) -> Iterator[Record]:
    torn: int | None = None
    for offset, line in _lines(path):
        payload = _sound(line)
        if payload is None:
            torn = offset if torn is None else torn
        elif torn is not None:
            raise _bad(path, f"a sound record at offset {torn}: that line is damaged, later ones are not")
        else:
            yield Record(payload, path, offset)
    if following is None:
        return
    begins = begins_run(following)
    if torn is not None and not begins:
        raise _bad(path, f"a sound record at offset {torn}: the run goes on in {following.name}")
    if not begins and number_of(following) != number_of(path) + 1:
        raise _bad(following, f"segment {number_of(path) + 1:08d}, in which the run goes on, is not there")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(PACKED) else path.open("rb") as file:
            for line in file:
                yield offset, line
                offset += len(line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _bad(path, f"a sound record at offset {offset}: {error}") from error
    except OSError as error:
        raise _bad(path, f"a segment that can be read ({error.strerror})") from error


def begins_run(path: Path) -> bool:
    """Say whether a segment is the first of a run; one in which nothing was recorded counts as that."""
    first = next(_lines(path), None)
    payload = _sound(first[1]) if first else None
    return payload is None or payload.startswith(RUN_PREFIX)


def _sound(line: bytes) -> bytes | None:
    """Return the record in a line; None where the line is cut off or does not fit its checksum."""
    payload = line[_CHECK:-1]
    return payload if line == line_of(payload) else None


def _bad(path: Path, allowed: str) -> BadInput:
    return BadInput("journal", str(path), allowed, "the state folder")
