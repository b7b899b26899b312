"""Set a backtest up: the market a table is played on, and the settings that hold on it."""

from decimal import Decimal

import msgspec

from bmv.backtest.assumptions import Assumptions
from bmv.backtest.dollars import dollars_of
from bmv.backtest.run import Backtest
from bmv.backtest.tape import Table, Tape, tape_of
from bmv.config import Settings
from bmv.core.capacity import check_levels
from bmv.errors import BadInput
from bmv.model import MarketSpec
from bmv.sandbox.market_genesis import lots_for

DECIMALS = 9
BOOK_SIDE = 455
SEED_WORTH = Decimal(10)
"""SOL a day: what a sole maker's seed is worth where the settings name none."""


class Scene(msgspec.Struct, frozen=True):
    """A backtest ready to run, under a name."""

    name: str
    tape: Tape
    spec: MarketSpec
    settings: Settings
    run: Backtest


def market_of(table: Table) -> MarketSpec:
    """Return a market whose ticks suit the table's first and lowest price."""
    lots = lots_for(table.first_price, DECIMALS, table.lowest)
    return MarketSpec("", "", DECIMALS, 9, lots.base, lots.quote, BOOK_SIDE, BOOK_SIDE, BOOK_SIDE)


def refuse_unplayable(table: Table, assumed: Assumptions, sol_usd: Table | None) -> None:
    """Raise BadInput where a table cannot be played as is assumed, whatever the settings."""
    if assumed.fills == "queue" and table.sizes is None:
        raise BadInput(
            "--fills", "queue", "touch or through: bars do not say how much traded", "command line"
        )
    if assumed.arbitrageurs and table.kind == "trades":
        allowed = "0 with trades: they say themselves who took"
        raise BadInput("--arbitrageurs", assumed.arbitrageurs, allowed, "command line")
    if sol_usd is not None:
        dollars_of(sol_usd, tape_of(table, market_of(table)))


def scene(
    name: str, table: Table, settings: Settings, assumed: Assumptions, sol_usd: Table | None = None
) -> Scene:
    """Return a backtest of ``settings`` on a table; ``sol_usd`` says what a SOL cost, for the treasury.

    Raises BadInput where settings ask for more levels than wallets and book hold, or the fill model asks for
    sizes that the table has not, or the prices of SOL do not span it.
    """
    refuse_unplayable(table, assumed, sol_usd)
    spec = market_of(table)
    check_levels(spec, assumed.wallets, settings)
    if assumed.sole_maker and not settings.seed_price:
        daily = (SEED_WORTH / table.first_price).quantize(Decimal("0.001"))
        settings = settings.model_copy(update={"seed_price": table.first_price, "seed_daily_volume": daily})
    tape = tape_of(table, spec)
    dollars = None if sol_usd is None else dollars_of(sol_usd, tape)
    return Scene(name, tape, spec, settings, Backtest(tape, spec, settings, assumed, dollars))
