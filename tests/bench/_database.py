"""A PostgreSQL of its own for a benchmark, as the product starts it, and gone afterwards."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bmv.model import MarketSpec
from bmv.observe.log import configure
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.secret import Secret
from bmv.state.folder import temporary_state
from bmv.state.history import History
from bmv.state.postgres import PostgresServer

T = TypeVar("T")
SPEC = MarketSpec("bench", "mint", 9, 9, 1_000, 10, 100, 100, 100)


def with_history(url: Secret, told: Callable[[History], Awaitable[T]]) -> T:
    """Return what ``told`` returns, given the history in the database at ``url``."""
    loop = SimulatedLoop(1.0)
    clock = LoopClock(loop, int(time.time() * 1000))
    configure(clock.now, quiet=True)
    history = History.at(url, SPEC, "bench", clock)

    async def opened() -> T:
        try:
            await history.prepare()
            return await told(history)
        finally:
            await history.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(opened())


@contextmanager
def own_server() -> Iterator[Secret]:
    """Give an empty PostgreSQL while the block runs."""
    with temporary_state() as state:
        server = PostgresServer(state)
        try:
            server.start()
            yield server.url
        finally:
            server.stop()
