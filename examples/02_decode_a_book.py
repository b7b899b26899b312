"""Let a simulated crowd trade for ten minutes, then read the book out of its account bytes.

Try:  .venv/bin/python examples/02_decode_a_book.py
"""

from contextlib import AbstractContextManager, nullcontext

from bmv.app.world import World, WorldOptions
from bmv.model import MarketSpec
from bmv.units import BaseLots, Millis, Ticks
from bmv.venue.openbook_v1.codec import BookSideAccount, decode_book_side, decode_market

TEN_MINUTES_MS = 600_000
SHOWN = 8


class HandClock:
    """A clock that stands where it was put."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now(self) -> Millis:
        """Return milliseconds since 1970."""
        return Millis(self.ms)

    def hold(self) -> AbstractContextManager[None]:
        """Do nothing: this clock never jumps by itself."""
        return nullcontext()


def let_trade(world: World, clock: HandClock, ms: int) -> None:
    """Let everybody of the crowd act, and the chain with them, for ``ms``."""
    end = clock.ms + ms
    while (due := world.crowd.next_due_ms()) is not None and due <= end:
        clock.ms = max(clock.ms, due)
        world.chain.run_due()
        world.crowd.run_due(clock.ms)
    clock.ms = end
    world.chain.run_due()


def side_of(world: World, address: bytes) -> BookSideAccount:
    """Decode one side of the book from the simulated chain."""
    account = world.chain.account(address)
    assert account is not None
    return decode_book_side(bytes(account.data))


def lines(side: BookSideAccount, spec: MarketSpec) -> list[str]:
    """Return the best orders as text, best first."""
    name = side.side.name.lower()
    rows = [(Ticks(one.price_ticks), BaseLots(one.size_lots)) for one in side.orders()[:SHOWN]]
    return [f"{name}  {spec.price(price):.6f} SOL  {spec.size(size):>6} tokens" for price, size in rows]


def main() -> None:
    """Print the middle of the book."""
    clock = HandClock(1_767_225_600_000)
    world = World(WorldOptions(seed=1), clock, idle_slots_told=False)
    let_trade(world, clock, TEN_MINUTES_MS)
    image = world.chain.account(bytes(world.market))
    assert image is not None
    market = decode_market(bytes(image.data))
    bids, asks = side_of(world, bytes(market.bids)), side_of(world, bytes(market.asks))
    print(f"{len(bids)} bids and {len(asks)} asks stand; the best {SHOWN} of each:")
    print("\n".join([*reversed(lines(asks, world.spec)), *lines(bids, world.spec)]))


if __name__ == "__main__":
    main()
