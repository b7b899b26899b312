"""Pyth's price as the chain holds it, read over the node we use anyway.

Of the two accounts that may hold a feed the fresher sound one counts; what is wrong with the others is told
only where none is sound.
"""

from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, Rpc
from bmv.chain.tickers import FEEDS, Pair
from bmv.core.feeds import Origin, Reading
from bmv.errors import BadBytes, Garbled
from bmv.units import Millis, Slot
from bmv.venue.pyth import RECEIVER_OF, PriceUpdate, decode_price_update, price_account


class PythOnChain:
    """Read Pyth's push feeds; ``slot`` is the newest slot they were read at."""

    def __init__(self, rpc: Rpc) -> None:
        self.name, self.pairs = "pyth", frozenset(FEEDS)
        self.slot = Slot(0)
        self._rpc = rpc
        self._keys = {
            pair: [price_account(push, feed) for push in RECEIVER_OF] for pair, feed in FEEDS.items()
        }

    async def read(self, pair: Pair, _now: Millis) -> Reading:
        """Return the price; raise OutsideError where the node does not answer or no account is sound."""
        found = await self._rpc.accounts(self._keys[pair])
        self.slot = max(self.slot, found.newest)
        wrong: list[str] = []
        updates: list[PriceUpdate] = []
        for image, receiver in zip(found.accounts, RECEIVER_OF.values(), strict=True):
            try:
                updates.append(_decoded(image, receiver, FEEDS[pair]))
            except BadBytes as error:
                wrong.append(error.why)
        if not updates:
            raise Garbled("pyth", "; ".join(wrong))
        best = max(updates, key=lambda update: update.published)
        published = Millis(best.published * 1000)
        return Reading(self.name, Origin.PYTH, best.micros, best.uncertainty, published)


def _decoded(image: AccountImage | None, receiver: Pubkey, feed: bytes) -> PriceUpdate:
    if image is None:
        raise BadBytes("pyth price", "the account does not exist")
    if image.owner != receiver:
        raise BadBytes("pyth price", f"its owner is {image.owner}")
    return decode_price_update(image.data, feed)
