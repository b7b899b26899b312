"""The settings file while the engine runs: all or nothing, whatever way an editor writes."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from bmv.config import Configuration, Settings, read
from bmv.core.capacity import check_levels
from bmv.events import AnyEvent, ConfigChanged, ConfigRefused
from bmv.services import reload
from bmv.services.reload import Reload, SettingsFile
from tests.core.belongings import market
from tests.services.living_world import StillClock

FIRST = "GRID_LEVELS = 10\n"
ENVIRON = {"BMV_BUY_DENSITY": "3"}
ADDRESS = "11111111111111111111111111111111"


class Bench:
    """A file, a reload beside it, and what it told."""

    def __init__(self, path: Path) -> None:
        path.write_text(FIRST)
        self.path = path
        self.told: list[AnyEvent] = []
        again: Callable[[], Configuration] = partial(read, path, ENVIRON)
        admit = partial(check_levels, market(), 2)
        file, started = (
            SettingsFile(path, again(), again),
            Settings.model_validate({"LOCKED_ACCOUNTS": [ADDRESS]}),
        )
        self.reload = Reload(file, admit, self.told.append, StillClock(), started)

    def write(self, text: str) -> AnyEvent | None:
        """Change the file and have it judged; return what was told, if anything."""
        self.path.write_text(text)
        self.told.clear()
        self.reload.judge(text.encode())
        assert len(self.told) <= 1
        return self.told[0] if self.told else None

    def refused(self, text: str) -> str:
        """Change the file to something bad; return why it was refused."""
        event = self.write(text)
        assert isinstance(event, ConfigRefused)
        return event.reason

    def taken(self, text: str) -> ConfigChanged:
        """Change the file to something good."""
        event = self.write(text)
        assert isinstance(event, ConfigChanged)
        return event


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bmv.toml")


# What is told


def test_a_good_change_carries_all_settings_and_names_the_keys(bench: Bench) -> None:
    event = bench.taken('GRID_LEVELS = 12\n"MIN_SPREAD_%" = 0.4\n')
    assert event.changed == ("MIN_SPREAD_PCT", "GRID_LEVELS")
    settings = Settings.model_validate(event.settings)
    assert (settings.grid_levels, int(settings.min_spread), int(settings.buy_density)) == (12, 40, 30_000)


def test_a_bad_file_changes_nothing_and_all_that_is_wrong_is_told(bench: Bench) -> None:
    reason = bench.refused("GRID_LEVELS = 2\nFORCED_SYNK = '1h'\n")
    assert "did you mean FORCED_SYNC?" in reason
    assert "at least 4" in reason
    event = bench.taken("GRID_LEVELS = 12\n")
    assert event.changed == ("GRID_LEVELS",)


def test_a_file_put_right_again_is_told_though_nothing_changed(bench: Bench) -> None:
    bench.refused("GRID_LEVELS = 2\n")
    assert bench.taken(FIRST).changed == ()


def test_what_changes_no_value_is_not_told(bench: Bench) -> None:
    assert bench.write("# a remark\n" + FIRST) is None


def test_keys_that_fake_activity_are_refused_while_running_too(bench: Bench) -> None:
    reason = bench.refused("NOISE_X = 1\nflash_volume_enabled = true\nGRID_LEVELS = 2\n")
    assert reason.startswith("NOISE_X, flash_volume_enabled: ")
    assert "docs/integrity.md" in reason


def test_an_empty_file_is_not_taken_for_the_defaults(bench: Bench) -> None:
    assert "only a comment" in bench.refused(" \n")
    assert bench.taken("# the defaults\n").changed == ("GRID_LEVELS",)


def test_a_missing_file_is_refused_and_forgiven(bench: Bench) -> None:
    bench.path.unlink()
    bench.reload.judge(None)
    assert isinstance(bench.told[-1], ConfigRefused)
    assert "a readable file" in bench.told[-1].reason
    assert bench.taken("GRID_LEVELS = 14\n").changed == ("GRID_LEVELS",)


def test_more_levels_than_wallets_and_book_hold_are_refused(bench: Bench) -> None:
    assert "2 wallets x ORDERS_PER_WALLET 32" in bench.refused("GRID_LEVELS = 65\n")


def test_editing_a_key_the_environment_decides_is_told_as_without_effect(bench: Bench) -> None:
    event = bench.taken("GRID_LEVELS = 10\nBUY_DENSITY = 2\n")
    assert (event.changed, event.without_effect) == ((), ("BUY_DENSITY",))
    event = bench.taken("GRID_LEVELS = 11\nBUY_DENSITY = 2\n")
    assert (event.changed, event.without_effect) == (("GRID_LEVELS",), ())
    event = bench.taken("GRID_LEVELS = 11\n")
    assert event.without_effect == ("BUY_DENSITY",)


def test_another_preset_changes_what_stands_under_the_file(bench: Bench) -> None:
    event = bench.taken('PRESET = "sla"\nGRID_LEVELS = 10\nBUY_CHANNEL_WIDTH_PCT = 15\n')
    assert {"PRESET", "SELL_CHANNEL_WIDTH_PCT", "INSIDE_SPREAD_PCT"} <= set(event.changed)
    assert not {"GRID_LEVELS", "BUY_CHANNEL_WIDTH_PCT", "BUY_DENSITY"} & set(event.changed)


@pytest.mark.parametrize("line", [f'LOCKED_ACCOUNTS = ["{ADDRESS}"]', "ORACLE_MAX_AGE = '30s'"])
def test_a_cold_key_is_refused_by_name_and_takes_the_whole_file_with_it(bench: Bench, line: str) -> None:
    reason = bench.refused(f"GRID_LEVELS = 12\n{line}\n")
    assert reason.startswith(f"{line.split(maxsplit=1)[0]}: ")
    assert "restart" in reason
    assert bench.taken("GRID_LEVELS = 13\n").changed == ("GRID_LEVELS",)


def test_cold_keys_stay_what_the_run_began_with(bench: Bench) -> None:
    assert bench.taken("GRID_LEVELS = 12\n").settings["LOCKED_ACCOUNTS"] == ADDRESS


# How a file is written


async def until(ready: Callable[[], bool]) -> None:
    """Wait in real time, at most ten seconds."""
    async with asyncio.timeout(10):
        while not ready():
            await asyncio.sleep(0.02)


def watched(bench: Bench, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario while the file is watched."""

    async def run() -> None:
        watching = asyncio.create_task(bench.reload.run())
        await asyncio.sleep(0.5)
        try:
            await scenario()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())


