"""Only what the market's own program has logged counts."""

import asyncio
import base64

import pytest
from solders.pubkey import Pubkey

from bmv.sandbox.clock import LoopClock
from bmv.services.logs import TRUNCATED, CutShort, fills_logged
from bmv.venue.openbook_v1.instructions import MarketKeys
from tests.services.living_world import living, virtually
from tests.services.test_past import BUSY

STRANGER = str(Pubkey(bytes([7] * 32)))


@pytest.fixture(scope="module")
def crank() -> tuple[MarketKeys, list[str]]:
    """Return a market, and the log of a transaction that cranked fills of it."""

    async def scenario(clock: LoopClock) -> tuple[MarketKeys, list[str]]:
        async with living(clock, seed=4, crowd=BUSY) as it:
            await asyncio.sleep(60)
            market = it.assembly.market
            logs = (landed.outcome.logs for landed in it.world.chain.ledger.since(0))
            return market, next(lines for lines in logs if found(market, lines))

    return virtually(scenario)


def found(market: MarketKeys, lines: list[str]) -> int:
    return len(fills_logged({"meta": {"logMessages": lines}}, market))


def test_the_lines_of_another_program_are_not_looked_at(crank: tuple[MarketKeys, list[str]]) -> None:
    market, lines = crank
    record = next(line for line in lines if line.startswith("Program data: "))
    count = found(market, lines)
    forged = [f"Program {STRANGER} invoke [1]", record, f"Program {STRANGER} success"]
    assert found(market, forged + lines) == found(market, lines + forged) == count > 0
    # It cannot make its lines look like the market's by what it prints, nor by what it calls before.
    program = str(market.program)
    liar = [f"Program {STRANGER} invoke [1]", f"Program log: Program {program} invoke [1]", record]
    caller = [
        f"Program {STRANGER} invoke [1]",
        f"Program {program} invoke [2]",
        f"Program log: Program {program} success",
        f"Program {program} success",
        record,
        f"Program {STRANGER} success",
    ]
    assert found(market, liar + lines) == found(market, caller + lines) == count


def test_a_crank_called_by_another_program_counts(crank: tuple[MarketKeys, list[str]]) -> None:
    market, lines = crank
    inner = [line.replace("invoke [1]", "invoke [2]") for line in lines]
    around = [f"Program {STRANGER} invoke [1]", *inner, f"Program {STRANGER} success"]
    assert found(market, around) == found(market, lines)


def test_another_market_s_fills_are_not_this_one_s(crank: tuple[MarketKeys, list[str]]) -> None:
    market, lines = crank
    record = next(line for line in lines if line.startswith("Program data: "))
    data = bytearray(base64.b64decode(record.removeprefix("Program data: ")))
    data[8] ^= 1
    other = f"Program data: {base64.b64encode(data).decode()}"
    assert found(market, [other if line == record else line for line in lines]) == found(market, lines) - 1


def test_a_log_that_was_cut_short_is_an_error(crank: tuple[MarketKeys, list[str]]) -> None:
    market, lines = crank
    with pytest.raises(CutShort):
        found(market, [*lines, TRUNCATED])
