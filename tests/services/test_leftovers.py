"""Rent back: what a crashed run left behind is found, emptied, closed, told, and booked to the lamport."""

from typing import Any

import pytest
from solders.pubkey import Pubkey

from bmv.app import reporting
from bmv.chain.rpc import Rpc
from bmv.core.ledger import Part
from bmv.errors import Refused
from bmv.events import CloseAccounts, Reclaim, Report
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.faucet import Faucet
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.services.outcomes import Sent
from tests.services.left_behind import (
    OPEN_ORDERS_RENT,
    TOKEN_RENT,
    check_recovered,
    leave_behind,
    run_and_search,
)
from tests.services.living_world import NOBODY, Living, living, reading, settings_with, virtually

GIFT = 1_234_567


def closed(it: Living) -> dict[str, list[bool]]:
    """Say of every wallet's accounts whether they are gone."""
    chain = it.world.chain
    kinds = {
        "open_orders": [wallet.open_orders for wallet in it.assembly.wallets],
        "base": [wallet.base for wallet in it.assembly.wallets],
        "quote": [wallet.quote for wallet in it.assembly.wallets],
    }
    return {kind: [chain.account(bytes(key)) is None for key in keys] for kind, keys in kinds.items()}


def test_what_a_crash_left_is_withdrawn_settled_closed_and_booked() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(60)
            left = await leave_behind(it)
            again = await it.assembled_again()
            assert await run_and_search(again, 600)
            check_recovered(again, left)
            assert closed(again) == {key: [False, False] for key in ("open_orders", "base", "quote")}
            assert again.assembly.feed._reader.leftovers.keys == []

    virtually(scenario)


def test_lamports_that_come_to_an_account_just_before_it_is_closed_are_told_and_booked_too() -> None:
    gifts = list[str]()

    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(60)
            left = await leave_behind(it)
            again = await it.assembled_again()
            stranger = Faucet(it.world.chain, seeded_keypair(it.world.options.seed, "faucet", 0))
            dispatcher = again.assembly.dispatcher
            sending = dispatcher._on_sending

            def giving(sent: Sent) -> None:
                sending(sent)
                flights = [again.assembly.engine.state.in_flight[ticket] for ticket in sent.tickets]
                closing = [one.action for one in flights if isinstance(one.action, Reclaim)]
                for account in (one for action in closing for one in action.accounts):
                    if account.address not in gifts:
                        gifts.append(account.address)
                        stranger.methods["requestAirdrop"]([account.address, GIFT])

            dispatcher._on_sending = giving
            assert await run_and_search(again, 600)
            assert sorted(gifts) == sorted(map(str, left))
            check_recovered(again, left, GIFT * len(left))

    virtually(scenario)


def test_where_the_node_does_not_say_what_a_closing_brought_what_was_last_seen_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise Refused("rpc", "transaction history is not available from this node", -32011)

    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(60)
            left = await leave_behind(it)
            again = await it.assembled_again()
            monkeypatch.setattr(Rpc, "signatures_for_address", refused)
            assert await run_and_search(again, 600)
            check_recovered(again, left)

    virtually(scenario)


def test_orders_in_a_left_over_account_are_none_of_others() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            assert await it.run_engine(60)
            quoting, *_ = await leave_behind(it)
            reader = (await it.assembled_again()).assembly.feed._reader
            for known in (False, True):
                if known:
                    reader.leftovers.watch({quoting: 0})
                seen = reader.read(clock.now(), reading(it.world, reader.keys, it.world.chain.slot))
                assert (seen.book.best_bid is None) is (seen.book.best_ask is None) is known
                assert (seen.book.firm_ask is None) is known
                assert (seen.book.bid_rivals == ()) is known
                # They take up room, whoever they belong to.
                assert (seen.book.bid_orders, seen.book.ask_orders) == (2, 2)
            (left,) = seen.leftovers or ()
            assert len(left.orders) == 4

    virtually(scenario)


