"""The oracle against the sandbox's services and Pyth account, sound and broken, with its real clients."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from bmv.chain.oracle import PythOnChain
from bmv.chain.rpc import Rpc
from bmv.chain.tickers import SERVICES, Pair, Ticker
from bmv.core.absorb import absorb
from bmv.core.feeds import Reading
from bmv.errors import Garbled, OutsideError
from bmv.events import OracleSeen
from bmv.sandbox.clock import LoopClock
from bmv.services.oracle import OracleWatch, PriceSource
from bmv.services.record import count_error
from bmv.units import Millis, Slot
from tests.core.belongings import quoting_state, wallet
from tests.services.living_world import NOBODY, Living, living, settings_with, virtually

NAMES = ("pyth", "hermes", "coinbase", "kraken", "binance", "jupiter")


def ticker(world: Living, name: str, slot_now: Callable[[], Slot] = lambda: Slot(0)) -> Ticker:
    """Return the client of one of the sandbox's price services."""
    return Ticker(world.session, SERVICES[name], world.outside.prices[name], slot_now=slot_now)


def watching(
    world: Living, told: list[OracleSeen], errors: Counter[str], names: tuple[str, ...] = NAMES
) -> OracleWatch:
    """Return an oracle that asks the sandbox's services."""
    pyth = PythOnChain(Rpc(world.session, world.url, rng=random.Random(1), attempts=1))
    sources = [
        pyth
        if name == "pyth"
        else Ticker(
            world.session, SERVICES[name], world.outside.prices[name], slot_now=lambda: Slot(pyth.slot)
        )
        for name in names
    ]
    count: Callable[[OutsideError], None] = partial(count_error, errors)
    return OracleWatch(sources, settings_with, world.clock, told.append, count)


def rounds(
    rates: dict[str, float], number: int = 20, names: tuple[str, ...] = NAMES
) -> tuple[list[OracleSeen], Counter[str], list[float], list[bool]]:
    """Ask for some minutes; return what was told, errors, the true prices, and which rounds were firm."""
    told: list[OracleSeen] = []
    errors: Counter[str] = Counter()
    true: list[float] = []
    firm: list[bool] = []

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as world:
            world.world.faults.rates.update(rates)
            watch = watching(world, told, errors, names)
            for _ in range(number):
                await watch.round()
                firm.append(watch.verdict.firm)
                true.append(float(world.world.sol_usd.price_at(int(clock.now()))) * 1e6)
                await asyncio.sleep(30)

    virtually(scenario)
    return told, errors, true, firm


