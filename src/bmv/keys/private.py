"""Files that only their owner may read: read with a look at who else could, written whole or not at all.

Rules of this file
- What is read was opened first and looked at then, so nobody can change the file between look and read.
- A write goes to a new file beside the old one, is on the disk before it takes its name, and its name is on
  the disk before ``write_private`` returns: a crash leaves the old content or the new, never a part.
- A name that is a link is followed: the file behind it is replaced, the link stays.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from bmv.errors import BadInput, UnsafeState

MODE = 0o600
MAX_BYTES = 4 * 1024 * 1024


class TooOpen(UnsafeState):
    """A file with secrets can be read or changed by others than its owner, or belongs to somebody else."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}; make it yours alone (chmod 600 and chown) and look who has read it")
        self.path = path


def read_private(field: str, path: Path, *, granted: bool = False) -> bytes:
    """Return the content of a file of ours that nobody else may read.

    ``granted``: it may also be root's, who lets us read it by a list of rights (a credential of systemd).
    Raises TooOpen where others may, BadInput (naming ``field``) where it is not there or is too large.
    """
    try:
        with path.open("rb") as file:
            _refuse_open_to_others(path, os.fstat(file.fileno()), granted)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(field, str(path), f"a file that can be read ({error.strerror})", "its path") from error
    if len(content) > MAX_BYTES:
        raise BadInput(field, str(path), f"a file of at most {MAX_BYTES} bytes", "its path")
    return content


def _refuse_open_to_others(path: Path, status: os.stat_result, granted: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TooOpen(path, "not a plain file")
    if status.st_uid != os.geteuid() and not (granted and status.st_uid == 0):
        raise TooOpen(path, f"belongs to user {status.st_uid}")
    # Where a list of rights exists, the group's bit to read shows what the list allows, not the group.
    if status.st_mode & (0o037 if granted and status.st_uid == 0 else 0o077):
        raise TooOpen(path, f"mode {stat.S_IMODE(status.st_mode):03o} lets others read or change it")


def write_private(field: str, path: Path, content: bytes) -> None:
    """Write a file that only we may read; raise BadInput where that cannot be done, the old one untouched."""
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        allowed = f"a file that can be written ({error.strerror})"
        raise BadInput(field, str(path), allowed, "its path") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the only right to change ``path`` among those who ask for it here; wait for whoever has it."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
    except OSError as error:
        allowed = f"a folder that can be written to ({error.strerror})"
        raise BadInput("KEYSTORE", str(path), allowed, "its path") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
