"""What stands in for the trades from before records begin: given in the settings, or imported (SPEC 3.2)."""

from decimal import Decimal

from bmv.config import Settings
from bmv.core.decay import FINE
from bmv.core.pivot import Seed, SolFade
from bmv.model import MarketSpec
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD

NOTHING = Seed()


def prior(spec: MarketSpec, settings: Settings, imported: Seed = NOTHING) -> Seed | SolFade:
    """Return what PIVOT_MODE puts beside the recorded trades; what is given goes before what is imported."""
    if settings.pivot_mode == "seeded":
        if not settings.seed_price:
            return imported
        lots = settings.seed_daily_volume * 10**spec.base_decimals / spec.base_lot_size
        return Seed(fine_price(spec, settings.seed_price), int(lots))
    if settings.pivot_mode == "sol_fade_in":
        return SolFade(fine_price(spec, settings.seed_usd_price * MICROS_PER_USD), settings.fade_in)
    return Seed()


def fine_price(spec: MarketSpec, price: Decimal) -> int:
    """Return a price in SOL per token as fine ticks, rounded down."""
    if not price:
        return 0
    lots_per_token = Decimal(10) ** spec.base_decimals / spec.base_lot_size
    return int(price * LAMPORTS_PER_SOL * FINE / (lots_per_token * spec.quote_lot_size))
