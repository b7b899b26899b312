"""A whole market on one machine: the world, the real engine in it, and what came of it."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bmv.app import reporting
from bmv.app.assembly import Assembly, Outside, assemble
from bmv.app.holding import market_held
from bmv.app.keeping import history_kept
from bmv.app.looking import remaining
from bmv.app.samples import MINUTE_S, Samples
from bmv.app.stopping import Stopping
from bmv.app.world import World, WorldOptions
from bmv.config import Settings
from bmv.core.capacity import check_levels
from bmv.core.state import Phase
from bmv.events import Finish, HaltRequested
from bmv.keys.signer import InProcessSigner
from bmv.observe.journal import JOURNAL_FOLDER, Journal
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.services.baseline import BASELINE_NAME
from bmv.services.engine import Service
from bmv.services.history import EVERY_S
from bmv.services.reload import Reload, SettingsFile
from bmv.state.folder import StateFolder, temporary_state
from bmv.state.lock import locked
from bmv.state.servers import Servers, local_servers
from bmv.units import Millis

VIRTUAL_START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where virtual time begins."""
QUIET_POLL_S = 0.4
VIRTUAL_WRITE_S = 600.0
"""How often history is written in virtual time, where a second passes in no time."""
QUIET_TRIES = 600
PATIENCE_S = 600.0
"""In virtual time, where nobody can grow impatient, an engine that cannot withdraw its orders is given up."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How to run: ``speed`` None is virtual time, ``run_s`` None runs until stopped.

    ``file``, where ``settings`` came from, is watched while it runs, except in virtual time: there, a change
    would come at no moment that could be repeated. ``recorded``: PostgreSQL keeps the history, in the state
    folder or in one that is gone afterwards.
    """

    world: WorldOptions
    settings: Settings
    speed: float | None
    run_s: float | None
    state_dir: Path | None
    quiet: bool
    file: SettingsFile | None = None
    recorded: bool = False


Shown = Callable[[World, Assembly], contextlib.AbstractAsyncContextManager[None]]


def run_demo(options: DemoOptions, shown: Shown | None = None) -> dict[str, Any]:
    """Run a demo from start to empty book and return its report; ``shown`` presents it while it runs."""
    loop = SimulatedLoop(options.speed)
    started = time.time() * 1000 if options.speed is not None else VIRTUAL_START_MS
    clock = LoopClock(loop, int(started))
    configure(clock.now, quiet=options.quiet)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_Demo(options, clock, loop).run(shown))


