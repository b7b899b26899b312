"""A treasury beside a scenario: what a SOL costs in it, what it starts with, and what it is seen to do.

All of it is real: the world's price path, Pyth account and price services, its swap service and pool, and the
engine's own conversions. This listens.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from bmv.app.assembly import Assembly
from bmv.app.demo import VIRTUAL_START_MS
from bmv.app.world import World
from bmv.events import AnyAction, Report
from bmv.sandbox.dollar_genesis import Purse as Holdings
from bmv.sandbox.prices import PricePath
from bmv.units import MICROS_PER_USD
from tests.scenario.playing import HOUR_MS, Scenario, Seen, play

ROW_S = 20
FLAT = ((0.0, 150.0), (1.0, 150.0))


class Purse:
    """``corners`` are (hours, USD per SOL), straight between them; it starts with ``usdc`` and ``sol``."""

    def __init__(
        self, corners: Sequence[tuple[float, float]] = FLAT, usdc: int = 1_000, sol: int = 100
    ) -> None:
        self._corners = corners
        self.holdings = Holdings(Decimal(sol), Decimal(usdc))
        self.usdc, self.sol = usdc * MICROS_PER_USD, 0
        self.done: list[tuple[int, dict[str, str | int]]] = []
        """When each conversion was asked for, and the engine's words."""
        self.held: list[tuple[int, int]] = []
        """(time, micro-USD of USDC) again and again."""

    def price(self, at: int) -> int:
        """Return micro-USD per SOL at a time in ms."""
        hour = (at - VIRTUAL_START_MS) / HOUR_MS
        last = self._corners[-1][1]
        for (start, low), (end, high) in zip(self._corners, self._corners[1:], strict=False):
            if hour < end:
                last = low + (high - low) * (hour - start) / (end - start)
                break
        return round(last * MICROS_PER_USD)

    @property
    def path(self) -> PricePath:
        """Return the price as the world plays it."""
        rows = int(max(self._corners[-1][0], 1.0) * 3600 / ROW_S) + 2
        times = tuple(VIRTUAL_START_MS + row * ROW_S * 1000 for row in range(rows))
        prices = tuple(Decimal(self.price(at)) / MICROS_PER_USD for at in times)
        return PricePath("purse", times, prices, ROW_S * 1000)

    def play(self, scenario: Scenario) -> Seen:
        """Play a scenario with this treasury in it."""
        return play(scenario, self.hear, self.run, sol_usd=self.path, purse=self.holdings)

    def hear(self, action: AnyAction, assembly: Assembly) -> None:
        """Take note of what is asked for."""
        if isinstance(action, Report) and action.name == "CONVERSION_DUE":
            self.done.append((int(assembly.engine.state.now), action.fields))

    async def run(self, _world: World, assembly: Assembly) -> None:
        """Look at what the treasury holds until cancelled."""
        while True:
            state = assembly.engine.state
            if state.treasury.acts:
                self.usdc, self.sol = int(state.treasury.usdc), int(state.treasury.sol)
                self.held.append((int(state.now), self.usdc))
            await asyncio.sleep(ROW_S)
