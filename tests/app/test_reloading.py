"""A running demo and its settings file: who uses the new values, and that virtual time does not watch."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bmv.app.assembly import Assembly
from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import World, WorldOptions
from bmv.config import read
from bmv.events import AnyEvent, BundleResolved, ConfigChanged, ConfigRefused
from bmv.model import Outcome
from bmv.observe.journal import JOURNAL_FOLDER, Journal
from bmv.observe.segments import records
from bmv.sandbox.clock import LoopClock
from bmv.services.reload import SettingsFile
from bmv.services.replay import replay
from bmv.units import Lamports
from tests.services.living_world import living, settings_with, virtually

FIRST = "GRID_LEVELS = 24\n"


def events(journal: Path) -> list[AnyEvent]:
    """Return the events a journal holds."""
    lines = (msgspec.json.decode(record.payload, type=dict[str, msgspec.Raw]) for record in records(journal))
    read_event = msgspec.json.Decoder(AnyEvent).decode
    return [read_event(line["event"]) for line in lines if "event" in line]


def check_replay(journal: Path) -> None:
    """Play a journal into a fresh engine, settings and their changes as it tells them: the same actions."""
    (run,) = replay(journal)
    assert run.first_difference is None
    assert run.actions > 10


def demo(file: Path, state: Path, speed: float | None, seconds: float, look: Any = None) -> dict[str, Any]:
    """Run a small demo with a settings file."""
    state.mkdir()
    again = partial(read, file, {})
    options = DemoOptions(
        world=WorldOptions(seed=3, wallets=2),
        settings=again().settings,
        speed=speed,
        run_s=seconds,
        state_dir=state,
        quiet=True,
        file=SettingsFile(file, again(), again),
    )
    return run_demo(options, look)


def test_dispatcher_and_reader_use_the_settings_that_hold_now(tmp_path: Path) -> None:
    before = settings_with(grid_levels=24, jito_tip_mode="fixed")
    after = before.model_copy(update={"jito_tip": Lamports(2_000_000), "grid_levels": 40})

    async def scenario(clock: LoopClock) -> int:
        async with living(clock, Journal(tmp_path / "journal"), before) as it:
            engine = it.assembly.engine
            keys = ("JITO_TIP_AMOUNT_SOL", "GRID_LEVELS")
            told = ConfigChanged(at=clock.now(), settings=after.written(), changed=keys)
            asyncio.get_running_loop().call_later(60, engine.emit, told)
            assert await it.run_engine(120)
            assert engine.settings == after == it.assembly.feed._reader._settings()
            return len(it.assembly.wallets)

    assert virtually(scenario) == 2
    seen = events(tmp_path / "journal")
    turn = next(index for index, event in enumerate(seen) if isinstance(event, ConfigChanged))
    tips = [
        {int(e.cost.tip) for e in part if isinstance(e, BundleResolved) and e.outcome is Outcome.LANDED}
        for part in (seen[:turn], seen[turn:])
    ]
    assert tips == [{int(before.jito_tip)}, {2_000_000}]
    check_replay(tmp_path / "journal")


def test_a_demo_in_real_time_follows_its_file_and_refuses_bad_ones(tmp_path: Path) -> None:
    file = tmp_path / "bmv.toml"
    file.write_text(FIRST)

    @contextlib.asynccontextmanager
    async def edited(_: World, assembly: Assembly) -> AsyncIterator[None]:
        edits = [
            threading.Timer(1.5, file.write_text, ["NOISE_X = 1\n"]),
            threading.Timer(3.0, file.write_text, ["GRID_LEVELS = 40\n"]),
        ]
        for edit in edits:
            edit.start()
        yield
        for edit in edits:
            edit.join()
        assert assembly.engine.settings.grid_levels == 40

    report = demo(file, tmp_path / "state", 40, 200, edited)
    told = [
        e for e in events(tmp_path / "state" / JOURNAL_FOLDER) if isinstance(e, ConfigChanged | ConfigRefused)
    ]
    assert [type(event) for event in told] == [ConfigRefused, ConfigChanged]
    assert report["clean"]
    assert report["errors"] == {}
    check_replay(tmp_path / "state" / JOURNAL_FOLDER)


def test_virtual_time_does_not_watch_the_file_and_stays_repeatable(tmp_path: Path) -> None:
    file = tmp_path / "bmv.toml"

    @contextlib.asynccontextmanager
    async def edited(_: World, __: Assembly) -> AsyncIterator[None]:
        file.write_text("GRID_LEVELS = 40\n")
        yield

    digests = []
    for name, look in (("left alone", None), ("edited", edited)):
        file.write_text(FIRST)
        digests.append(demo(file, tmp_path / name, None, 600, look)["digest"])
        assert not any(isinstance(event, ConfigChanged) for event in events(tmp_path / name / JOURNAL_FOLDER))
    assert digests[0] == digests[1]
    assert file.read_text() != FIRST
