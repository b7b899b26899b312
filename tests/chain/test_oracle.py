"""Pyth over a node: of the two accounts of a feed the fresher sound one counts, wherever it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from bmv.chain.oracle import PythOnChain
from bmv.chain.rpc import AccountImage, AccountsAt
from bmv.chain.tickers import Pair
from bmv.core.feeds import Reading
from bmv.errors import Garbled
from bmv.units import Lamports, Millis, Slot
from bmv.venue.pyth import RECEIVER_OF, SOL_USD, price_account
from tests.venue.test_pyth import image

PUBLISHED_AT = 93
"""Where a fully verified account has its publish time."""


def account(receiver: Pubkey, price: int, published: int, level: bytes = b"\1") -> AccountImage:
    data = bytearray(image(price, level=level)[:134])
    data[PUBLISHED_AT : PUBLISHED_AT + 8] = published.to_bytes(8, "little")
    return AccountImage(Lamports(1), receiver, bytes(data))


CURRENT, UPGRADED = RECEIVER_OF.values()
OLD, NEW = account(CURRENT, 100_00000000, 1_000), account(UPGRADED, 101_00000000, 1_060)


class Node:
    """A node that has these two accounts, the current program's first."""

    def __init__(self, *images: AccountImage | None) -> None:
        self.images = images
        self.asked: list[Pubkey] = []

    async def accounts(self, keys: Sequence[Pubkey]) -> AccountsAt:
        self.asked += keys
        return AccountsAt(Slot(5), list(self.images), Slot(7))


def reading(*images: AccountImage | None) -> Reading:
    node = Node(*images)
    pyth = PythOnChain(node)  # type: ignore[arg-type]
    found = asyncio.run(pyth.read(Pair.SOL_USD, Millis(0)))
    assert node.asked == [price_account(push, SOL_USD) for push in RECEIVER_OF]
    assert pyth.slot == 7
    return found


@pytest.mark.parametrize(
    ("images", "dollars", "published"),
    [
        ((OLD, NEW), 101, 1_060),
        ((account(CURRENT, 102_00000000, 1_100), NEW), 102, 1_100),
        ((None, NEW), 101, 1_060),
        ((OLD, None), 100, 1_000),
        ((OLD, replace(NEW, owner=CURRENT)), 100, 1_000),
        ((OLD, account(UPGRADED, 101_00000000, 1_060, level=b"\0\5")), 100, 1_000),
        ((OLD, account(UPGRADED, 0, 1_060)), 100, 1_000),
    ],
)
def test_the_fresher_sound_account_counts(
    images: tuple[AccountImage | None, ...], dollars: int, published: int
) -> None:
    found = reading(*images)
    assert (found.micros, int(found.published)) == (dollars * 10**6, published * 1_000)


def test_where_neither_is_sound_it_says_what_is_wrong_with_both() -> None:
    with pytest.raises(Garbled, match="does not exist; its owner is"):
        reading(None, replace(NEW, owner=CURRENT))
