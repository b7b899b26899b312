"""The way to an empty book: from any state, whatever gets lost, never by placing anything."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.decide import decide
from bmv.core.halting import (
    AGAIN_AFTER,
    LATE_SLOTS,
    MAX_CANCELS,
    PLAIN_CANCELS,
    SETTLING_PATIENCE,
    STRANGERS_LIVE_S,
    URGENT_ROUNDS,
    halting,
)
from bmv.core.rent import unsettled
from bmv.core.state import InFlight, Phase, State
from bmv.events import (
    AnyAction,
    BundleResolved,
    Crank,
    Execute,
    Finish,
    HaltRequested,
    MarketSeen,
    Report,
    Settle,
    Tick,
)
from bmv.model import ForeignBook, Outcome, Placement, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks
from tests.core import world as worlds
from tests.core.belongings import later, order, quoting_state, wallet
from tests.core.belongings import settings as settings_of

BID = order(0, Side.BID, 90, 10)


def halted(*views: WalletView, wallets: int | None = None) -> State:
    state = quoting_state(views)
    state.wallet_count = wallets or len(views)
    state.phase, state.halt_reason = Phase.HALTING, "enough"
    return state


def fly(state: State, action: Execute | Settle | Crank, owner: int | None) -> None:
    state.in_flight[action.ticket] = InFlight(action.ticket, action, owner, state.now)


def reading(slot: int, *views: WalletView, clock: int = 0) -> MarketSeen:
    return MarketSeen(at=later(slot), slot=Slot(slot), book=ForeignBook(), wallets=views, clock=clock)


def step(state: State, **chosen: object) -> list[AnyAction]:
    return halting(state, settings_of(**chosen))


def cancels(actions: list[AnyAction]) -> list[tuple[int, list[int]]]:
    found = [action for action in actions if isinstance(action, Execute)]
    assert not any(action.places for action in found)
    return [(action.wallet, [int(cancel.price) for cancel in action.cancels]) for action in found]


def next_slot(state: State) -> None:
    state.slot += Slot(1)
    state.now += Millis(400)


def test_every_order_is_withdrawn_at_once_so_many_in_one_change() -> None:
    many = [order(1, Side.ASK, price, 1) for price in range(100, 140)]
    state = halted(wallet(0, orders=[BID]), wallet(1, orders=many))
    found = cancels(step(state))
    assert [(wallet, len(prices)) for wallet, prices in found] == [(0, 1), (1, MAX_CANCELS), (1, 8)]
    assert found[1][1] + found[2][1] == list(range(100, 140))


def test_in_every_slot_a_new_round_withdraws_what_still_stands_whatever_flies() -> None:
    state = halted(wallet(0, orders=[BID]), wallet(1, orders=[order(1, Side.ASK, 110, 3)]))
    for number in range(1, 4):
        actions = step(state)
        assert cancels(actions) == [(0, [90]), (1, [110])]
        for action in actions:
            assert isinstance(action, Execute)
            assert (action.round, action.plain) == (number, False)
            fly(state, action, action.wallet)
        assert step(state) == [], "once in a slot"
        next_slot(state)
    state.views[1] = wallet(1)
    assert cancels(step(state)) == [(0, [90])]


def test_after_a_hundred_rounds_there_is_one_every_few_slots() -> None:
    state, rounds = halted(wallet(0, orders=[BID])), []
    for slot in range(URGENT_ROUNDS + 20):
        if step(state):
            rounds.append(slot)
        next_slot(state)
    late = range(URGENT_ROUNDS - 1 + int(LATE_SLOTS), URGENT_ROUNDS + 20, int(LATE_SLOTS))
    assert rounds == [*range(URGENT_ROUNDS), *late]


def test_where_nobody_tells_of_slots_time_makes_the_rounds() -> None:
    state = halted(wallet(0, orders=[BID]))
    assert len(step(state)) == 1
    state.now += Millis(399)
    assert step(state) == []
    state.now += Millis(1)
    assert len(step(state)) == 1


def test_late_rounds_go_to_the_node_too_where_that_is_allowed() -> None:
    many = [order(0, Side.ASK, price, 1) for price in range(100, 120)]
    for allowed, expected in (("off", []), ("on", [8, 12])):
        state, plain = halted(wallet(0, orders=many)), []
        for _ in range(14):
            found = [a for a in step(state, KILL_PLAIN_RPC=allowed) if isinstance(a, Execute)]
            alone = [len(action.cancels) for action in found if action.plain]
            assert alone in ([], [PLAIN_CANCELS, 4])
            plain += [state.halt.round] if alone else []
            next_slot(state)
        assert plain == expected


def test_that_no_order_stands_any_more_is_told_once_with_the_slots_it_took() -> None:
    state = halted(wallet(0, orders=[BID]))
    state.halt.since = state.seen = Slot(100)
    fly(state, Execute(5, 0, (), (Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1),)), 0)
    step(state)
    state.views[0], state.seen = wallet(0), Slot(103)
    assert step(state) == [Report("HALT_CANCELLED", {"slots": 3})]
    assert step(state) == []


def test_a_placement_that_may_still_land_is_waited_for_and_then_one_more_reading() -> None:
    state = halted(wallet(0))
    state.slot = state.seen = Slot(100)
    state.halt.cancelled = True
    place = Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1)
    fly(state, Execute(5, 0, (), (place,)), 0)
    assert step(state) == []
    lost = BundleResolved(at=later(9), bundle_id="b", tickets=(5,), outcome=Outcome.EXPIRED)
    state, _ = decide(state, lost, Settings())
    state, approved = decide(state, Tick(at=later(10), slot=Slot(140)), Settings())
    assert approved.actions == (), "nobody has looked since"
    state, approved = decide(state, reading(141), Settings())
    assert approved.actions == (Finish(True, "enough"),)


def test_what_an_engine_before_may_have_placed_is_waited_for_by_the_chains_clock() -> None:
    state = quoting_state([wallet(0)])
    state.phase = Phase.STARTING
    asked = HaltRequested(at=later(1), reason="now", alone=True)
    state, _ = decide(state, asked, Settings())
    assert state.phase is Phase.HALTING
    told = []
    for second in range(0, 200, 10):
        state, approved = decide(state, reading(300 + second, clock=5_000 + second), Settings())
        told += [(second, action) for action in approved.actions if isinstance(action, Finish)]
    assert told == [(STRANGERS_LIVE_S, Finish(True, "now"))]


def test_after_a_hand_over_nothing_is_sent_and_what_stands_is_left() -> None:
    state = halted(wallet(0, orders=[BID]))
    fly(state, Execute(5, 0, (), (Placement(0, Side.BID, 1, Ticks(5), BaseLots(1), 1),)), 0)
    state.in_flight[5].landed = Slot(1)
    asked = HaltRequested(at=later(1), reason="the lease is another's", hand_over=True)
    state, approved = decide(state, asked, Settings())
    assert approved.actions == ()
    state, approved = decide(state, reading(300), Settings())
    assert [type(action) for action in approved.actions] == [Report, Finish]
    assert approved.actions[-1] == Finish(False, "enough")


def test_an_unknown_order_after_the_lease_ran_out_hands_the_market_over() -> None:
    for until, theirs in ((None, False), (later(500), False), (later(1), True)):
        state = quoting_state([wallet(0)])
        state.lease_until = until
        stranger = wallet(0, orders=[order(0, Side.BID, 50, 1)])
        absorb(state, reading(300, stranger), settings_of())
        assert state.halt.hand_over is theirs
        assert state.phase is (Phase.HALTING if theirs else Phase.QUOTING)


def test_what_is_pending_is_cranked_again_after_a_moment() -> None:
    state = halted(wallet(0))
    state.own_pending, state.halt.cancelled = 3, True
    (action,) = step(state)
    assert isinstance(action, Crank)
    fly(state, action, None)
    assert step(state) == []
    state.now += AGAIN_AFTER
    assert [type(again) for again in step(state)] == [Crank]


def test_then_what_is_free_is_settled_per_wallet() -> None:
    owing = quoting_state([wallet(0)]).views[0]
    state = halted(owing, msgspec.structs.replace(wallet(1), quote_free=Lamports(5)))
    state.halt.cancelled = True
    (action,) = step(state)
    assert action == Settle(1, 1)
    fly(state, action, 1)
    assert step(state) == []
    state.now += AGAIN_AFTER
    assert step(state) == [Settle(2, 1)]


def test_at_last_it_finishes_and_says_why() -> None:
    state = halted(wallet(0))
    state.halt.since = state.seen
    assert step(state) == [Report("HALT_CANCELLED", {"slots": 0}), Finish(True, "enough")]
    assert state.phase is Phase.DONE


def cranked_in_vain(state: State, seconds: int) -> list[AnyAction]:
    """Return what is asked for in so many seconds in which nothing lands, the last of it last."""
    asked: list[AnyAction] = []
    for _ in range(seconds):
        state.now += Millis(1_000)
        state.slot += Slot(2)
        actions = step(state)
        asked += actions
        for action in actions:
            if isinstance(action, Settle | Crank):
                fly(state, action, None if isinstance(action, Crank) else action.wallet)
    return asked


def test_where_nothing_is_settled_for_ten_minutes_it_ends_and_says_what_is_left_with_whom() -> None:
    owing = msgspec.structs.replace(wallet(1), quote_free=Lamports(5), base_free=BaseAtoms(7))
    state = halted(wallet(0), owing)
    state.halt.cancelled = True
    patience = int(SETTLING_PATIENCE) // 1_000
    asked = cranked_in_vain(state, patience)
    assert len(asked) > 100
    assert {type(action) for action in asked} == {Settle}
    told, finish = cranked_in_vain(state, 1)
    fields: dict[str, str | int] = {"wallet": 1, "orders": 0, "lamports": 5, "base_atoms": 7, "rent": 0}
    assert told == Report("HALT_REMAINS", fields)
    assert finish == Finish(False, "enough")


def test_as_long_as_what_is_left_becomes_less_it_goes_on() -> None:
    state = halted(wallet(0))
    state.halt.cancelled, state.own_pending = True, 3
    minute = 60
    for left in (3, 2, 1):
        state.own_pending = left
        asked = cranked_in_vain(state, 9 * minute)
        assert {type(action) for action in asked} == {Crank}


def test_orders_are_never_given_up() -> None:
    state = halted(wallet(0, orders=[BID]))
    asked = cranked_in_vain(state, 3 * 3_600)
    assert len(asked) > 3 * 3_600 // 3
    assert all(isinstance(action, Execute) for action in asked)


def test_it_does_not_call_empty_what_it_has_not_read() -> None:
    state = halted(wallet(0), wallets=2)
    assert step(state) == []
    assert state.phase is Phase.HALTING


@pytest.mark.parametrize("name", ["quote_free", "quote_locked", "base_free", "base_locked"])
def test_anything_in_the_orders_account_is_unsettled(name: str) -> None:
    assert unsettled(msgspec.structs.replace(wallet(0), **{name: 1}))
    assert not unsettled(wallet(0))


def test_after_the_end_nothing_is_done_any_more() -> None:
    state = halted(wallet(0))
    step(state)
    state, approved = decide(state, HaltRequested(at=later(1), reason="again"), Settings())
    assert approved.actions == ()


@given(st.integers(0, 10**6), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_from_any_state_the_halt_ends_with_nothing_left(seed: int, steps: int) -> None:
    world = worlds.lived(seed, steps)
    assert world.finish is not None
    assert world.finish.clean or world.frozen_at_end or world.silent


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
