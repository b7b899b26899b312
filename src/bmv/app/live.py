"""The engine as a process of its own, against the addresses its settings name."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from solders.pubkey import Pubkey

from bmv.app.assembly import Assembly, Outside, assemble, go_on
from bmv.app.holding import Holding, market_held
from bmv.app.keeping import history_kept
from bmv.app.looking import remaining
from bmv.app.observing import watched
from bmv.app.presenting import page_shown
from bmv.app.recovery import glimpsed, recovered
from bmv.app.signing import Signer
from bmv.app.stopping import Stopping
from bmv.chain.rpc import Rpc
from bmv.config import Settings
from bmv.core.capacity import check_levels
from bmv.core.limits import Approved
from bmv.core.state import State
from bmv.errors import BadInput, BmvError
from bmv.events import AnyAction, HaltRequested
from bmv.keys.signer import WatchedWallets
from bmv.observe.journal import Journal
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.services.engine import Service
from bmv.services.history import EVERY_S
from bmv.services.killswitch import refuse_latched
from bmv.services.mending import completed
from bmv.services.recollection import Recollection
from bmv.services.rehearsal import Rehearsal
from bmv.services.reload import Reload, SettingsFile
from bmv.services.swarm import Swarm
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch, LatchFile
from bmv.state.lock import locked
from bmv.state.servers import local_servers
from bmv.units import Millis
from bmv.venue.system import CLOCK, decode_clock

REHEARSAL_S = 60.0


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How to run; ``speed`` other than 1 is that of the sandbox it runs beside, whose time it then takes.

    ``file``, where ``settings`` came from, is watched while it runs. ``on_page`` is told the address of the
    live page.
    """

    settings: Settings
    state: StateFolder
    file: SettingsFile | None = None
    speed: float = 1.0
    quiet: bool = True
    on_page: Callable[[str], None] = lambda _: None


