"""The lock file of a state folder: one engine in it at a time, also where no database can be asked.

The operating system lets go of the lock when the process dies, however it dies; what the file says is only
who had it last.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bmv.errors import UnsafeState
from bmv.state.folder import StateFolder, made, unwritable
from bmv.units import Millis

LOCK_NAME = "lock"


class Occupant(msgspec.Struct, frozen=True, kw_only=True):
    """The process that has the state folder, since when, and the market it quotes ('' while not known)."""

    pid: int
    host: str
    since: Millis
    market: str = ""


class FolderTaken(UnsafeState):
    """Another process has the state folder."""

    def __init__(self, root: Path, occupant: Occupant | None, now: Millis) -> None:
        who = f"process {occupant.pid} on {occupant.host}" if occupant else "another process"
        age = f", for {max(0, int(now - occupant.since)) // 1000} s" if occupant else ""
        super().__init__(f"another run uses {root}: {who}{age}; stop it first, or use another --state")
        self.occupant = occupant


@contextmanager
def locked(folder: StateFolder, now: Millis, market: str) -> Iterator[None]:
    """Hold the state folder while the block runs; raise FolderTaken where another process has it."""
    path = made(folder.run) / LOCK_NAME
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderTaken(folder.root, _said(os.read(file, 4096)), now) from error
        occupant = Occupant(pid=os.getpid(), host=socket.gethostname(), since=now, market=market)
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(occupant) + b"\n", 0)
        yield
    finally:
        os.close(file)


def occupied(folder: StateFolder) -> bool:
    """Say whether a living process has the state folder."""
    try:
        file = os.open(folder.run / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def last_occupant(folder: StateFolder) -> Occupant | None:
    """Return who has, or last had, the state folder."""
    try:
        return _said((folder.run / LOCK_NAME).read_bytes())
    except OSError:
        return None


def _said(raw: bytes) -> Occupant | None:
    try:
        return msgspec.json.decode(raw, type=Occupant)
    except msgspec.DecodeError:
        return None