class _Demo:
    def __init__(self, options: DemoOptions, clock: LoopClock, loop: SimulatedLoop) -> None:
        self._options, self._clock, self._loop = options, clock, loop
        self._world = World(options.world, clock, idle_slots_told=options.speed is not None)
        self._journal = Journal(options.state_dir / JOURNAL_FOLDER if options.state_dir else None)
        self._samples = Samples()
        self._began = time.monotonic()
        self._stopping = Stopping("the demo is over")
        self._stop: Callable[[HaltRequested], None] | None = None

    async def run(self, shown: Shown | None) -> dict[str, Any]:
        self._stopping.listen()
        state_dir = self._options.state_dir
        async with self._servers() as servers, self._outside() as (outside, session):
            assembly = await assemble(
                outside,
                session,
                self._world.market,
                InProcessSigner([*self._world.keypairs, self._world.treasury]),
                self._settings(),
                clock=self._clock,
                seconds=self._loop.time,
                journal=self._journal,
                seed=self._options.world.seed,
                baseline=state_dir / BASELINE_NAME if state_dir else None,
                treasury=self._world.treasury.pubkey(),
            )
            async with self._history(assembly, servers) as beside, (shown or _unshown)(self._world, assembly):
                return await self._run_engine(assembly, beside)

    def _settings(self) -> Settings:
        """Return the settings for this world: its token has locked accounts of its own."""
        return self._options.settings.model_copy(update={"locked_accounts": self._world.locked_accounts})

    @contextlib.asynccontextmanager
    async def _servers(self) -> AsyncIterator[tuple[StateFolder, Servers] | None]:
        if not self._options.recorded:
            yield None
            return
        given = self._options.state_dir
        with contextlib.nullcontext(StateFolder(given)) if given else temporary_state() as folder:
            where = self._options.settings
            urls = {"database_url": where.database_url, "redis_url": where.redis_url}
            async with local_servers(folder, self._clock, **urls) as servers:
                yield folder, servers

    @contextlib.asynccontextmanager
    async def _history(
        self, assembly: Assembly, servers: tuple[StateFolder, Servers] | None
    ) -> AsyncIterator[Mapping[str, Service]]:
        """Keep this run's history; its chain is a new one, whatever the folder has seen before."""
        if servers is None:
            yield assembly.beside
            return
        folder, urls = servers
        speed = self._loop.speed
        async with (
            history_kept(
                assembly,
                urls.database_url,
                folder,
                f"demo {int(time.time() * 1000)}",
                self._clock,
                haste=max(1.0, speed or 1.0),
                every_s=VIRTUAL_WRITE_S if speed is None else EVERY_S * max(1.0, speed),
            ) as keeping,
            self._held(assembly, servers) as held,
        ):
            yield {**assembly.beside, **held, "history": keeping.historian.run}

    @contextlib.asynccontextmanager
    async def _held(
        self, assembly: Assembly, servers: tuple[StateFolder, Servers]
    ) -> AsyncIterator[Mapping[str, Service]]:
        """Hold the market as a live run does; in virtual time nobody outside could take part."""
        if self._loop.speed is None:
            yield {}
            return
        folder, urls = servers
        haste = max(1.0, self._loop.speed)
        now = Millis(int(time.time() * 1000))
        with locked(folder, now, assembly.spec.address):
            async with market_held(assembly, urls.redis_url, folder, self._clock, haste=haste) as holding:
                self._stop = holding.switch.stop
                yield holding.beside

    @contextlib.asynccontextmanager
    async def _outside(self) -> AsyncIterator[tuple[Outside, aiohttp.ClientSession]]:
        with tempfile.TemporaryDirectory(prefix="bmv-") as folder:
            # Virtual time needs delivery without delay, which UNIX sockets give and TCP does not promise.
            socket = Path(folder) / "world.sock" if self._loop.speed is None else None
            outside = await self._world.start(unix_path=socket)
            outside = replace(outside, haste=max(1.0, self._loop.speed or 1.0))
            connector = aiohttp.UnixConnector(str(socket)) if socket else aiohttp.TCPConnector()
            try:
                async with aiohttp.ClientSession(connector=connector) as session:
                    yield outside, session
            finally:
                await self._world.stop()
                self._journal.close()

    async def _run_engine(self, assembly: Assembly, beside: Mapping[str, Service]) -> dict[str, Any]:
        engine = assembly.engine
        began_ms, began_slot = int(self._clock.now()), self._world.chain.slot
        running = asyncio.create_task(
            engine.run(assembly.feed, assembly.dispatcher, self._reload(assembly), beside)
        )
        self._stopping.give_up = running.cancel
        giving_up = asyncio.create_task(self._give_up(assembly, running))
        sampling = asyncio.create_task(self._sample(assembly))
        waiting = {asyncio.create_task(self._stopping.asked.wait()), running}
        await asyncio.wait(waiting, timeout=self._options.run_s, return_when=asyncio.FIRST_COMPLETED)
        sampling.cancel()
        await self._until_quiet(assembly)
        report: dict[str, Any] = {
            "seed": self._options.world.seed,
            "sim_seconds": (int(self._clock.now()) - began_ms) // 1000,
            "slots": self._world.chain.slot - began_slot,
            **reporting.counts(assembly, self._samples),
            "at_end": reporting.at_end(self._world, assembly),
        }
        # With something in flight, accounts and ledger speak of one moment only after the drain.
        books = None if engine.state.in_flight else reporting.books(assembly)
        orderly = None if self._stopping.killed else self._stop
        (orderly or engine.emit)(HaltRequested(at=self._clock.now(), reason=self._stopping.reason))
        await asyncio.wait({running})
        giving_up.cancel()
        clean = not running.cancelled() and running.result().clean
        return report | self._closing(assembly, clean, books)

    def _reload(self, assembly: Assembly) -> Reload | None:
        file = self._options.file
        if file is None or self._loop.speed is None:
            return None
        admit = partial(check_levels, assembly.spec, len(assembly.wallets))
        return Reload(file, admit, assembly.engine.emit, self._clock, assembly.engine.settings)

    def _closing(self, assembly: Assembly, clean: bool, books: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "after_drain": reporting.after_drain(self._world, assembly),
            "remaining": remaining(assembly.engine.state, assembly.address_of),
            "lookup_tables": reporting.lookup_tables(self._world, assembly),
            **(books or reporting.books(assembly)),
            "chain_residual": reporting.chain_residual(self._world),
            "errors": dict(sorted(assembly.engine.record.errors.items())),
            "faults_injected": {kind: n for kind, n in self._world.faults.injected.items() if n},
            "clean": clean,
            "halted": self._halted(assembly),
            "wall_s": round(time.monotonic() - self._began, 1),
            "digest": self._journal.digest,
        }

    def _halted(self, assembly: Assembly) -> str | None:
        """Return why the engine halted by itself or by the kill switch; None where the demo ended it."""
        reason = assembly.engine.state.halt_reason
        return None if self._stopping.ordered(reason) else reason or None

    async def _give_up(self, assembly: Assembly, running: asyncio.Task[Finish]) -> None:
        """Let nobody wait for ever for a chain that takes no cancel."""
        while self._loop.speed is None and not running.done():
            await asyncio.sleep(MINUTE_S)
            if assembly.engine.state.phase is Phase.HALTING:
                await asyncio.wait({running}, timeout=PATIENCE_S)
                running.cancel()

    async def _sample(self, assembly: Assembly) -> None:
        while True:
            await asyncio.sleep(MINUTE_S)
            self._samples.take(self._world, assembly, int(self._clock.now()))

    async def _until_quiet(self, assembly: Assembly) -> None:
        """Wait until nothing is in flight, so that ledgers and accounts speak of the same moment."""
        for _ in range(QUIET_TRIES):
            if self._stopping.asked.is_set() or not assembly.engine.state.in_flight:
                return
            await asyncio.sleep(QUIET_POLL_S)


@contextlib.asynccontextmanager
async def _unshown(_world: World, _assembly: Assembly) -> AsyncIterator[None]:
    yield
