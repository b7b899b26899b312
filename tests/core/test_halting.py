"""The way to an empty book: from any state, whatever gets lost, never by placing anything."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.halting import MAX_CANCELS, halting, unsettled
from bmv.core.plan import cancel_of
from bmv.core.state import InFlight, Phase, State
from bmv.events import Crank, Execute, Finish, HaltRequested, Settle
from bmv.model import Placement, Side, WalletView
from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks
from tests.core import world as worlds
from tests.core.belongings import START, later, order, quoting_state, wallet

BID = order(0, Side.BID, 90, 10)


def halted(*views: WalletView, wallets: int | None = None) -> State:
    state = quoting_state(views)
    state.wallet_count = wallets or len(views)
    state.phase, state.halt_reason = Phase.HALTING, "enough"
    return state


def fly(state: State, action: Execute | Settle | Crank, owner: int | None) -> None:
    state.in_flight[action.ticket] = InFlight(action.ticket, action, owner, START)


def test_first_every_order_is_withdrawn_so_many_at_a_time() -> None:
    many = [order(1, Side.ASK, price, 1) for price in range(100, 140)]
    state = halted(wallet(0, orders=[BID]), wallet(1, orders=many))
    actions = halting(state)
    assert [len(a.cancels) for a in actions if isinstance(a, Execute)] == [1, MAX_CANCELS]
    assert not any(a.places for a in actions if isinstance(a, Execute))


def test_an_order_whose_cancel_flies_is_waited_for() -> None:
    state = halted(wallet(0, orders=[BID]))
    fly(state, Execute(5, 0, (cancel_of(BID),), ()), 0)
    assert halting(state) == []
    assert state.phase is Phase.HALTING


def test_a_placement_that_may_still_land_is_waited_for() -> None:
    state = halted(wallet(0))
    fly(state, Execute(5, 0, (), (Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1),)), 0)
    assert halting(state) == []


def test_then_what_is_pending_is_cranked_once_at_a_time() -> None:
    state = halted(wallet(0))
    state.own_pending = 3
    (action,) = halting(state)
    assert isinstance(action, Crank)
    fly(state, action, None)
    assert halting(state) == []


def test_then_what_is_free_is_settled_per_wallet() -> None:
    owing = quoting_state([wallet(0)]).views[0]
    state = halted(owing, msgspec.structs.replace(wallet(1), quote_free=Lamports(5)))
    (action,) = halting(state)
    assert action == Settle(1, 1)
    fly(state, action, 1)
    assert halting(state) == []


def test_at_last_it_finishes_and_says_why() -> None:
    state = halted(wallet(0))
    assert halting(state) == [Finish(True, "enough")]
    assert state.phase is Phase.DONE


def test_it_does_not_call_empty_what_it_has_not_read() -> None:
    state = halted(wallet(0), wallets=2)
    assert halting(state) == []
    assert state.phase is Phase.HALTING


@pytest.mark.parametrize("name", ["quote_free", "quote_locked", "base_free", "base_locked"])
def test_anything_in_the_orders_account_is_unsettled(name: str) -> None:
    assert unsettled(msgspec.structs.replace(wallet(0), **{name: 1}))
    assert not unsettled(wallet(0))


def test_after_the_end_nothing_is_done_any_more() -> None:
    state = halted(wallet(0))
    halting(state)
    state, approved = decide(state, HaltRequested(at=later(1), reason="again"), Settings())
    assert approved.actions == ()


@given(st.integers(0, 10**6), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_from_any_state_the_halt_ends_with_nothing_left(seed: int, steps: int) -> None:
    world = worlds.lived(seed, steps)
    assert world.finish is not None
    assert world.finish.clean or world.frozen_at_end


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_a_halt_ends_even_while_bundles_still_get_lost(seed: int) -> None:
    world = worlds.new_world(seed)
    for _ in range(30):
        world.step()
    world.mend()
    world.happen(HaltRequested(at=Millis(world.now), reason="enough"))
    world.rng = random.Random(seed)
    for _ in range(2_000):
        world.look()
        world.pass_time(10_000)
        if world.finish is not None:
            break
    assert world.finish is not None
    assert world.finish.clean or world.frozen_at_end
    assert not world.exchange.own()
    assert Slot(world.slot) > Slot(0)
