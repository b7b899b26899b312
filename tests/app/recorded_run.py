"""One short demo in virtual time, with everything kept that tests want to look at."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmv.app.assembly import Assembly
from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import World, WorldOptions
from bmv.config import Settings, load
from bmv.units import Millis

LEVELS = 100
Look = Callable[[World, Assembly], contextlib.AbstractAsyncContextManager[None]]


def settings_of(levels: int = LEVELS, **keys: str) -> Settings:
    """Return the default settings with so many levels, and with ``keys``."""
    environ = {f"BMV_{key}": value for key, value in keys.items()}
    return load(None, environ).model_copy(update={"grid_levels": levels})


@dataclass
class Run:
    """A demo's report, its world and engine, and when the engine's belief began."""

    report: dict[str, Any] = field(default_factory=dict)
    started: Millis = Millis(0)
    settings: Settings = field(default_factory=settings_of)
    world: World | None = None
    assembly: Assembly | None = None

    @property
    def engine(self) -> Assembly:
        """Return the engine's assembly."""
        assert self.assembly is not None
        return self.assembly


def run(
    seconds: float,
    *,
    state: Path | None = None,
    look: Look | None = None,
    levels: int = LEVELS,
    settings: Settings | None = None,
    **world: Any,
) -> Run:
    """Run a demo for ``seconds`` of virtual time; ``look`` runs beside it."""
    kept = Run(settings=settings or settings_of(levels))

    @contextlib.asynccontextmanager
    async def shown(there: World, assembly: Assembly) -> AsyncIterator[None]:
        kept.world, kept.assembly, kept.started = there, assembly, assembly.engine.state.now
        async with look(there, assembly) if look else contextlib.nullcontext():
            yield

    options = DemoOptions(
        world=WorldOptions(**{"seed": 7, "wallets": 4, **world}),
        settings=kept.settings,
        speed=None,
        run_s=seconds,
        state_dir=state,
        quiet=True,
    )
    kept.report = run_demo(options, shown)
    return kept
