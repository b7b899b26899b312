"""``bmv halt --now``: withdraw everything without the engine, by an engine that can do nothing else.

The same engine, assembled anew, begins with a halt: its first reading is what it withdraws. It needs the node
and the block engine, a signer, and no database, lock or lease: whoever holds those may hang. As somebody else
may have sent placements a moment ago, it is done only when those are dead by the chain's clock.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable
from os import getpid

import aiohttp
from solders.pubkey import Pubkey

from bmv import __version__
from bmv.app.assembly import Assembly, assemble
from bmv.app.live import outside_of
from bmv.app.signing import Signer
from bmv.config import Settings
from bmv.core.state import State
from bmv.events import HaltRequested
from bmv.observe.journal import Journal
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.services.hot import Picture
from bmv.state.snapshot import Author, Snapshot


def withdraw(
    settings: Settings, signer: Signer, reason: str, seconds: float, told: Callable[[Snapshot], None]
) -> Snapshot | None:
    """Withdraw everything and return what was last seen; ``clean`` in it says that it is verified.

    ``told`` hears after each decision how far it is. None: the chain could not be read in ``seconds``. Raises
    BadInput where the settings name no node or another market, OutsideError where nothing can be reached.
    """
    loop = SimulatedLoop(1.0)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_withdraw(settings, signer, reason, seconds, told, loop))


async def _withdraw(
    settings: Settings,
    signer: Signer,
    reason: str,
    seconds: float,
    told: Callable[[Snapshot], None],
    loop: SimulatedLoop,
) -> Snapshot | None:
    clock = LoopClock(loop, int(time.time() * 1000) - round(loop.time() * 1000))
    configure(clock.now, quiet=True)
    async with aiohttp.ClientSession() as session:
        assembly = await _assembled(settings, signer, session, clock, loop)
        engine = assembly.engine
        picture = Picture(assembly.address_of)
        author = Author(__version__, socket.gethostname(), getpid(), clock.now(), 0)

        def follow(state: State) -> None:
            told(picture.of(state, author))

        engine.followers.append(follow)
        engine.emit(HaltRequested(at=clock.now(), reason=reason, alone=True))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await engine.run(assembly.feed, assembly.dispatcher)
        return picture.of(engine.state, author) if engine.state.views else None


async def _assembled(
    settings: Settings,
    signer: Signer,
    session: aiohttp.ClientSession,
    clock: LoopClock,
    loop: SimulatedLoop,
) -> Assembly:
    # What the settings want of the ladder must not keep anybody from leaving.
    leaving = settings.model_copy(update={"grid_levels": None, "locked_accounts": ()})
    assembly = await assemble(
        outside_of(settings),
        session,
        Pubkey.from_string(settings.market),
        signer,
        leaving,
        clock=clock,
        seconds=loop.time,
        journal=Journal(),
        seed=random.SystemRandom().randrange(2**32),
    )
    signer.serve(assembly.market)
    return assembly
