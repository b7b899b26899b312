"""Watch the settings file: a good change becomes an event that carries all settings, a bad one is told.

Rules of this file
- All or nothing: what is not allowed, or would change a key that needs a restart, changes nothing.
- Editors truncate, write in pieces, rename, follow links. A file is judged once it has been still for a
  moment, and by its content, never by what kind of change was told.
- Watching takes real time and threads; with virtual time nobody watches.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from bmv.config import KNOWN_KEYS, Configuration, Settings
from bmv.config.settings import is_cold
from bmv.errors import BadInput
from bmv.events import AnyEvent, ConfigChanged, ConfigRefused
from bmv.observe.log import get_logger
from bmv.ports import Clock

STILL_S = 0.3
"""Real seconds without a change after which a file counts as written."""
STILL_TRIES = 20
LOOK_EVERY_MS = 2_000
"""Real milliseconds after which the file is looked at untold: network folders, replaced folders."""
EMPTY = "something, if only a comment: an empty file looks like one that is being written"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file that settings came from: what it came to at the start, and how to read it again."""

    path: Path
    running: Configuration
    read: Callable[[], Configuration]


class Reload:
    """Hand changes of the file to ``emit``; ``admit`` raises BadInput for settings this run cannot have.

    ``started`` is what the run began with: its cold keys stay, wherever they came from.
    """

    def __init__(
        self,
        file: SettingsFile,
        admit: Callable[[Settings], None],
        emit: Callable[[AnyEvent], None],
        clock: Clock,
        started: Settings,
    ) -> None:
        self._path, self._running, self._read = file.path, file.running, file.read
        self._admit, self._emit, self._clock = admit, emit, clock
        self._cold = {key: value for key, value in started.written().items() if is_cold(key)}
        self._content: bytes | None = b""
        self._refused = False
        self._log = get_logger("reload")

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._look()
        try:
            await self._watch()
        except (OSError, RuntimeError) as error:
            # No watch to be had (their number is limited): looking now and then does the same, later.
            self._log.warning("not_watching", reason=str(error))
        while True:
            await asyncio.to_thread(time.sleep, LOOK_EVERY_MS / 1000)
            await self._look()

    async def _watch(self) -> None:
        folders = {self._path.absolute().parent, self._path.resolve().parent}
        async for _ in awatch(
            *folders,
            watch_filter=None,
            recursive=False,
            debounce=200,
            rust_timeout=LOOK_EVERY_MS,
            yield_on_timeout=True,
        ):
            await self._look()

    async def _look(self) -> None:
        """Judge the file if it says anything else than when it was last judged."""
        content = await asyncio.to_thread(_still, self._path, self._content)
        if content != self._content:
            self._content = content
            self.judge(content)

    def judge(self, content: bytes | None) -> None:
        """Read the file, whose bytes are ``content``, and tell what came of it."""
        try:
            if content is not None and not content.strip():
                raise BadInput("--config", str(self._path), EMPTY, "command line")
            self._take(self._read())
        except BadInput as error:
            self._refused = True
            reason = "; ".join(map(str, error.problems))
            self._emit(ConfigRefused(at=self._clock.now(), keys=error.field, reason=reason))

    def _take(self, found: Configuration) -> None:
        before, after = self._running.settings.by_key(), found.settings.by_key()
        changed = tuple(key for key in KNOWN_KEYS if before[key] != after[key])
        if cold := ", ".join(filter(is_cold, changed)):
            raise BadInput(
                cold, "changed", "what stood there at the start; to change it, restart", str(self._path)
            )
        self._admit(found.settings)
        vain = found.edited_in_vain(self._running)
        if found.ignored and found.ignored != self._running.ignored:
            self._log.warning("CONFIG_IGNORED", reason=found.ignored_note)
        self._running = found
        if changed or vain or self._refused:
            self._refused = False
            written = found.settings.written() | self._cold
            self._emit(
                ConfigChanged(at=self._clock.now(), settings=written, changed=changed, without_effect=vain)
            )


def _still(path: Path, known: bytes | None) -> bytes | None:
    """Return the file's bytes once they stay the same for a moment, at once if they are ``known``.

    None means there is no file. One that never comes to rest is returned as it stands in the end.
    """
    content = _bytes(path)
    for _ in range(STILL_TRIES):
        if content == known:
            return content
        time.sleep(STILL_S)
        before, content = content, _bytes(path)
        if before == content:
            return content
    return content


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
