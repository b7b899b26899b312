"""Local servers start without being asked twice, come back after a crash, and keep to themselves."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from bmv.errors import BadInput
from bmv.state import programs
from bmv.state.folder import StateFolder, temporary_state
from bmv.state.place import choose_place
from bmv.state.postgres import PostgresServer
from bmv.state.server import Server
from bmv.state.servers import Servers
from bmv.state.valkey import ValkeyServer

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def state() -> Iterator[StateFolder]:
    with temporary_state() as folder:
        yield folder


def ask(url: str, question: str) -> object:
    async def asked() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(asked())


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_database_checks_its_pages_asks_for_a_password_and_opens_no_port(servers: Servers) -> None:
    url = servers.database_url.reveal()
    for setting, value in {"data_checksums": "on", "fsync": "on", "listen_addresses": ""}.items():
        assert ask(url, f"select current_setting('{setting}')") == value
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(url.replace(password, "guessed"), "select 1")
    assert ask(url, "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = 'bmv'") is True


def test_valkey_writes_every_change_down_and_asks_for_a_password(servers: Servers) -> None:
    client = Redis.from_url(servers.redis_url.reveal())
    settings = client.config_get("appendonly") | client.config_get("port")
    assert (settings["appendonly"], settings["port"]) == ("yes", "0")
    with pytest.raises(AuthenticationError):
        Redis.from_url(servers.redis_url.reveal().split("?")[0] + "?password=guessed").ping()


def test_what_was_written_is_there_after_a_crash_and_after_a_new_start(state: StateFolder) -> None:
    first = PostgresServer(state)
    try:
        first.start()
        ask(first.url.reveal(), "create table kept as select 42 as answer")
        killed(first, "postgres/postmaster.pid")
        assert within(10, first.answers)
        assert first.restarts == 1
        assert ask(first.url.reveal(), "select answer from kept") == 42
    finally:
        first.stop()
    second = PostgresServer(state)
    try:
        second.start()
        assert ask(second.url.reveal(), "select answer from kept") == 42
    finally:
        second.stop()
    assert not (first.place.folder / "postgres" / "postmaster.pid").exists()


def test_what_a_killed_server_said_of_itself_is_not_believed_of_the_next_one(state: StateFolder) -> None:
    first = PostgresServer(state)
    try:
        first.start()
        pid_file = first.place.folder / "postgres" / "postmaster.pid"
        said = pid_file.read_bytes()
    finally:
        first.stop()
    pid_file.write_bytes(said)
    second = PostgresServer(state)
    try:
        second.start()
        assert ask(second.url.reveal(), "select 1") == 1
        assert second.restarts == 0
    finally:
        second.stop()


def killed(server: Server, pid_file: str) -> None:
    pid = int((server.place.folder / pid_file).read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    assert within(10, lambda: server.restarts == 1)


def test_a_second_process_borrows_and_does_not_stop_what_it_borrowed(state: StateFolder) -> None:
    owner, borrower = ValkeyServer(state), ValkeyServer(state)
    try:
        owner.start()
        borrower.start()
        assert borrower.url == owner.url
        borrower.stop()
        assert owner.answers()
    finally:
        owner.stop()
    assert not owner.answers()


OWNER = """
import sys, time
from pathlib import Path
from bmv.state.folder import StateFolder
from bmv.state.place import choose_place
from bmv.state.postgres import PostgresServer
from bmv.state.valkey import ValkeyServer
for server in (PostgresServer(StateFolder(Path(sys.argv[1]))), ValkeyServer(StateFolder(Path(sys.argv[1])))):
    server.start()
print("up", flush=True)
time.sleep(60)
"""


def owner_of(state: StateFolder, path: str) -> subprocess.Popen[bytes]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state.root)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(SOURCE)},
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    return owner


def test_servers_that_outlive_a_killed_owner_are_taken_over(state: StateFolder) -> None:
    # A PATH without setpriv: what a system lacks that cannot end children with their parent.
    folders = os.environ["PATH"].split(os.pathsep)
    owner = owner_of(state, os.pathsep.join(f for f in folders if not (Path(f) / "setpriv").exists()))
    owner.kill()
    owner.wait()
    taken: list[Server] = [PostgresServer(state), ValkeyServer(state)]
    try:
        for server in taken:
            server.start()
            assert server.restarts == 0
        assert ask(taken[0].url.reveal(), "select 1") == 1
    finally:
        for server in taken:
            server.stop()


def test_the_programs_of_the_extra_do_where_the_system_has_none(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    server = PostgresServer(state)
    try:
        server.start()
        assert ask(server.url.reveal(), "select current_setting('server_version_num')::int / 10000") == 18
    finally:
        server.stop()


def test_data_of_another_version_is_refused_by_name(state: StateFolder) -> None:
    place = choose_place(state)
    (place.folder_of("postgres") / "PG_VERSION").write_text("9\n")
    with pytest.raises(BadInput, match=r"PostgreSQL 9, which has made .*here is"):
        PostgresServer(state).start()


def test_passwords_are_private_and_in_no_command_line(state: StateFolder) -> None:
    server = ValkeyServer(state)
    try:
        server.start()
        assert stat.S_IMODE(server.password_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(server.place.sockets.stat().st_mode) == 0o700
        password = server.password_file().read_text()
        lines = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.parent.name.isdigit()]
        assert not any(password.encode() in line for line in lines)
    finally:
        server.stop()


def test_a_deep_state_folder_still_has_sockets_short_enough(state: StateFolder) -> None:
    deep = StateFolder(state.root / ("d" * 60) / ("e" * 60))
    server = ValkeyServer(deep)
    try:
        server.start()
        assert server.answers()
    finally:
        server.stop()
        shutil.rmtree(server.place.sockets, ignore_errors=True)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "servers").write_text("not a folder")
    with pytest.raises(BadInput, match="can be written"):
        ValkeyServer(StateFolder(tmp_path)).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a folder to give away")
def test_as_root_nothing_but_the_servers_own_folder_changes_hands(state: StateFolder) -> None:
    hidden = StateFolder(state.root / "private" / "state")
    hidden.root.mkdir(parents=True)
    (state.root / "private").chmod(0o700)
    server = ValkeyServer(hidden)
    try:
        server.start()
        assert server.place.uid not in (0, None)
        assert not server.place.folder.is_relative_to(hidden.root)
        touched = [state.root / "private", hidden.root, hidden.servers, server.place.folder.parent]
        assert all(path.stat().st_uid == 0 for path in touched)
        assert stat.S_IMODE((state.root / "private").stat().st_mode) == 0o700
    finally:
        server.stop()
        shutil.rmtree(server.place.folder)
