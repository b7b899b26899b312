"""One server with every front of the simulated world: RPC, WebSocket, Block Engine, price services.

Rules
- It listens on TCP loopback or on a UNIX socket; over the latter delivery is in one order, so runs in virtual
  time repeat exactly.
- One task drives the chain: it sleeps until something is due and is woken when something is queued.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from bmv.sandbox.chain import Chain
from bmv.sandbox.faults import Faults
from bmv.sandbox.jito_front import BundleAnswer, JitoFront
from bmv.sandbox.rpc_front import Answer, RpcFront
from bmv.sandbox.wire import AccountEncoder, Method
from bmv.sandbox.ws_front import WsFront

KEEPALIVE_SECONDS = 10 * 365 * 86_400
SHUTDOWN_SECONDS = 1.0
Gets = Mapping[str, Callable[[dict[str, str]], Answer]]
"""What answers a GET: path to a function of the query."""
STATUS_PATHS = ("getTipAccounts", "getBundleStatuses", "getInflightBundleStatuses")


class SandboxServer:
    """Serve ``chain`` over HTTP; ``faults`` says what goes wrong on the way.

    ``gets`` are further services by path, ``methods`` further methods of the RPC. ``slot_notify_ms``: how
    often idle slots are announced to WebSocket subscribers, by default every slot.
    """

    def __init__(
        self,
        chain: Chain,
        faults: Faults,
        gets: Gets | None = None,
        methods: Mapping[str, Method] = MappingProxyType({}),
        *,
        slot_notify_ms: int | None = None,
    ) -> None:
        self.chain, self.faults = chain, faults
        self._gets = gets or {}
        encoder = AccountEncoder()
        self._rpc = RpcFront(chain, faults, encoder, methods)
        self._jito = JitoFront(chain, faults)
        self._wake = asyncio.Event()
        self._ws = WsFront(chain, faults, encoder, slot_notify_ms or chain.clock.slot_ms, self._wake.set)
        self._runner: web.AppRunner | None = None
        self._driver: asyncio.Task[None] | None = None
        self._authority = ""

    @property
    def http_url(self) -> str:
        """Return the base URL; over a UNIX socket its host is a placeholder."""
        return f"http://{self._authority}"

    @property
    def ws_url(self) -> str:
        """Return the WebSocket's URL."""
        return f"ws://{self._authority}/ws"

    async def start(self, host: str = "127.0.0.1", port: int = 0, unix_path: Path | None = None) -> None:
        """Listen on ``unix_path`` where it is given, else on ``host`` and ``port`` (0: any free one)."""
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        if unix_path is not None:
            await web.UnixSite(self._runner, unix_path).start()
            self._authority = "localhost"
        else:
            await web.TCPSite(self._runner, host, port).start()
            bound_host, bound_port = self._runner.addresses[0][:2]
            self._authority = f"{bound_host}:{bound_port}"
        self.chain.on_queued = self._wake.set
        self._driver = asyncio.create_task(self._drive())

    async def stop(self) -> None:
        """Stop driving the chain and close every connection."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.wait([self._driver])
            self._driver = None
        self._ws.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _drive(self) -> None:
        while True:
            self._wake.clear()
            self.chain.run_due()
            self._ws.run_due()
            dues = [due for due in (self.chain.next_due_ms(), self._ws.next_due_ms()) if due is not None]
            delay = max(min(dues) - self.chain.now(), 1) / 1000 if dues else None
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=4 * 1024 * 1024)
        routes = [
            web.post("/", self._on_rpc),
            web.post("/rpc", self._on_rpc),
            web.get("/", self._ws.serve),
            web.get("/ws", self._ws.serve),
            web.post("/api/v1/bundles", self._on_jito),
            web.post("/api/v1/transactions", self._on_transaction),
            web.get("/api/v1/bundles/tip_floor", self._on_tip_floor),
            *(web.post(f"/api/v1/{path}", self._on_jito) for path in STATUS_PATHS),
            *(web.get(path, self._on_get) for path in self._gets),
        ]
        application.add_routes(routes)
        return application

    async def _on_rpc(self, request: web.Request) -> web.Response:
        status, content_type, body = self._rpc.answer(await request.read())
        headers = {"Retry-After": "1"} if status == 429 else {}
        return web.Response(status=status, body=body, content_type=content_type, headers=headers)

    async def _on_jito(self, request: web.Request) -> web.Response:
        return _response(request, self._jito.answer(await request.read()))

    async def _on_transaction(self, request: web.Request) -> web.Response:
        bundle_only = request.query.get("bundleOnly", "").lower() == "true"
        answer = self._jito.answer_transaction(await request.read(), bundle_only=bundle_only)
        return _response(request, answer)

    async def _on_tip_floor(self, _request: web.Request) -> web.Response:
        status, content_type, body = self._jito.tip_floor()
        return web.Response(status=status, body=body, content_type=content_type)

    async def _on_get(self, request: web.Request) -> web.Response:
        self.chain.run_due()
        status, content_type, body = self._gets[request.path](dict(request.query))
        headers = {"Retry-After": "1"} if status == 429 else {}
        return web.Response(status=status, body=body, content_type=content_type, headers=headers)


def _response(request: web.Request, answer: BundleAnswer) -> web.Response:
    """Return the answer, or break the connection where a fault loses it."""
    if answer.lost and request.transport is not None:
        request.transport.abort()
    return web.Response(
        status=answer.status, body=answer.body, content_type=answer.content_type, headers=answer.headers
    )