def levels(event: AnyEvent) -> object:
    assert isinstance(event, ConfigChanged)
    return event.settings["GRID_LEVELS"]


def test_editors_write_by_rename_in_pieces_and_after_truncating(bench: Bench) -> None:
    async def edit() -> None:
        path, beside = bench.path, bench.path.with_suffix(".new")
        beside.write_text("GRID_LEVELS = 20\n")
        beside.replace(path)
        await until(lambda: len(bench.told) == 1)
        # Truncated, then written in pieces: never taken for the defaults, nor half of it for a key.
        with path.open("w") as file:
            await asyncio.sleep(0.05)
            for piece in ("GRID_LE", "VELS = 2", "2\n"):
                file.write(piece)
                file.flush()
                await asyncio.sleep(0.05)
        await until(lambda: len(bench.told) == 2)
        for count in range(30, 40):
            path.write_text(f"GRID_LEVELS = {count}\n")
            await asyncio.sleep(0.01)
        await until(lambda: len(bench.told) >= 3 and levels(bench.told[-1]) == 39)

    watched(bench, edit)
    assert [levels(event) for event in bench.told] == [20, 22, 39]


def test_a_half_written_file_is_refused_and_then_taken(bench: Bench) -> None:
    async def edit() -> None:
        bench.path.write_text("GRID_LEVELS = ")
        await until(lambda: len(bench.told) == 1)
        bench.path.write_text("GRID_LEVELS = 24\n")
        await until(lambda: len(bench.told) == 2)

    watched(bench, edit)
    assert isinstance(bench.told[0], ConfigRefused)
    assert levels(bench.told[1]) == 24


def test_a_link_that_is_turned_to_another_file_counts(bench: Bench, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    (real / "a.toml").write_text(FIRST)
    bench.path.unlink()
    bench.path.symlink_to(real / "a.toml")

    async def edit() -> None:
        (real / "a.toml").write_text("GRID_LEVELS = 26\n")
        await until(lambda: len(bench.told) == 1)
        (real / "b.toml").write_text("GRID_LEVELS = 28\n")
        os.symlink(real / "b.toml", tmp_path / "swap")
        (tmp_path / "swap").replace(bench.path)
        await until(lambda: len(bench.told) == 2)

    watched(bench, edit)
    assert [levels(event) for event in bench.told] == [26, 28]


def test_without_a_watch_the_file_is_looked_at_now_and_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError("no watches left")

    monkeypatch.setattr(reload, "awatch", none_left)
    monkeypatch.setattr(reload, "LOOK_EVERY_MS", 50)

    async def edit() -> None:
        bench.path.write_text("GRID_LEVELS = 40\n")
        await until(lambda: len(bench.told) == 1)

    watched(bench, edit)
    assert levels(bench.told[0]) == 40


def test_a_change_before_the_watch_began_is_not_lost(bench: Bench) -> None:
    bench.path.write_text("GRID_LEVELS = 42\n")

    async def wait() -> None:
        await until(lambda: len(bench.told) == 1)

    watched(bench, wait)
    assert levels(bench.told[0]) == 42
