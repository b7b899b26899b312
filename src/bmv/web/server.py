"""The page on a port of this machine, inside a loop that belongs to the caller.

Rules of this file
- Only loopback addresses; from elsewhere people come through an SSH tunnel. Metrics alone, which act on
  nothing, may be asked for from elsewhere where the settings say so.
- The caller's signal handlers stay; uvicorn installs none and logs nothing below a warning.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from typing import ClassVar

import uvicorn
from starlette.applications import Starlette

from bmv.errors import BadInput
from bmv.web.guard import LOOPBACK
from bmv.web.page import create_app, metrics_app
from bmv.web.view import ViewSource

STOP_GRACE_S = 1
MAX_CONNECTIONS = 64


class _Uvicorn(uvicorn.Server):
    """uvicorn inside a loop that belongs to somebody else."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when connections are accepted."""
        await super().startup(sockets)
        self.ready.set()


class Server:
    """An app on a port of this machine, inside the running loop."""

    hosts: ClassVar[tuple[str, ...] | None] = LOOPBACK
    """Where it may listen; None: anywhere."""

    def __init__(self, app: Starlette) -> None:
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_per_message_deflate=False,
            ws_max_size=1024,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_GRACE_S,
        )
        self._server: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 8080) -> str:
        """Serve until ``stop`` and return the URL; port 0 takes any free one; BadInput: --host or --port."""
        listener = _listen(host, port, self.hosts)
        self._server = _Uvicorn(self._config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{listener.getsockname()[1]}/"

    async def stop(self) -> None:
        """Close every connection and the port; a client that does not read is cut after a second."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None


class WebServer(Server):
    """The page."""

    def __init__(
        self,
        source: ViewSource,
        *,
        token: str,
        tick_s: float = 1.0,
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        super().__init__(create_app(source, token=token, tick_s=tick_s, metrics=metrics))


class MetricsServer(Server):
    """Metrics alone; beyond this machine they are told to whoever asks."""

    hosts = None

    def __init__(self, metrics: Callable[[], bytes], host: str = LOOPBACK[0]) -> None:
        super().__init__(metrics_app(metrics, guarded=host in LOOPBACK))
        self._host = host

    async def open(self, port: int) -> str:
        """Serve until ``stop`` and return the URL; port 0 takes any free one."""
        return await self.start(self._host, port)


def _listen(host: str, port: int, hosts: tuple[str, ...] | None) -> socket.socket:
    if hosts is not None and host not in hosts:
        allowed = f"one of {', '.join(hosts)}; from elsewhere use an SSH tunnel"
        raise BadInput("--host", host, allowed, "command line")
    if not 0 <= port <= 65_535:
        raise BadInput("--port", port, "0 (any free port) to 65535", "command line")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise BadInput("--port", port, f"a free port, or 0 for any ({why})", "command line") from error
