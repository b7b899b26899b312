"""Build one ladder on paper and print it: pure functions only, no chain, no keys, no clock.

Try:  .venv/bin/python examples/01_quote_on_paper.py 0.012
"""

import sys
from decimal import Decimal

from bmv.config import Settings
from bmv.core.channel import Channel, channel
from bmv.core.decay import FINE
from bmv.core.ladder import SideLadder, Zone, build_side, shares
from bmv.core.lattice import Lattice
from bmv.core.prior import fine_price
from bmv.model import TOUCH, MarketSpec, Side
from bmv.units import LAMPORTS_PER_SOL, Ticks, notional

LEVELS = 24
SOL_FOR_BIDS = 100 * LAMPORTS_PER_SOL
TOKENS_FOR_ASKS = 8_000

# A market as its accounts would describe it: 9 decimals, one lot = one token, one tick = 0.000001 SOL.
SPEC = MarketSpec(
    address="on paper",
    base_mint="on paper",
    base_decimals=9,
    quote_decimals=9,
    base_lot_size=10**9,
    quote_lot_size=1_000,
    bid_capacity=455,
    ask_capacity=455,
    event_capacity=1_024,
)


def ladder(side: Side, price: int, zones: Channel, settings: Settings) -> SideLadder:
    """Build one side around ``price`` (fine ticks) inside its zone of the channel."""
    bid = side is Side.BID
    width = settings.buy_channel_width if bid else settings.sell_channel_width
    zone = Zone(
        lattice=Lattice.anchored(side, price, width, LEVELS, settings.anchor_band),
        low_fine=zones.buy_low if bid else zones.sell_low,
        high_fine=zones.buy_high if bid else zones.sell_high,
        levels=shares(LEVELS, settings.buy_density, settings)[side],
        budget=SOL_FOR_BIDS if bid else TOKENS_FOR_ASKS,
        price_fine=price,
        opposite=None,
        spread=settings.inside_spread,
        size_ratio=settings.buy_size_ratio if bid else settings.sell_size_ratio,
        reanchor=settings.reanchor,
        quote_lot_size=SPEC.quote_lot_size,
    )
    return build_side(zone)


def show(side: Side, built: SideLadder) -> None:
    """Print a side with the highest price on top."""
    for level in sorted(built.levels, key=lambda one: -int(one.price)):
        worth = Decimal(int(notional(level.price, level.size, SPEC.quote_lot_size))) / LAMPORTS_PER_SOL
        line = f"{side.name.lower()}  {SPEC.price(level.price):.6f} SOL  {SPEC.size(level.size):>6} tokens"
        print(f"{line}  {worth:8.4f} SOL{'  touch' if level.point == TOUCH else ''}")


def main(price_text: str) -> None:
    """Print the ladder around a price in SOL per token."""
    settings = Settings()
    price = fine_price(SPEC, Decimal(price_text))
    # On the first day average and Pivot are the price itself.
    zones = channel(price, price, price, settings)
    bids, asks = (ladder(side, price, zones, settings) for side in Side)
    show(Side.ASK, asks)
    print(f"---  {SPEC.price(Ticks(1)) * price / FINE:.6f} SOL: the price")
    show(Side.BID, bids)
    standing = Decimal(bids.standing) / LAMPORTS_PER_SOL
    print(
        f"{len(bids.levels)} bids worth {standing:.4f} SOL, {len(asks.levels)} asks of {asks.standing} tokens"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "0.012")
