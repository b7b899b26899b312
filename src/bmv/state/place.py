"""Where the local servers run and as whom.

PostgreSQL refuses to run as root, and another user may not reach what root keeps to itself. As root, the
servers therefore run as a user without rights, in a folder made for them: inside the state folder where
that user can get there, else in ``LASTING``. The choice is recorded (``place.json``) and kept.
Nothing but folders and files made here changes its owner or mode.
"""

import os
import pwd
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from bmv.errors import UnsafeState
from bmv.state.folder import StateFolder, made, unwritable
from bmv.state.sweep import note_owner, sweep

LASTING, FLEETING = Path("/var/lib/bmv"), Path("/tmp")
PLACE_NAME = "place.json"
NOBODY = "nobody"
LONGEST_SOCKET_FOLDER = 80
"""A UNIX socket's whole path has at most 107 bytes (103 on some systems); the name in it needs the rest."""


class Place(msgspec.Struct, frozen=True):
    """The folder with the servers' data, the one with their sockets, and who owns both (None: this user)."""

    folder: Path
    sockets: Path
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> Path:
        """Give a path that was just made here to the servers' user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)
        return path

    def folder_of(self, name: str) -> Path:
        """Return a folder of the servers' user in the place, made where it is missing."""
        path = self.folder / name
        if not path.exists():
            path.mkdir(mode=0o700)
            self.own(path)
        return path


def known_place(state: StateFolder) -> Place | None:
    """Return the place that an earlier start has recorded; None where there is none."""
    try:
        written = (state.servers / PLACE_NAME).read_bytes()
        return msgspec.json.decode(written, type=Place, dec_hook=lambda _, text: Path(text))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unwritable(state.servers, error) from error
    except msgspec.DecodeError as error:
        raise UnsafeState(
            f"{state.servers / 'place.json'}: {error}; it says where the database is"
        ) from error


def choose_place(state: StateFolder) -> Place:
    """Return the place of the servers, made and recorded at the first start."""
    made(state.servers, 0o711)
    try:
        known = known_place(state)
        if known is None:
            uid, gid = _unprivileged() if os.geteuid() == 0 else (None, None)
            known = Place(_data_folder(state, uid, gid), Path(), uid, gid)
        if not known.sockets.is_absolute() or not known.sockets.is_dir():
            known = msgspec.structs.replace(known, sockets=_socket_folder(known))
            partial = state.servers / f"{PLACE_NAME}.partial"
            partial.write_bytes(msgspec.json.encode(known, enc_hook=str) + b"\n")
            partial.replace(state.servers / PLACE_NAME)
    except OSError as error:
        raise unwritable(state.servers, error) from error
    return known


def _unprivileged() -> tuple[int, int]:
    """Return a user without rights; PostgreSQL wants one that has a name."""
    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_name != NOBODY, -user.pw_uid))
    for user in users:
        if user.pw_uid != 0 and user.pw_gid != 0:
            return user.pw_uid, user.pw_gid
    raise UnsafeState("no user but root is known here, and PostgreSQL does not run as root; set DATABASE_URL")


def _data_folder(state: StateFolder, uid: int | None, gid: int | None) -> Path:
    inside = state.servers / "data"
    if uid is None or gid is None:
        return made(inside)
    if can_reach(state.servers, uid):
        folder = made(inside)
    else:
        with suppress(OSError):
            LASTING.mkdir(mode=0o711, exist_ok=True)
        base = next((each for each in (LASTING, FLEETING) if each.is_dir() and can_reach(each, uid)), None)
        if base is None:
            raise UnsafeState(f"no folder is open to a user other than root: {state.servers}, {LASTING}")
        sweep(base)
        folder = Path(tempfile.mkdtemp(prefix="servers-", dir=base))
        note_owner(folder, state.servers)
    os.chown(folder, uid, gid)
    return folder


def _socket_folder(place: Place) -> Path:
    inside = place.folder / "sockets"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
        return place.folder_of("sockets")
    return place.own(Path(tempfile.mkdtemp(prefix="bmv-", dir=None if place.uid is None else FLEETING)))


def can_reach(path: Path, uid: int) -> bool:
    """Return whether a user may pass through every folder down to ``path``."""
    for folder in (path.resolve(), *path.resolve().parents):
        found = folder.stat()
        if not found.st_mode & (stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH):
            return False
    return True
