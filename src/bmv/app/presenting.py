"""The live page of a running engine, and where other commands find it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from bmv.app.assembly import Assembly
from bmv.errors import BadInput
from bmv.keys.private import write_private
from bmv.observe.view import Mode
from bmv.services.engine import Service
from bmv.services.showing import Showing
from bmv.state.folder import StateFolder
from bmv.web.server import WebServer

NOTE_EVERY_S = 1.0


class PageAt(msgspec.Struct, frozen=True):
    """Where a page is, and what its halt button asks for; the file that holds it is its owner's alone."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is open; ``note`` runs beside the engine and keeps its chart."""

    place: PageAt
    showing: Showing
    note: Service


@asynccontextmanager
async def page_shown(
    assembly: Assembly,
    mode: Mode,
    folder: StateFolder | None,
    port: int,
    *,
    free_port_too: bool = True,
    pace: float = 1.0,
    metrics: Callable[[], bytes] | None = None,
) -> AsyncIterator[Page]:
    """Serve the page while the block runs; ``folder`` then says where it is (``shown_at``).

    Where ``port`` is taken it is any free one, or BadInput without ``free_port_too``. ``pace`` is how fast
    the loop's clock runs.
    """
    showing = Showing(assembly.engine, assembly.spec, assembly.wallets, mode)
    token = secrets.token_urlsafe(16)
    server = WebServer(showing, token=token, tick_s=pace, metrics=metrics)
    try:
        url = await server.start(port=port)
    except BadInput:
        if not free_port_too:
            raise
        url = await server.start(port=0)

    async def note() -> None:
        while True:
            await asyncio.sleep(NOTE_EVERY_S * pace)
            showing.note()

    place = PageAt(url, token)
    try:
        if folder is not None:
            folder.run.mkdir(parents=True, exist_ok=True)
            write_private("--state", folder.page, msgspec.json.encode(place))
        yield Page(place, showing, note)
    finally:
        if folder is not None:
            folder.page.unlink(missing_ok=True)
        await server.stop()


def shown_at(folder: StateFolder) -> PageAt | None:
    """Return where the page of a folder's engine is; None where there is none, or it is not ours to read."""
    try:
        return msgspec.json.decode(folder.page.read_bytes(), type=PageAt)
    except (OSError, msgspec.MsgspecError):
        return None
