"""A PostgreSQL of our own: made with checksums and scram, reached over a UNIX socket, fsync on."""

import signal
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from bmv.errors import Unreachable
from bmv.state.programs import postgres_programs, run_program
from bmv.state.server import Server
from bmv.state.sweep import is_alive

USER, DATABASE, PORT = "bmv", "postgres", 5432
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    "max_connections": "30",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
}
READY = b"ready"


class PostgresServer(Server):
    """The history's database."""

    name = "postgres"
    stop_signal = signal.SIGINT

    def prepare(self) -> None:
        """Make the database folder, whole or not at all; stop a server that a dead owner left."""
        programs, data = self._programs(), self._data()
        if not data.is_dir():
            partial = data.with_name("postgres.partial")
            if partial.exists():
                run_program(self.place, ["rm", "-rf", partial])
            self._make(programs, partial)
            partial.rename(data)
        elif (data / "postmaster.pid").exists():
            # A postmaster.pid that belongs to nobody makes pg_ctl fail, and PostgreSQL clears it away itself.
            with suppress(Unreachable):
                run_program(self.place, [programs / "pg_ctl", "stop", "-D", data, "-m", "fast", "-w"])

    def _make(self, programs: Path, data: Path) -> None:
        where: list[str | Path] = [programs / "initdb", "-D", data, "--pwfile", self.password_file()]
        how = [
            "--username",
            USER,
            "--auth",
            "scram-sha-256",
            "--data-checksums",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]
        run_program(self.place, [*where, *how])

    def command(self) -> list[str]:
        """Return the server's command line."""
        settings = SETTINGS | {"unix_socket_directories": str(self.place.sockets)}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(self._programs() / "postgres"), "-D", str(self._data()), *words]

    def answers(self) -> bool:
        """Return whether the pid file of the process that runs now says ready."""
        with suppress(OSError):
            lines = (self._data() / "postmaster.pid").read_bytes().splitlines()
            return len(lines) > 7 and lines[7].strip() == READY and self._is_live(int(lines[0]))
        return False

    def _is_live(self, pid: int) -> bool:
        """Return whether a pid file speaks of the server that runs now; a killed one leaves its file."""
        if self._lock is None:
            return is_alive(pid)
        return self._process is not None and self._process.pid == pid and self._process.poll() is None

    def _url(self, password: str) -> str:
        query = urlencode({"host": str(self.place.sockets), "port": PORT}, quote_via=quote, safe="/")
        return f"postgresql://{USER}:{quote(password)}@/{DATABASE}?{query}"

    def _programs(self) -> Path:
        return postgres_programs(self.place, self._data())

    def _data(self) -> Path:
        return self.place.folder / "postgres"