def test_all_services_agree_with_the_path_behind_them_and_know_the_euro() -> None:
    told, errors, true, firm = rounds({})
    assert all(firm)
    assert not errors
    assert len(told) == len(true)
    assert all(
        abs(float(int(seen.sol_usd)) / price - 1) < 0.002 for seen, price in zip(told, true, strict=True)
    )
    assert {int(seen.eur_usd or 0) // 10_000 for seen in told} <= {107, 108}


def test_a_euro_nobody_prices_any_more_is_known_for_as_long_as_a_price_may_be_quoted_by() -> None:
    told: list[OracleSeen] = []
    max_age = int(settings_with().oracle_quoting_max_age)

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as world:
            watch = watching(world, told, Counter(), ("pyth", "kraken"))
            await watch.round()
            # Only what knows no euro is left.
            watch._sources = [_DollarsOnly(source) for source in watch._sources]
            for _ in range(max_age // 60_000 + 3):
                await asyncio.sleep(60)
                await watch.round()

    virtually(scenario)
    known = [seen.eur_usd is not None for seen in told]
    last = told[known.index(False) - 1]
    assert known == sorted(known, reverse=True)
    assert max_age - 60_000 < int(last.at - told[0].at) <= max_age
    state = quoting_state([wallet(0)])
    for seen in told:
        absorb(state, seen, settings_with())
    assert (state.oracle.sol_usd, state.oracle.eur_usd) == (told[-1].sol_usd, None)


class _DollarsOnly:
    def __init__(self, source: PriceSource) -> None:
        self.name, self.read = source.name, source.read
        self.pairs = source.pairs - {Pair.EUR_USD}


def test_services_that_fail_and_lie_now_and_then_leave_a_true_price() -> None:
    rates = {"price_unreachable": 0.2, "price_rate_limited": 0.2, "price_garbled": 0.1, "price_off": 0.1}
    told, errors, true, _ = rounds(rates, 40)
    assert errors["kraken_unreachable"]
    assert errors["coinbase_rate_limited"]
    assert {name.split("_")[0] for name in errors} <= set(NAMES)
    for seen in told:
        if seen.firm:
            assert min(abs(float(int(seen.sol_usd)) / price - 1) for price in true) < 0.006


def test_with_every_exchange_gone_pyth_values_and_nothing_is_firm() -> None:
    told, _, _, firm = rounds({"price_unreachable": 1.0}, 4)
    assert len(told) == 4
    assert not any(firm)


@pytest.mark.parametrize("fault", ["pyth_late", "pyth_unsure", "pyth_partial"])
def test_a_broken_pyth_account_is_no_witness(fault: str) -> None:
    _, _, _, firm = rounds({fault: 1.0}, 8, ("pyth", "kraken"))
    assert not any(firm[4:])
    _, _, _, others = rounds({fault: 1.0}, 8, ("pyth", "kraken", "coinbase"))
    assert all(others)


def parsed(name: str, value: object) -> tuple[int, int]:
    """Return price and uncertainty in micro-dollars of one answer."""
    said = SERVICES[name].parse(value)
    return said.micros, said.uncertainty


def test_the_documented_answers_are_read() -> None:
    kraken = {
        "error": [],
        "result": {"SOLUSD": {"a": ["147.51000", "10", "10.000"], "b": ["147.50000", "5", "5"]}},
    }
    assert parsed("kraken", kraken) == (147_505_000, 5_000)
    assert parsed("binance", {"bidPrice": "147.50000000", "askPrice": "147.51000000"}) == (147_505_000, 5_000)
    coinbase = {"ask": "147.51", "bid": "147.50", "time": "2026-11-22T15:00:00.000000Z"}
    assert parsed("coinbase", coinbase) == (147_505_000, 5_000)
    assert SERVICES["coinbase"].parse(coinbase).published == Millis(1_795_359_600_000)
    price = {"price": "14747893407", "conf": "7800000", "expo": -8, "publish_time": 1_714_746_101}
    assert parsed("hermes", {"parsed": [{"id": "x", "price": price}]}) == (147_478_934, 78_000)
    mint = "So11111111111111111111111111111111111111112"
    assert parsed("jupiter", {mint: {"usdPrice": 147.48, "blockId": 348004023}}) == (147_480_000, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kraken", {"error": [], "result": {"SOLUSD": {"a": ["147", "1", "1"], "b": ["148", "1", "1"]}}}),
        ("kraken", {"error": [], "result": {}}),
        ("binance", {"bidPrice": "NaN", "askPrice": "1"}),
        ("binance", {"bidPrice": "-1", "askPrice": "1"}),
        ("binance", {"bidPrice": 1.0, "askPrice": 1.0}),
        ("coinbase", {"ask": "1", "bid": "1", "time": "2026-11-22T15:00:00"}),
        ("hermes", {"parsed": []}),
        ("hermes", {"parsed": [{"price": {"price": "-5", "conf": "1", "expo": -8, "publish_time": 1}}]}),
        ("hermes", {"parsed": [{"price": {"price": "5", "conf": "1", "expo": 99, "publish_time": 1}}]}),
        ("jupiter", {}),
    ],
)
def test_what_is_no_price_is_garbled(name: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        SERVICES[name].parse(value)


def test_a_service_that_repeats_itself_grows_old() -> None:
    async def scenario(clock: LoopClock) -> list[Reading]:
        async with living(clock, crowd=NOBODY) as world:
            kraken, still = ticker(world, "kraken"), clock.now()
            first = await kraken.read(Pair.SOL_USD, still)
            kraken._changed[Pair.SOL_USD] = (kraken._changed[Pair.SOL_USD][0], still - Millis(100_000))
            return [first, await kraken.read(Pair.SOL_USD, still)]

    first, second = virtually(scenario)
    assert first.published - second.published == 100_000


def test_an_account_of_another_owner_says_nothing() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as world:
            await asyncio.sleep(1)
            chain = world.world.chain
            pyth = PythOnChain(Rpc(world.session, world.url, rng=random.Random(1)))
            for keys in pyth._keys.values():
                for key in keys:
                    account = chain.account(bytes(key))
                    assert account is not None
                    account.owner = bytes(32)
            with pytest.raises(Garbled, match="owner"):
                await pyth.read(Pair.SOL_USD, clock.now())

    virtually(scenario)
