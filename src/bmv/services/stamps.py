"""What every bundle needs and nobody should ask for each time: a fresh blockhash, what a tip costs now."""

from collections.abc import Callable

from bmv.chain.jito import MIN_TIP, BlockEngine
from bmv.chain.rpc import Blockhash, Rpc
from bmv.config import Settings
from bmv.errors import OutsideError, Stale
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.units import Lamports, Millis

BLOCKHASH_FRESH_MS = Millis(5_000)
BLOCKHASH_STALE_MS = Millis(30_000)
TIP_FRESH_MS = Millis(60_000)


class Stamps:
    """Keep the last blockhash and the last tip floor for as long as they are good."""

    def __init__(
        self, rpc: Rpc, block_engine: BlockEngine, settings: Callable[[], Settings], clock: Clock
    ) -> None:
        self._rpc, self._block_engine, self._settings, self._clock = rpc, block_engine, settings, clock
        self._blockhash: tuple[Blockhash, Millis] | None = None
        self._tip: tuple[Lamports, Millis] | None = None
        self._log = get_logger("dispatch")

    def forget_blockhash(self) -> None:
        """Ask for another blockhash the next time."""
        self._blockhash = None

    async def blockhash(self) -> Blockhash:
        """Return a blockhash at most a few seconds old; raise Stale rather than sign with an old one."""
        now = self._clock.now()
        if self._blockhash is None or now - self._blockhash[1] > BLOCKHASH_FRESH_MS:
            try:
                self._blockhash = (await self._rpc.latest_blockhash("confirmed"), now)
            except OutsideError as error:
                if self._blockhash is None or now - self._blockhash[1] > BLOCKHASH_STALE_MS:
                    raise Stale("rpc", "no blockhash younger than 30 s to sign with") from error
        return self._blockhash[0]

    async def tip(self) -> Lamports:
        """Return what a bundle tips: the most allowed, or the median of what lands where that is less."""
        settings = self._settings()
        most = settings.jito_tip
        if settings.jito_tip_mode == "fixed":
            return most
        now = self._clock.now()
        if self._tip is None or now - self._tip[1] > TIP_FRESH_MS:
            try:
                floor = await self._block_engine.tip_floor()
            except OutsideError as error:
                self._log.info("tip_floor_unknown", reason=str(error))
                floor = None
            known = self._tip[0] if self._tip else most
            self._tip = (floor.p50 if floor else known, now)
        return max(MIN_TIP, min(self._tip[0], most))
