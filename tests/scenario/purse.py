"""A treasury beside a scenario: it says what SOL costs and what it holds, and does what the engine finds due.

Conversions happen at the oracle's price within a minute. What is bought is paid to the engine's first wallet
by an arbitrageur of the crowd (a transaction like any other); what is sold is the treasury's own SOL.
"""

import asyncio
from collections.abc import Sequence

from bmv.app.assembly import Assembly
from bmv.app.demo import VIRTUAL_START_MS
from bmv.app.world import World
from bmv.events import AnyAction, OracleSeen, Report, TreasurySeen
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.sandbox.people.floor import Floor, Trader
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD, Lamports, MicroUsd, UsdPerSol
from bmv.venue.token import WRAPPED_SOL, associated_token_address, transfer
from tests.scenario.playing import HOUR_MS

TELL_S = 20.0
FLAT = ((0.0, 150.0), (1.0, 150.0))


class Purse:
    """``corners`` are (hours, USD per SOL), straight between them; it starts with ``usdc`` and ``sol``."""

    def __init__(
        self, corners: Sequence[tuple[float, float]] = FLAT, usdc: int = 1_000, sol: int = 100
    ) -> None:
        self._corners = corners
        self.usdc, self.sol = usdc * MICROS_PER_USD, sol * LAMPORTS_PER_SOL
        self.done: list[tuple[int, dict[str, str | int]]] = []
        """When each conversion was due, and the engine's words."""
        self.held: list[tuple[int, int]] = []
        """(time, micro-USD of USDC) whenever it was told."""
        self._due: list[dict[str, str | int]] = []

    def price(self, at: int) -> int:
        """Return micro-USD per SOL at a time in ms."""
        hour = (at - VIRTUAL_START_MS) / HOUR_MS
        last = self._corners[-1][1]
        for (start, low), (end, high) in zip(self._corners, self._corners[1:], strict=False):
            if hour < end:
                last = low + (high - low) * (hour - start) / (end - start)
                break
        return round(last * MICROS_PER_USD)

    def hear(self, action: AnyAction, assembly: Assembly) -> None:
        """Take note of what is due."""
        if isinstance(action, Report) and action.name == "CONVERSION_DUE":
            self.done.append((int(assembly.engine.state.now), action.fields))
            self._due.append(action.fields)

    async def run(self, world: World, assembly: Assembly) -> None:
        """Tell and convert until cancelled."""
        engine = assembly.engine
        while True:
            while self._due:
                self._convert(self._due.pop(0), world, assembly)
            now = engine.state.now
            engine.emit(OracleSeen(at=now, sol_usd=UsdPerSol(self.price(int(now)))))
            engine.emit(TreasurySeen(at=now, sol=Lamports(self.sol), usdc=MicroUsd(self.usdc)))
            self.held.append((int(now), self.usdc))
            await asyncio.sleep(TELL_S)

    def _convert(self, due: dict[str, str | int], world: World, assembly: Assembly) -> None:
        usdc, sol = int(due["usdc"]), int(due["sol"])
        if due["direction"] == "sol to usdc":
            self.sol, self.usdc = self.sol - sol, self.usdc + usdc
            return
        self.usdc -= usdc
        payer = seeded_keypair(world.options.seed, "arbitrageur", 0)
        source = associated_token_address(payer.pubkey(), WRAPPED_SOL)
        floor = Floor(world.chain, world.spec, world.reference)
        Trader(floor, payer).send([transfer(source, assembly.wallets[0].quote, payer.pubkey(), sol)])
