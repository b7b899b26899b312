"""What tests of every room may ask for: the two servers, started once for all of them.

The suite may run in several processes; at the end one of them says how many steps were compared with the
compiled program.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bmv.events import AnyAction
from bmv.observe.catalogue import problems
from bmv.secret import Secret
from bmv.services.chronicle import told_of
from bmv.services.record import Record
from bmv.state.folder import temporary_state
from bmv.state.postgres import PostgresServer
from bmv.state.servers import Servers
from bmv.state.valkey import ValkeyServer
from bmv.units import Millis

WHERE = "BMV_OPENBOOK_V1_SO"
DEFAULT = Path("~/.cache/bmv/openbook_v1.so")
STEPS = pytest.StashKey[int]()


def program_path() -> Path:
    """Return where the compiled OpenBook program is looked for."""
    return Path(os.environ.get(WHERE) or DEFAULT).expanduser()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what another process has counted."""
    stash = node.config.stash
    stash[STEPS] = stash.get(STEPS, 0) + node.workeroutput.get("steps", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on what was counted here."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["steps"] = session.config.stash.get(STEPS, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many steps were compared with the compiled program, or why none was."""
    steps = config.stash.get(STEPS, 0)
    if steps:
        terminalreporter.write_line(f"conformance: {steps:,} steps")
    else:
        reason = "no test ran" if program_path().is_file() else f"no compiled program: set {WHERE}"
        terminalreporter.write_line(f"conformance: not run ({reason})")


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give pytest's folder for the test; where root tests, one that servers of another user can get into.

    That cannot lie in pytest's own: every session of pytest that starts closes what is in there to others.
    """
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="bmv-test-"))
    folder.chmod(0o711)
    failed = request.session.testsfailed
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _every_event_is_by_its_schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at every event of every engine that a test runs in this process."""
    found: list[str] = []
    did = Record.did

    def looked_at(self: Record, action: AnyAction, at: Millis) -> None:
        for name, fields in told_of(action):
            found.extend(problems(name, fields))
        did(self, action, at)

    monkeypatch.setattr(Record, "did", looked_at)
    yield
    assert found == []


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Give PostgreSQL and Valkey as the demo starts them; tests share both, so each names what is its own."""
    with temporary_state() as state:
        postgres, valkey = PostgresServer(state), ValkeyServer(state)
        try:
            postgres.start()
            valkey.start()
            yield Servers(postgres.url, valkey.url)
        finally:
            postgres.stop()
            valkey.stop()


@pytest.fixture
def database_url(servers: Servers) -> Secret:
    """Give the database without any history in it."""

    async def emptied() -> None:
        connection = await asyncpg.connect(servers.database_url.reveal())
        await connection.execute("DROP SCHEMA IF EXISTS bmv CASCADE")
        await connection.close()

    asyncio.run(emptied())
    return servers.database_url
