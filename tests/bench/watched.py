"""What fifty open pages do to a real engine whose loop they share.

A demo in a lively market runs at four times real time, with its own page. By turns nobody and fifty clients,
another process, listen. ``decide_ms`` is what a decision and all that listens to it takes, ``late_ms`` how
much later than asked a task beside it gets its turn; half of them, 99 and 99.9 of 100 are quicker. Both are
processor time of the engine's thread, so that other processes do not count. The chain and its crowd share
the loop: most of the lateness is theirs.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator

from bmv.app.assembly import Assembly
from bmv.app.demo import DemoOptions, run_demo
from bmv.app.presenting import page_shown
from bmv.app.world import World, WorldOptions
from bmv.core.state import Phase
from bmv.sandbox.people.crowd import CrowdOptions
from tests.app.recorded_run import settings_of
from tests.bench.page import CLIENT

SPEED, LEVELS, WALLETS, CLIENTS = 4.0, 360, 12, 50
ROUNDS, SECONDS, SETTLE_S, PAUSE_S = 3, 10.0, 3.0, 0.005
PARTS = (50, 99, 99.9)


class Watch:
    """What was measured, by the number of clients that listened; None while nothing is measured."""

    def __init__(self) -> None:
        self.clients: int | None = None
        self.orders = 0
        self.decide: dict[int, list[float]] = defaultdict(list)
        self.late: dict[int, list[float]] = defaultdict(list)

    def timed(self, step: Callable[..., object]) -> Callable[..., object]:
        """Return the step of an engine, with its time taken."""

        def taken(*arguments: object) -> object:
            began = time.thread_time()
            found = step(*arguments)
            if self.clients is not None:
                self.decide[self.clients].append(time.thread_time() - began)
            return found

        return taken

    async def by_turns(self, assembly: Assembly, url: str) -> None:
        """Measure without and with clients, a few times, and end the run."""
        while assembly.engine.state.phase is not Phase.QUOTING:
            await asyncio.sleep(1.0)
        await asyncio.sleep(20 * SPEED)
        for _ in range(ROUNDS):
            for clients in (0, CLIENTS):
                with _listening(url, clients):
                    await asyncio.sleep(SETTLE_S * SPEED)
                    self.clients = clients
                    await self._lateness(self.late[clients])
                    self.clients = None
        state = assembly.engine.state
        self.orders = sum(len(view.orders) for view in state.views.values())
        assembly.engine.halt("measured")

    async def _lateness(self, late: list[float]) -> None:
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            worked = time.thread_time()
            await asyncio.sleep(PAUSE_S * SPEED)
            late.append(max(0.0, time.thread_time() - worked - PAUSE_S))


def run() -> dict[str, object]:
    """Measure in one run; milliseconds."""
    watch = Watch()

    @contextlib.asynccontextmanager
    async def look(_: World, assembly: Assembly) -> AsyncIterator[None]:
        engine = assembly.engine
        engine._step = watch.timed(engine._step)  # type: ignore[method-assign,assignment]
        async with page_shown(assembly, "demo", None, 0, pace=SPEED) as page:
            task = asyncio.ensure_future(
                asyncio.gather(page.note(), watch.by_turns(assembly, page.place.url))
            )
            yield
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    world = WorldOptions(seed=7, wallets=WALLETS, crowd=CrowdOptions(arrivals_per_day=40_000))
    run_demo(DemoOptions(world, settings_of(LEVELS), SPEED, None, None, quiet=True), look)
    found: dict[str, object] = {"bench": "watched", "orders": watch.orders, "clients": CLIENTS}
    for name, taken in (("decide_ms", watch.decide), ("late_ms", watch.late)):
        for clients in (0, CLIENTS):
            found[f"{name}_{clients}_clients"] = [_quicker(taken[clients], part) for part in PARTS]
    return found | {f"decisions_{clients}_clients": len(watch.decide[clients]) for clients in (0, CLIENTS)}


@contextlib.contextmanager
def _listening(url: str, clients: int) -> Iterator[None]:
    """Let so many clients listen in a process of their own."""
    asked = f"{url.replace('http', 'ws', 1)}ws"
    others = subprocess.Popen([sys.executable, "-c", CLIENT, asked, str(clients)]) if clients else None
    try:
        yield
    finally:
        if others is not None:
            others.terminate()
            others.wait()


def _quicker(taken: list[float], part: float) -> float:
    """Return what so many of a hundred are quicker than, in milliseconds."""
    return round(sorted(taken)[int(len(taken) * part / 100)] * 1_000, 3)