def test_a_halt_leaves_no_order_of_a_crashed_run_on_the_book() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            assert await it.run_engine(60)
            quoting, *_ = await leave_behind(it)
            again = await it.assembled_again()
            again.assembly.feed._reader.leftovers.watch({quoting: 0})
            again.assembly.engine.halt("at once")
            assert await again.run_engine(120)
            held = it.world.chain.account(bytes(quoting))
            assert held is not None
            assert not any(
                order.owner == bytes(quoting)
                for side in again.assembly.feed._reader._orders.values()
                for order in side
            )

    virtually(scenario)


def test_where_wanted_a_halt_also_closes_the_accounts_that_traded() -> None:
    async def scenario(clock: LoopClock) -> None:
        wanted = settings_with(grid_levels=24, close_accounts_at_halt="on", lookup_tables="off")
        async with living(clock, settings=wanted) as it:
            assert await it.run_engine(600)
            assert closed(it) == {
                "open_orders": [True, True],
                "base": [False, False],
                "quote": [True, True],
            }
            record = it.assembly.engine.record
            assert int(record.rent_reclaimed) == 2 * (OPEN_ORDERS_RENT + TOKEN_RENT)
            assert record.ledger is not None
            assert int(record.ledger.totals()[Part.RENT]) == 0
            assert reporting.books(it.assembly)["identity_residual_lamports"] == 0

    virtually(scenario)


def test_of_the_accounts_that_traded_too_is_told_what_the_closing_brought_and_no_wrapped_sol() -> None:
    gifts, told = list[str](), dict[str, int]()

    async def scenario(clock: LoopClock) -> None:
        wanted = settings_with(grid_levels=24, close_accounts_at_halt="on", lookup_tables="off")
        async with living(clock, settings=wanted, crowd=NOBODY) as it:
            stranger = Faucet(it.world.chain, seeded_keypair(it.world.options.seed, "faucet", 0))
            engine, dispatcher = it.assembly.engine, it.assembly.dispatcher
            sending = dispatcher._on_sending

            def giving(sent: Sent) -> None:
                sending(sent)
                flights = [engine.state.in_flight[ticket] for ticket in sent.tickets]
                for action in (one.action for one in flights if isinstance(one.action, CloseAccounts)):
                    wallet = it.assembly.wallets[action.wallet]
                    for key in (wallet.open_orders, wallet.quote):
                        if str(key) not in gifts:
                            gifts.append(str(key))
                            stranger.methods["requestAirdrop"]([str(key), GIFT])

            def hear(_: object, report: Report) -> None:
                if report.name == "RENT_RECLAIM":
                    told[str(report.fields["account"])] = int(report.fields["lamports"])

            dispatcher._on_sending = giving
            engine.record.listeners.append(hear)
            assert await it.run_engine(60)
            assert len(gifts) == 4
            assert told == {
                str(key): rent + GIFT
                for wallet in it.assembly.wallets
                for key, rent in ((wallet.open_orders, OPEN_ORDERS_RENT), (wallet.quote, TOKEN_RENT))
            }

    virtually(scenario)


def test_where_the_node_lists_no_accounts_everything_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[object]()

    async def refused(*_: Any, **__: Any) -> None:
        asked.append(_)
        raise Refused("rpc", "excluded from account secondary indexes", -32010)

    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            monkeypatch.setattr(Rpc, "program_accounts", refused)
            assert await it.assembly.search.search() == {}
            assert len(asked) == 1, "a node that refuses one wallet refuses all"
            assert await run_and_search(it, 60)

    virtually(scenario)


def test_only_idle_accounts_that_nothing_uses_are_found() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            assert await it.run_engine(60)
            assert await it.assembly.search.search() == {}
            quoting, holding, empty = await leave_behind(it)
            assert await it.assembly.search.search() == {quoting: 0, holding: 1, empty: 0}
            book = it.assembly.feed._reader.leftovers
            assert not book.owns(bytes(quoting))
            book.watch({quoting: 0, Pubkey(bytes(32)): 1})
            assert book.owns(bytes(quoting))

    virtually(scenario)
