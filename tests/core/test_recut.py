"""Cutting a ladder into contiguous segments that their wallets can pay for."""

from collections.abc import Sequence
from itertools import groupby

import pytest

from bmv.core.allocation import cost
from bmv.core.recut import Burden, burdens, cut, rooms_of
from bmv.model import Level, Side, WalletView
from bmv.units import BaseLots, Ticks
from tests.core.belongings import SOL, market, order, settings, wallet

SPEC = market()
MIDDLE = 10_000


def levels(side: Side, sizes: Sequence[int]) -> list[Level]:
    away = -10 if side is Side.BID else 10
    return [Level(side, n, Ticks(MIDDLE + away * (n + 1)), BaseLots(size)) for n, size in enumerate(sizes)]


def asked(wanted: Sequence[Level], views: Sequence[WalletView], **keys: object) -> list[Burden]:
    return burdens(wanted, views, SPEC, settings(**keys), ())


def test_what_an_order_locks_beyond_its_level_counts_with_its_own_wallet_alone() -> None:
    wanted = levels(Side.ASK, [1_000, 1_000, 1_000])
    stand = [order(0, Side.ASK, 10_010, 1_200), order(0, Side.ASK, 10_020, 1_300)]
    near, far, free = asked(wanted, [wallet(0, orders=stand), wallet(1)])
    assert (near.need_in(0), near.need_in(1)) == (1_200, 1_000)
    # 1,300 is beyond the tolerance: that order leaves.
    assert far.need_in(0) == free.need_in(0) == 1_000


def test_a_level_asks_for_no_more_than_the_largest_order_of_any_wallet_and_only_that_one_can_pay_it() -> None:
    views = [wallet(0, lots=4_000), wallet(1, lots=2_000)]
    (burden,) = asked(levels(Side.ASK, [1_500]), views)
    assert (int(burden.size), burden.need) == (1_000, 1_000)
    rooms = rooms_of(views, SPEC, settings())
    assert rooms[0].pays(burden)
    assert not rooms[1].pays(burden)
    assert cut([burden], [rooms[1]]) is None


def test_part_of_a_level_needs_its_part_of_the_money() -> None:
    (burden,) = asked(levels(Side.BID, [300]), [wallet(0)])
    part = burden.of(BaseLots(100))
    assert (part.need * 3, part.worth * 3, int(part.size)) == (burden.need, burden.worth, 100)
    assert burden.of(BaseLots(301)) == burden


def test_the_exposure_limit_bounds_what_a_wallet_serves_of_either_side() -> None:
    views = [wallet(0, sol=1_000 * SOL, lots=10**6)]
    for side in Side:
        wanted = asked(levels(side, [1_000] * 4), views, MAX_WALLET_EXPOSURE_SOL=26)
        rooms = rooms_of(views, SPEC, settings(MAX_WALLET_EXPOSURE_SOL=26))
        # 26 less the size tolerance of 25 % are 20.8: two orders of about ten.
        assert rooms[0].reach(wanted, 0) == 2


@pytest.mark.parametrize("wallets", [3, 40])
def test_a_cut_serves_every_level_within_the_seats_and_money_of_each_wallet(wallets: int) -> None:
    bids, seats = 16 * wallets, 32
    sizes = [int(100 * 8 ** (n / bids)) for n in range(bids)]
    wanted = levels(Side.BID, sizes) + levels(Side.ASK, [100] * (14 * wallets))
    sol = sum(cost(each.side, each.price, each.size, SPEC) for each in wanted if each.side is Side.BID)
    views = [wallet(n, sol=sol * 5 // 4 // wallets, lots=100 * 20) for n in range(wallets)]
    keys = {"ORDERS_PER_WALLET": seats, "MAX_ORDER_PCT_OF_WALLET": 100}
    homes = cut(asked(wanted, views, **keys), list(rooms_of(views, SPEC, settings(**keys)).values()))
    assert homes is not None
    assert set(homes) == {(each.side, each.price) for each in wanted}
    for view in views:
        mine = [each for each in wanted if homes[each.side, each.price] == view.wallet]
        assert len(mine) <= seats
        spent = {
            side: sum(cost(side, e.price, e.size, SPEC) for e in mine if e.side is side) for side in Side
        }
        assert spent[Side.BID] <= int(view.quote_total)
        assert spent[Side.ASK] <= 2_000
    for side in Side:
        runs = [
            home for home, _ in groupby(homes[each.side, each.price] for each in wanted if each.side is side)
        ]
        assert runs == sorted(set(runs))
