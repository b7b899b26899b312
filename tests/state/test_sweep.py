"""What a lost temporary state folder has left is removed; whatever else looks like it stays."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from bmv.state import place
from bmv.state.folder import StateFolder
from bmv.state.place import choose_place
from bmv.state.sweep import note_owner, sweep

GONE = Path(tempfile.gettempdir()) / "bmv-that-never-was" / "state" / "servers"


def folder_of(base: Path, name: str, servers: Path) -> Path:
    folder = base / name
    (folder / "postgres").mkdir(parents=True)
    (folder / "sockets").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    note_owner(folder, servers)
    return folder


def left(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_only_what_belonged_to_a_temporary_folder_that_is_gone_is_removed(tmp_path: Path) -> None:
    base, there = tmp_path / "base", tmp_path / "state"
    there.mkdir()
    folder_of(base, "servers-gone", GONE)
    folder_of(base, "servers-there", there)
    folder_of(base, "servers-on-another-disk", Path("/not/mounted/just/now/servers"))
    folder_of(base, "servers-moved", Path(tempfile.gettempdir()) / "mine" / "servers")
    (base / "servers-without-a-note").mkdir()
    (base / "servers-lost.of").write_text(str(GONE))
    sweep(base)
    names = "servers-moved", "servers-on-another-disk", "servers-there"
    assert left(base) == sorted([*names, *(f"{name}.of" for name in names), "servers-without-a-note"])


def test_servers_that_may_still_run_keep_their_folder(tmp_path: Path) -> None:
    base = tmp_path / "base"
    live = folder_of(base, "servers-live", GONE)
    pid = live / "postgres" / "postmaster.pid"
    pid.write_text(f"{os.getpid()}\n/data\n")
    sweep(base)
    assert live.exists()
    pid.write_text("what is this\n")
    sweep(base)
    assert live.exists()
    pid.write_text(f"{2**22 + 1}\n/data\n")
    with socket.socket(socket.AF_UNIX) as valkey:
        valkey.bind(str(live / "sockets" / "valkey.sock"))
        valkey.listen()
        sweep(base)
        assert live.exists()
    sweep(base)
    assert left(base) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    base, precious = tmp_path / "base", tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    base.mkdir()
    (base / "servers-link").symlink_to(precious)
    note_owner(base / "servers-link", GONE)
    sweep(base)
    assert (precious / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives servers a folder elsewhere")
def test_the_next_first_start_removes_what_the_last_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "lasting"
    base.mkdir(mode=0o711)
    monkeypatch.setattr(place, "LASTING", base)
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    first = choose_place(StateFolder(hidden / "one")).folder
    assert choose_place(StateFolder(hidden / "one")).folder == first
    (hidden / "one").rename(tmp_path / "moved away")
    second = choose_place(StateFolder(hidden / "two")).folder
    assert (first.exists(), second.exists(), first.parent) == (False, True, base)