class Ending(msgspec.Struct, frozen=True):
    """How a run ended: ``asked`` says that somebody wanted it to, ``clean`` that nothing of ours is left.

    ``remaining`` are the wallets with orders or funds in the market, as far as is known.
    """

    clean: bool
    asked: bool
    reason: str
    digest: str
    remaining: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a run would begin with: ``actions`` is all it would send first.

    ``state`` is the belief, with ``approved`` the decision about the ladder in it; None where there could be
    none in time. ``forgotten`` says why what earlier runs have recorded is not in it.
    """

    state: State
    orders_found: int
    actions: list[AnyAction]
    approved: Approved | None
    forgotten: str


def run_live(options: LiveOptions, signer: Signer) -> Ending:
    """Run from recovery to empty book.

    Raises BadInput where settings or state folder cannot do, OutsideError where the outside cannot be
    reached at the start, UnsafeState where another run uses the state folder or quotes the market, or the
    kill switch is latched.
    """
    loop = SimulatedLoop(options.speed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_Live(options, signer, loop).run())


def rehearse(options: LiveOptions, wallets: Sequence[Pubkey]) -> Rehearsed:
    """Read the chain, decide, and send nothing: tell what a run of these wallets would do first.

    Raises what ``run_live`` raises. Nothing is recorded; the state folder's own database is started for it.
    """
    loop = SimulatedLoop(options.speed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_Live(options, WatchedWallets(wallets), loop).rehearse())


def outside_of(settings: Settings, speed: float = 1.0) -> Outside:
    """Return where the settings say the world is; raise BadInput where they name no node."""
    if settings.rpc_url is None:
        raise BadInput("RPC_URL", "", "the URL of a Solana node", "settings")
    rpc_url = settings.rpc_url.reveal()
    # https becomes wss, http ws.
    ws_url = settings.rpc_ws_url.reveal() if settings.rpc_ws_url else f"ws{rpc_url.removeprefix('http')}"
    return Outside(
        rpc_url=rpc_url,
        ws_url=ws_url,
        jito_urls=settings.jito_urls,
        tip_floor_url=settings.jito_tip_floor_url,
        jito_auth=settings.jito_auth_uuid,
        haste=max(1.0, speed),
    )


async def simulated_clock(session: aiohttp.ClientSession, rpc_url: str, loop: SimulatedLoop) -> LoopClock:
    """Return a clock that shows the time of a chain which passes at another speed than ours."""
    rpc = Rpc(session, rpc_url, rng=random.Random())
    (image,) = (await rpc.accounts([CLOCK])).accounts
    if image is None:
        raise BadInput("--speed", loop.speed, "1 beside a chain that tells no time", "command line")
    return LoopClock(loop, decode_clock(image.data) * 1000 - round(loop.time() * 1000))


class _Live:
    def __init__(self, options: LiveOptions, signer: Signer | WatchedWallets, loop: SimulatedLoop) -> None:
        self._options, self._signer, self._loop = options, signer, loop
        self._outside = outside_of(options.settings, options.speed)
        self._stopping = Stopping("")

    async def run(self) -> Ending:
        self._stopping.listen()
        state = self._options.state
        refuse_latched(LatchFile(state))
        with locked(state, Millis(int(time.time() * 1000)), self._options.settings.market):
            journal = Journal(state.journal, durable=True)
            try:
                async with aiohttp.ClientSession() as session:
                    return await self._run(session, journal)
            except BmvError:
                self._latch_unheard()
                raise
            finally:
                journal.close()

    def _latch_unheard(self) -> None:
        """Latch a kill switch that was raised before there was an engine to halt."""
        if self._stopping.killed:
            now = Millis(int(time.time() * 1000))
            LatchFile(self._options.state).raise_(Latch(at=now, reason=self._stopping.reason, by="a signal"))

    async def rehearse(self) -> Rehearsed:
        self._stopping.listen()
        settings = self._options.settings
        async with aiohttp.ClientSession() as session:
            clock = await self._clock(session)
            assembly = await self._assembled(session, clock, Journal())
            rehearsal, engine = Rehearsal(settings), assembly.engine
            forgotten = await self._remembered(session, assembly, clock)
            engine.followers.append(rehearsal.follow)
            running = asyncio.create_task(engine.run(assembly.feed, rehearsal, None, assembly.beside))
            waiting = {asyncio.create_task(each.wait()) for each in (rehearsal.called, self._stopping.asked)}
            patience = REHEARSAL_S * self._outside.haste
            await asyncio.wait({running, *waiting}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in (running, *waiting):
                task.cancel()
            await asyncio.gather(running, *waiting, return_exceptions=True)
        state = engine.state
        found = sum(len(view.orders) for view in state.views.values())
        approved = rehearsal.conclude(state, settings)
        return Rehearsed(state, found, rehearsal.asked, approved, forgotten)

    async def _remembered(self, session: aiohttp.ClientSession, assembly: Assembly, clock: LoopClock) -> str:
        """Tell the engine what a run would begin with, but for what is under way; say why not all of it."""
        rpc = Rpc(session, self._outside.rpc_url, rng=random.Random())
        owners = [str(wallet.owner) for wallet in assembly.wallets]
        place = self._options.state, self._options.settings
        memory, why = await glimpsed(*place, assembly.spec, owners, rpc, clock)
        if memory is not None:
            assembly.engine.emit(msgspec.structs.replace(memory.event(clock.now()), flights=()))
        return why

    async def _run(self, session: aiohttp.ClientSession, journal: Journal) -> Ending:
        clock, settings, state = await self._clock(session), self._options.settings, self._options.state
        urls = {"database_url": settings.database_url, "redis_url": settings.redis_url}
        async with local_servers(state, clock, **urls) as servers:
            memory = await self._memory(session, clock, journal)
            known = memory is not None
            assembly = await self._assembled(session, clock, journal, state.baseline, goes_on=known)
            haste, every_s = self._outside.haste, EVERY_S * self._outside.haste
            world = await Rpc(session, self._outside.rpc_url, rng=random.Random()).genesis_hash()
            where = servers.database_url, state, world, clock
            async with (
                watched(assembly, session) as services,
                self._page(assembly, haste) as shown,
                market_held(assembly, servers.redis_url, state, clock, haste=haste) as holding,
                history_kept(assembly, *where, memory=memory, haste=haste, every_s=every_s) as keeping,
            ):
                owners = [str(wallet.owner) for wallet in assembly.wallets]
                memory = completed(memory, keeping.opening, assembly.spec.address, owners)
                if memory is not None:
                    go_on(memory, assembly, clock)
                history = {"history": keeping.historian.run}
                swarm = {"swarm": self._swarm(assembly, clock).run}
                beside = {**assembly.beside, **holding.beside, **services, **shown, **history, **swarm}
                return await self._run_engine(assembly, holding, beside, clock, journal)

    @contextlib.asynccontextmanager
    async def _page(self, assembly: Assembly, haste: float) -> AsyncIterator[dict[str, Service]]:
        """Serve the live page where the settings want one; yield what runs beside the engine for it."""
        port = self._options.settings.page_port
        if not port:
            yield {}
            return
        async with page_shown(assembly, "live", self._options.state, port, pace=haste) as page:
            self._options.on_page(page.place.url)
            yield {"page": page.note}

    async def _assembled(
        self,
        session: aiohttp.ClientSession,
        clock: LoopClock,
        journal: Journal,
        baseline: Path | None = None,
        *,
        goes_on: bool = False,
    ) -> Assembly:
        settings = self._options.settings
        assembly = await assemble(
            self._outside,
            session,
            Pubkey.from_string(settings.market),
            self._signer,
            settings,
            clock=clock,
            seconds=self._loop.time,
            journal=journal,
            seed=random.SystemRandom().randrange(2**32),
            baseline=baseline,
            goes_on=goes_on,
            treasury=self._signer.treasury(),
        )
        if not isinstance(self._signer, WatchedWallets):
            self._signer.serve(assembly.market)
        return assembly

    def _swarm(self, assembly: Assembly, clock: LoopClock) -> Swarm:
        """Return who follows the keys; what they say of the wallets now is told at once."""
        assert not isinstance(self._signer, WatchedWallets)
        swarm = Swarm(
            assembly.wallets,
            assembly.market,
            self._signer.renew,
            assembly.joined,
            assembly.engine.emit,
            clock,
            haste=self._outside.haste,
        )
        swarm.look()
        return swarm

    async def _memory(
        self, session: aiohttp.ClientSession, clock: LoopClock, journal: Journal
    ) -> Recollection | None:
        rpc = Rpc(session, self._outside.rpc_url, rng=random.Random())
        owners = [str(owner) for owner in self._signer.pubkeys()]
        with clock.hold():
            await asyncio.to_thread(journal.settle)
        folder = self._options.state.journal
        return await recovered(folder, rpc, self._options.settings.market, owners, clock)

    async def _clock(self, session: aiohttp.ClientSession) -> LoopClock:
        if self._options.speed == 1:
            clock = LoopClock(self._loop, int(time.time() * 1000) - round(self._loop.time() * 1000))
        else:
            clock = await simulated_clock(session, self._outside.rpc_url, self._loop)
        configure(clock.now, quiet=self._options.quiet)
        return clock

    async def _run_engine(
        self,
        assembly: Assembly,
        holding: Holding,
        beside: Mapping[str, Service],
        clock: LoopClock,
        journal: Journal,
    ) -> Ending:
        engine = assembly.engine
        running = asyncio.create_task(
            engine.run(assembly.feed, assembly.dispatcher, self._reload(assembly, clock), beside)
        )
        self._stopping.give_up = running.cancel
        asked = asyncio.create_task(self._stopping.asked.wait())
        await asyncio.wait({asked, running}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not running.done():
            stop = engine.emit if self._stopping.killed else holding.switch.stop
            stop(HaltRequested(at=clock.now(), reason=self._stopping.reason))
            await asyncio.wait({running})
        if self._stopping.killed:
            holding.switch.latch(self._stopping.reason)
        reason = engine.state.halt_reason
        clean = not running.cancelled() and running.result().clean
        left = remaining(engine.state, assembly.address_of)
        return Ending(clean, self._stopping.ordered(reason), reason, journal.digest, left)

    def _reload(self, assembly: Assembly, clock: LoopClock) -> Reload | None:
        if self._options.file is None:
            return None

        def admit(settings: Settings) -> None:
            check_levels(assembly.spec, assembly.engine.state.staying, settings)

        return Reload(self._options.file, admit, assembly.engine.emit, clock, assembly.engine.settings)
