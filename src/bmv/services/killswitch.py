"""The kill switch of a running engine: hear it wherever it is raised, latch what is no orderly end.

Heard are the file ``run/HALT``, the key in Redis and the call that goes with it. Any of them is enough, and
none needs another. Memory, signal and page button are the engine's own ``halt``; it too is latched here, so
that a restart by whatever watches over the process does not quote on. Only an orderly end (a stop that was
asked for by SIGINT or SIGTERM, a market handed over to another engine) leaves no latch.
"""

import asyncio
from collections.abc import Callable

from bmv.core.kill import ANOTHER_ENGINE
from bmv.core.state import Phase, State
from bmv.errors import BadInput, OutsideError
from bmv.events import HaltRequested
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.state.hot import HotState
from bmv.state.latch import Latch, Latched, LatchFile

FILE_EVERY_S = 0.2
KEY_EVERY_S = 1.0
RELEASE = "bmv resume"


class KillSwitch:
    """Watch for the kill switch and hand what is heard to ``emit``.

    The loop's seconds pass ``haste`` times as fast as real ones.
    """

    def __init__(
        self,
        file: LatchFile,
        hot: HotState,
        emit: Callable[[HaltRequested], None],
        clock: Clock,
        *,
        haste: float = 1.0,
    ) -> None:
        self._file, self._hot, self._emit, self._clock = file, hot, emit, clock
        self._haste = haste
        self._orderly = {ANOTHER_ENGINE}
        self._latch: Latch | None = None
        self._raised = False
        self._log = get_logger("killswitch")

    async def admit(self) -> None:
        """Raise Latched where the switch is latched; lower a flag in Redis that was released meanwhile."""
        refuse_latched(self._file)
        flag = await self._hot.flag()
        if flag is None:
            return
        if not self._file.outdated(flag):
            raise Latched(flag, RELEASE)
        await self._hot.lower_flag()

    def stop(self, request: HaltRequested) -> None:
        """Let the engine end in order: nothing is latched."""
        self._orderly.add(request.reason)
        self._emit(request)

    def follow(self, state: State) -> None:
        """Latch a halt that has begun, unless it is an orderly end."""
        begun = state.phase in {Phase.HALTING, Phase.DONE}
        if not begun or state.halt.hand_over or state.halt_reason in self._orderly:
            return
        self.latch(state.halt_reason)

    def latch(self, reason: str) -> None:
        """Latch once, whatever the engine does."""
        if self._latch is not None:
            return
        self._latch = Latch(at=self._clock.now(), reason=reason, by="the engine")
        try:
            self._file.raise_(self._latch)
        except BadInput as error:
            self._log.error("HALT_NOT_LATCHED", reason=str(error))

    async def run(self) -> None:
        """Watch file, key and calls until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_file())
            tasks.create_task(self._watch_key())
            tasks.create_task(self._listen())

    async def last_word(self) -> None:
        """Raise the flag in Redis for a halt that could not be told there yet."""
        if self._latch is not None and not self._raised:
            try:
                await self._hot.raise_flag(self._latch)
                self._raised = True
            except OutsideError as error:
                self._log.warning("HALT_NOT_IN_REDIS", reason=str(error))

    def _hear(self, latch: Latch) -> None:
        if self._latch is None:
            self._emit(HaltRequested(at=self._clock.now(), reason=f"{latch.reason} ({latch.by})"))

    async def _watch_file(self) -> None:
        while True:
            if (latch := self._file.read()) is not None:
                self._hear(latch)
            await asyncio.sleep(FILE_EVERY_S * self._haste)

    async def _watch_key(self) -> None:
        while True:
            try:
                latch = await self._hot.flag()
                if latch is not None and not self._file.outdated(latch):
                    self._raised = True
                    self._hear(latch)
                else:
                    await self.last_word()
            except OutsideError:
                self._log.debug("flag_unknown")
            await asyncio.sleep(KEY_EVERY_S * self._haste)

    async def _listen(self) -> None:
        while True:
            try:
                await self._hot.listen(self._hear)
            except OutsideError:
                await asyncio.sleep(KEY_EVERY_S * self._haste)


def refuse_latched(file: LatchFile) -> None:
    """Raise Latched where the file says that nothing may start."""
    latch = file.read()
    if latch is not None:
        raise Latched(latch, f"{RELEASE} --state {file.root}")
