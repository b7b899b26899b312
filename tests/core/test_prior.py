"""From the human's settings to what stands beside the recorded trades."""

from decimal import Decimal

from bmv.config import DAY_MS, Settings
from bmv.core.decay import FINE
from bmv.core.pivot import Seed, SolFade
from bmv.core.prior import fine_price, prior
from bmv.units import Ticks
from tests.core.belongings import market, settings

SEED = {"SEED_PRICE": "0.01", "SEED_DAILY_VOLUME": "1000", "SEED_USD_PRICE": "2", "FADE_IN_DAYS": 30}


def test_each_mode_takes_its_own_keys() -> None:
    spec = market()
    assert prior(spec, Settings()) == Seed(0, 0)
    # A tick is 10 SOL per token here, a lot a ten-millionth of a token.
    assert prior(spec, settings(**SEED)) == Seed(FINE // 1_000, 1_000 * 10**7)
    assert prior(spec, settings(**SEED, PIVOT_MODE="pure")) == Seed(0, 0)
    fading = prior(spec, settings(**SEED, PIVOT_MODE="sol_fade_in"))
    assert isinstance(fading, SolFade)
    assert (fading.usd_fine // 10**6, int(fading.fade)) == (FINE * 2 // 10, 30 * DAY_MS)


def test_a_human_price_becomes_fine_ticks_rounded_down() -> None:
    spec = market()
    one_tick = spec.price(Ticks(1))
    assert fine_price(spec, one_tick) == FINE
    assert fine_price(spec, one_tick * Decimal("1.5")) == FINE * 3 // 2
    assert fine_price(spec, Decimal("1e-40")) == 0


def test_what_is_given_goes_before_what_is_imported_and_pure_takes_neither() -> None:
    spec, imported = market(), Seed(77, 88)
    assert prior(spec, Settings(), imported) == imported
    assert prior(spec, settings(**SEED), imported) == prior(spec, settings(**SEED))
    assert prior(spec, settings(PIVOT_MODE="pure"), imported) == Seed()
