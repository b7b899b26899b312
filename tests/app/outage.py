"""Where a scraped run keeps what it records: stores that need no server and can be taken away."""

import contextlib
from collections.abc import AsyncIterator

from bmv.app.assembly import Assembly
from bmv.belief import Belief
from bmv.errors import Unreachable
from bmv.secret import Secret
from bmv.services.history import Historian
from bmv.services.hot import Picture, SnapshotWriter
from bmv.state.database import Database
from bmv.state.folder import made, temporary_state
from bmv.state.history import History
from bmv.state.hot import HotState
from bmv.state.rows import Batch, Opening
from bmv.state.spool import LIMIT, Spool
from bmv.units import Millis

NOWHERE = Secret("redis://127.0.0.1:1")


class Outage:
    """Whether both servers are away now; ``spool_bytes`` is how much the disk takes meanwhile."""

    def __init__(self, spool_bytes: int = LIMIT) -> None:
        self.away, self.spool_bytes = False, spool_bytes

    def met(self, server: str) -> None:
        """Raise Unreachable while they are away."""
        if self.away:
            raise Unreachable(server, "it is away")


class _History(History):
    outage = Outage()

    async def prepare(self) -> None:
        pass

    async def belief(self) -> Belief | None:
        return None

    async def opening(self, now: Millis, _window: Millis, _recent: Millis) -> Opening:
        return Opening(now, now, [], [], None, [], [], {})

    async def write(self, _: Batch) -> None:
        self.outage.met("postgresql")


class _HotState(HotState):
    outage = Outage()

    async def write(self, _packed: bytes | None, _fence: int) -> bool:
        self.outage.met("redis")
        return True


class Stores:
    """The real historian and snapshot writer of an engine; they work whenever ``go_on`` is called."""

    def __init__(self, historian: Historian, writer: SnapshotWriter) -> None:
        self._historian, self._writer = historian, writer

    async def go_on(self) -> None:
        """Write what there is."""
        await self._historian.flush()
        await self._writer.write()


@contextlib.asynccontextmanager
async def kept(assembly: Assembly, outage: Outage) -> AsyncIterator[Stores]:
    """Record an engine until the block ends."""
    engine = assembly.engine
    clock = engine._clock
    with temporary_state() as state, contextlib.closing(Spool(state.spool, outage.spool_bytes)) as spool:
        made(state.run)
        history = _History(Database(NOWHERE, clock), assembly.spec, "nowhere", None)
        hot = _HotState(NOWHERE, assembly.spec.address, clock)
        history.outage, hot.outage = outage, outage
        historian = Historian(history, spool, clock, lambda: engine.settings, engine.record)
        await historian.open([str(each.owner) for each in assembly.wallets], engine.state.now, lambda _: [])
        writer = SnapshotWriter(hot, state, Picture(assembly.address_of), clock, fence=1)
        engine.listeners.append(historian)
        engine.followers.append(writer.follow)
        engine.record.sources += [historian.measure, writer.measure]
        yield Stores(historian, writer)
