"""Folders of servers whose state folder was a temporary one and is gone: nobody can start them again.

As root, the servers of a state folder that is closed to others have their data in the system's place for it.
Who deletes such a state folder, as a test that is killed does, leaves that data behind. A note beside each
such folder says to whom it belongs. Only what belonged to a temporary folder of this product or its tests is
ever removed: any other state folder may have moved, or be on a disk that is not mounted just now.
"""

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

from bmv.observe.log import get_logger

NOTE = ".of"
PASSING = ("bmv-", "pytest-")
"""How the names of temporary folders begin."""


def note_owner(folder: Path, servers: Path) -> None:
    """Write down beside a folder which state folder's ``servers`` it stands for."""
    _note_of(folder).write_text(str(servers.resolve()))


def sweep(base: Path) -> None:
    """Remove below ``base`` what has a note, is ours, stands still, and lost its temporary state folder."""
    for note in sorted(base.glob(f"*{NOTE}")):
        folder = note.with_name(note.name.removesuffix(NOTE))
        with contextlib.suppress(OSError):
            if note.lstat().st_uid != os.geteuid() or not _is_gone(Path(note.read_text())) or _runs(folder):
                continue
            # It refuses to follow a link, and its error leaves the note.
            if folder.exists():
                shutil.rmtree(folder)
                get_logger("servers").info("LEFTOVERS_REMOVED", folder=str(folder))
            note.unlink()


def _note_of(folder: Path) -> Path:
    return folder.with_name(folder.name + NOTE)


def _is_gone(servers: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    if not servers.is_relative_to(temporary) or not temporary.is_dir():
        return False
    return servers.relative_to(temporary).parts[0].startswith(PASSING) and not servers.exists()


def _runs(folder: Path) -> bool:
    """Return whether a server may still run there; a process that only has the number of one counts too."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(folder / "sockets" / "valkey.sock"))
        return True
    try:
        said = (folder / "postgres" / "postmaster.pid").read_bytes().split()
    except FileNotFoundError:
        return False
    return not said or not said[0].isdigit() or is_alive(int(said[0]))


def is_alive(pid: int) -> bool:
    """Return whether a process of this number runs, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
