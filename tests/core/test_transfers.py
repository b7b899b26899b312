"""What moved beside the engine is told apart from what it did, from fills, and from what nobody knows."""

import msgspec
import pytest

from bmv.core.absorb import absorb
from bmv.core.state import InFlight, State
from bmv.events import Action, Crank, Execute, Fund, MarketSeen, Report, TreasurySeen
from bmv.model import ForeignBook, Leftover, Share, Side, WalletView
from bmv.units import Lamports, MicroUsd, Slot
from tests.core.belongings import BASE_LOT, START, order, quoting_state, settings, wallet

SETTINGS = settings()


def told(state: State, event: MarketSeen | TreasurySeen) -> list[tuple[str, dict[str, str | int]]]:
    reports = [report for report in absorb(state, event, SETTINGS) if isinstance(report, Report)]
    return [(one.name, one.fields) for one in reports if one.name in ("DEPOSIT", "WITHDRAWAL")]


def seen(*views: WalletView, slot: int = 101, reclaimed: tuple[Leftover, ...] = ()) -> MarketSeen:
    return MarketSeen(at=START, slot=Slot(slot), book=ForeignBook(), wallets=views, reclaimed=reclaimed)


def changed(view: WalletView, **changes: int) -> WalletView:
    """Return a wallet with so much more of each."""
    return msgspec.structs.replace(
        view, **{key: type(getattr(view, key))(int(getattr(view, key)) + by) for key, by in changes.items()}
    )


def held(sol: int, usdc: int, kept: int = 9) -> TreasurySeen:
    return TreasurySeen(at=START, sol=Lamports(sol), usdc=MicroUsd(usdc), kept=Lamports(kept), acts=True)


def flying(state: State, action: Action, index: int | None) -> State:
    state.in_flight[7] = InFlight(7, action, index, START)
    return state


@pytest.mark.parametrize("key", ["gas", "quote_held", "rent"])
def test_plain_sol_that_came_or_went_is_told_whatever_form_it_has(key: str) -> None:
    before = wallet(0, orders=[order(0, Side.BID, 90, 10)])
    assert told(quoting_state([before]), seen(changed(before, **{key: 500}))) == [
        ("DEPOSIT", {"account": "0", "lamports": 500})
    ]
    assert told(quoting_state([before]), seen(changed(before, **{key: -500}))) == [
        ("WITHDRAWAL", {"account": "0", "lamports": -500})
    ]


def test_sol_that_is_wrapped_by_hand_stays() -> None:
    before = wallet(0)
    assert told(quoting_state([before]), seen(changed(before, gas=-500, quote_held=500))) == []


def test_tokens_count_by_the_whole_lots_the_wallet_has_more() -> None:
    before = changed(wallet(0), base_free=BASE_LOT - 1)
    assert told(quoting_state([before]), seen(changed(before, base_held=BASE_LOT + 1))) == [
        ("DEPOSIT", {"account": "0", "base_atoms": BASE_LOT + 1, "size": 2})
    ]
    assert told(quoting_state([before]), seen(changed(before, base_held=-1))) == [
        ("WITHDRAWAL", {"account": "0", "base_atoms": -1})
    ]


def test_what_touches_orders_too_or_may_be_our_own_is_not_called_a_transfer() -> None:
    live = order(0, Side.BID, 90, 10)
    before = wallet(0, orders=[live])
    more = changed(before, gas=500)
    assert told(quoting_state([before]), seen(changed(more, quote_locked=-90))) == []
    assert told(quoting_state([before]), seen(msgspec.structs.replace(more, orders=()))) == []
    for action, index in (
        (Execute(7, 0, (), ()), 0),
        (Crank(7), None),
        (Fund(7, (Share(0, Lamports(5)),)), None),
    ):
        assert told(flying(quoting_state([before]), action, index), seen(more)) == []
    gone = Leftover("account", 0, Lamports(500))
    assert told(quoting_state([before]), seen(more, reclaimed=(gone,))) == []


def test_what_another_wallet_does_is_no_reason_to_doubt() -> None:
    views = wallet(0), wallet(1)
    state = flying(quoting_state(views), Execute(7, 1, (), ()), 1)
    (one,) = told(state, seen(changed(views[0], gas=5), changed(views[1], gas=5)))
    assert one == ("DEPOSIT", {"account": "0", "lamports": 5})


def test_the_treasury_s_first_sight_is_its_own_and_later_ones_are_compared() -> None:
    state = quoting_state([wallet(0)])
    assert told(state, held(100, 50)) == []
    assert told(state, held(90, 50, kept=19)) == []
    assert told(state, held(290, 50, kept=19)) == [("DEPOSIT", {"account": "treasury", "lamports": 200})]
    assert told(state, held(290, 20, kept=20)) == [
        ("WITHDRAWAL", {"account": "treasury", "lamports": 1, "usdc": -30})
    ]
    flying(state, Fund(7, (Share(0, Lamports(5)),)), None)
    assert told(state, held(285, 20, kept=20)) == []
    flying(state, Execute(7, 0, (), ()), 0)
    assert told(state, held(280, 20, kept=20)) == [("WITHDRAWAL", {"account": "treasury", "lamports": -5})]
