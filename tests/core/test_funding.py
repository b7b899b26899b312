"""Transfers are proposed where seats and money lie in different wallets, and only there."""

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.allocation import assign, cost, spendable
from bmv.core.funding import proposals
from bmv.model import Level, Side, WalletView
from bmv.units import BaseLots, Ticks
from tests.core.belongings import SOL, market, settings, wallet

SPEC = market()
MIDDLE = 10_000
FOUR_SEATS = settings(ORDERS_PER_WALLET=4)


def ladder(bids: int, asks: int, size: int = 50_000) -> list[Level]:
    down = [Level(Side.BID, n, Ticks(MIDDLE - 10 * (n + 1)), BaseLots(size)) for n in range(bids)]
    up = [Level(Side.ASK, n, Ticks(MIDDLE + 10 * (n + 1)), BaseLots(size)) for n in range(asks)]
    return down + up


def moved(views: list[WalletView], asset: str, source: int, target: int, amount: int) -> list[WalletView]:
    """Return the wallets after a transfer."""
    sol, lots = ([spendable(view, side, SPEC) for view in views] for side in Side)
    held = sol if asset == "SOL" else lots
    held[source] -= amount
    held[target] += amount
    return [wallet(n, sol=sol[n], lots=lots[n]) for n in range(len(views))]


def test_a_rich_wallet_without_seats_is_asked_to_fund_a_poor_one_with_seats() -> None:
    views = [wallet(0, sol=6_000 * SOL, lots=0), wallet(1, sol=0, lots=0)]
    levels = ladder(8, 0)
    quotes, waiting = assign(levels, views, SPEC, FOUR_SEATS)
    assert {quote.wallet for quote in quotes} == {0}
    (transfer,) = proposals(quotes, waiting, views, SPEC, FOUR_SEATS)
    assert (transfer.source, transfer.target, transfer.asset) == (0, 1, "SOL")
    assert transfer.amount == sum(cost(Side.BID, level.price, level.size, SPEC) for level in levels[4:])
    funded = moved(views, transfer.asset, transfer.source, transfer.target, transfer.amount)
    again, still = assign(levels, funded, SPEC, FOUR_SEATS)
    assert {quote.wallet for quote in again} == {0, 1}
    assert sum(each.amount for each in still) < sum(each.amount for each in waiting)


def test_tokens_are_proposed_in_lots_and_to_the_wallet_with_most_seats() -> None:
    views = [wallet(0, sol=0, lots=10**6), wallet(1, sol=300 * SOL, lots=0), wallet(2, sol=0, lots=0)]
    levels = ladder(2, 8, size=1_000)
    quotes, waiting = assign(levels, views, SPEC, FOUR_SEATS)
    found = proposals(quotes, waiting, views, SPEC, FOUR_SEATS)
    assert [(each.source, each.target, each.asset, each.amount) for each in found] == [(0, 2, "TOKEN", 4_000)]
    assert "wallet 2 has 4 seats" in found[0].reason


def test_nothing_is_proposed_where_seats_are_short_or_the_money_is() -> None:
    seats_short = [wallet(0, sol=10_000 * SOL), wallet(1, sol=10_000 * SOL)]
    quotes, waiting = assign(ladder(12, 0), seats_short, SPEC, FOUR_SEATS)
    assert waiting
    assert not proposals(quotes, waiting, seats_short, SPEC, FOUR_SEATS)
    money_short = [wallet(0, sol=500 * SOL), wallet(1, sol=500 * SOL)]
    quotes, waiting = assign(ladder(8, 0), money_short, SPEC, FOUR_SEATS)
    assert waiting
    assert not proposals(quotes, waiting, money_short, SPEC, FOUR_SEATS)


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 10**6)), min_size=1, max_size=6),
    st.integers(0, 16),
    st.integers(0, 16),
)
def test_what_is_proposed_is_idle_where_it_lies_and_no_more_than_what_is_lacking(
    funds: list[tuple[int, int]], bids: int, asks: int
) -> None:
    views = [wallet(n, sol=sol * SOL, lots=lots) for n, (sol, lots) in enumerate(funds)]
    quotes, waiting = assign(ladder(bids, asks), views, SPEC, FOUR_SEATS)
    for side, asset in ((Side.BID, "SOL"), (Side.ASK, "TOKEN")):
        mine = [each for each in proposals(quotes, waiting, views, SPEC, FOUR_SEATS) if each.asset == asset]
        assert sum(each.amount for each in mine) <= sum(each.amount for each in waiting if each.side is side)
        assert len({each.source for each in mine}) == len(mine)
        for each in mine:
            spent = sum(
                cost(side, q.price, q.size, SPEC) for q in quotes if (q.wallet, q.side) == (each.source, side)
            )
            assert 0 < each.amount <= spendable(views[each.source], side, SPEC) - spent
            assert sum(quote.wallet == each.source for quote in quotes) == 4
            assert sum(quote.wallet == each.target for quote in quotes) < 4
