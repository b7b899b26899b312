"""Ask every price source in rounds, and tell the engine what they agree on.

Rules of this file
- All sources of a round are asked at once; one that fails or is late is missing, nothing more.
- What counts is decided by ``core/feeds.py``; here is nothing but asking and telling.
- No price told is an outage: then conversions stop by themselves, and the ladder goes on.
- The euro is for people: asked for a few times within ORACLE_QUOTING_MAX_AGE, and not told when older.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from bmv.chain.tickers import Pair
from bmv.config import Settings
from bmv.core.feeds import Reading, Told, Verdict, judge
from bmv.errors import OutsideError
from bmv.events import OracleSeen
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.units import MicroUsd, Millis, UsdPerSol

EUR_ROUNDS = 4
"""How often the euro is asked for within ORACLE_QUOTING_MAX_AGE."""


class PriceSource(Protocol):
    """Whatever knows what some of the pairs cost."""

    @property
    def name(self) -> str:
        """Return the name ORACLE_SOURCES has for it."""
        ...

    @property
    def pairs(self) -> frozenset[Pair]:
        """Return what it knows."""
        ...

    async def read(self, pair: Pair, now: Millis) -> Reading:
        """Return what it says now; raise OutsideError where it says nothing."""
        ...


class OracleWatch:
    """Ask ``sources`` every ORACLE_POLL; ``count`` hears of each failure.

    ``verdict`` is what came of the last round, ``heard`` what each source said in it: a reading, or why not.
    """

    def __init__(
        self,
        sources: Sequence[PriceSource],
        settings: Callable[[], Settings],
        clock: Clock,
        emit: Callable[[OracleSeen], None],
        count: Callable[[OutsideError], None],
    ) -> None:
        self._sources, self._settings, self._clock = sources, settings, clock
        self._emit, self._count = emit, count
        self.verdict = Verdict(None, firm=False, reason="nobody was asked yet")
        self.heard: dict[str, Reading | str] = {}
        self._told: dict[Pair, Told] = {}
        self._eur: tuple[MicroUsd, Millis] | None = None
        self._eur_asked: Millis | None = None
        self._log = get_logger("oracle")

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(int(self._settings().oracle_poll) / 1000)

    async def round(self) -> None:
        """Ask everybody once, and tell what came of it."""
        before = self.verdict
        eur = await self._euro(self._clock.now(), self._settings().oracle_quoting_max_age)
        self.verdict, self.heard = await self._judged(Pair.SOL_USD)
        verdict = self.verdict
        if (verdict.firm, verdict.reason) != (before.firm, before.reason):
            tell = self._log.info if verdict.firm else self._log.warning
            tell(
                "oracle", firm=verdict.firm, reason=verdict.reason, used=verdict.used, dropped=verdict.dropped
            )
        if verdict.micros is not None:
            price = UsdPerSol(verdict.micros)
            self._emit(OracleSeen(at=self._clock.now(), sol_usd=price, firm=verdict.firm, eur_usd=eur))

    async def _euro(self, now: Millis, max_age: Millis) -> MicroUsd | None:
        """Return what a euro costs, asked for anew where it is time; None once that is older than allowed."""
        if self._eur_asked is None or (now - self._eur_asked) * EUR_ROUNDS >= max_age:
            self._eur_asked = now
            euro = (await self._judged(Pair.EUR_USD))[0].micros
            self._eur = (MicroUsd(euro), now) if euro is not None else self._eur
        return self._eur[0] if self._eur and now - self._eur[1] <= max_age else None

    async def _judged(self, pair: Pair) -> tuple[Verdict, dict[str, Reading | str]]:
        asked = [source for source in self._sources if pair in source.pairs]
        answers = await asyncio.gather(*(self._ask(source, pair) for source in asked))
        heard = dict(zip((source.name for source in asked), answers, strict=True))
        readings = [answer for answer in answers if isinstance(answer, Reading)]
        told = self._told.get(pair, Told())
        verdict, self._told[pair] = judge(readings, told, self._clock.now(), self._settings())
        return verdict, heard

    async def _ask(self, source: PriceSource, pair: Pair) -> Reading | str:
        try:
            return await source.read(pair, self._clock.now())
        except OutsideError as error:
            self._count(error)
            return error.why
