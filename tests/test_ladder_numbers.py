"""The worked numbers of lattice, ladder, allocation, penny and baseline in docs/strategy.md, recomputed."""

from decimal import Decimal

from bmv.config import Settings, load
from bmv.core.allocation import assign
from bmv.core.channel import Channel
from bmv.core.cost import estimate
from bmv.core.decay import FINE
from bmv.core.ladder import buy_budget, exposure_cap, pace_step, shares, stepped_density
from bmv.core.lattice import Lattice
from bmv.core.penny import front
from bmv.core.plan import Plan, WalletPlan
from bmv.core.price import PriceReading
from bmv.model import TOUCH, Cancel, ForeignBook, Level, Placement, Rival, Side
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Bps, Lamports, Ticks
from tests.core.belongings import market, quoting_state, wallet
from tests.test_strategy_numbers import TEXT, rows

SETTINGS = Settings()
ANCHOR = 10**6 * FINE


def lamports(sol: str) -> Lamports:
    return Lamports(int(Decimal(sol) * LAMPORTS_PER_SOL))


def test_the_lattice_table_is_what_zones_use() -> None:
    widths = {Side.BID: SETTINGS.buy_channel_width, Side.ASK: SETTINGS.sell_channel_width}
    found = rows("| GRID_LEVELS | side |")
    assert len(found) > 5
    for levels, name, zone, share, used in found:
        side, borders = Side[name], [int(ANCHOR * Decimal(border)) for border in zone.split(" to ")]
        mine = shares(int(levels), SETTINGS.buy_density, SETTINGS)[side]
        lattice = Lattice.anchored(side, ANCHOR, widths[side], 2 * mine, SETTINGS.anchor_band)
        assert mine == int(share)
        assert len(lattice.fitted(lattice.points_in(*borders), mine)) == int(used)


def test_the_table_of_what_the_pace_allows_is_the_pace() -> None:
    for sol, paid, budget in rows("| S | X |"):
        step = pace_step(lamports(sol), lamports(paid), SETTINGS)
        found = buy_budget(lamports(sol), lamports(sol), step)
        assert found == lamports(budget)


def test_the_cap_cuts_the_budget_below_the_pace_as_the_paper_says() -> None:
    assert "nothing bought yet\n  at 80 % of the SOL, 800 in the first row:" in TEXT
    sol = lamports(rows("| S | X |")[0][0])
    cap = exposure_cap(Lamports(0), sol, Lamports(0), SETTINGS.max_base_share)
    assert buy_budget(sol, cap, pace_step(sol, Lamports(0), SETTINGS)) == lamports("800")


def test_the_density_steps_are_where_the_paper_says() -> None:
    two, four = Bps(20_000), Bps(40_000)
    assert "= 3.111, down" in TEXT
    assert "= 2.571 (a test" in TEXT
    assert (stepped_density(Bps(31_110), two, two), stepped_density(Bps(31_120), two, two)) == (two, four)
    assert (stepped_density(Bps(25_720), two, four), stepped_density(Bps(25_710), two, four)) == (four, two)


def test_the_table_of_the_cap_is_the_cap() -> None:
    for bought, sol, usdc, most in rows("| bought at P |"):
        cap = exposure_cap(lamports(bought), lamports(sol), lamports(usdc), SETTINGS.max_base_share)
        assert max(Lamports(0), cap) == lamports(most)


def test_the_wallet_of_400_tokens_gets_what_the_paper_says() -> None:
    assert "levels of 150, 60, 60, 60 and 50\n  gets 100, 100, 70, 60 and 50" in TEXT
    levels = [
        Level(Side.ASK, n, Ticks(10_010 + 10 * n), BaseLots(size))
        for n, size in enumerate((150, 60, 60, 60, 50))
    ]
    quotes, waiting = assign(levels, [wallet(0, lots=400)], market(), SETTINGS)
    assert ([int(quote.size) for quote in quotes], waiting) == ([100, 100, 70, 60, 50], ())


def test_replacing_eight_bids_costs_what_the_paper_says() -> None:
    assert "bundle; with a tip of 10,000 lamports that costs 15,000." in TEXT
    change = WalletPlan(0)
    change.cancels = [Cancel(0, Side.BID, Ticks(n), n << 64, n) for n in range(1, 9)]
    change.places = [Placement(0, Side.BID, 1, Ticks(n), BaseLots(n), n) for n in range(1, 9)]
    found = estimate(Plan(0, [change]), Lamports(10_000))
    assert (found.transactions, found.bundles, found.cost) == (1, 1, Lamports(15_000))


def test_the_rivals_of_the_paper_move_our_bid_as_it_says() -> None:
    for at, lots, goes_to in rows("| rival at |"):
        rival = Rival(Ticks(int(at)), BaseLots(int(lots)))
        state = quoting_state([wallet(0)], book=ForeignBook(bid_rivals=(rival,)))
        price = 100_000 * FINE
        state.market.reading = PriceReading(price, "trades", True, price)
        state.market.channel = Channel(85_000 * FINE, price, price, 130_000 * FINE, price)
        first = Level(Side.BID, TOUCH, Ticks(99_500), BaseLots(100))
        assert int(front(state, load(environ={}), first) or first.price) == int(goes_to)
