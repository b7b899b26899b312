"""Lookup tables through real clients on the simulated chain: opened, used, found again, closed."""

import random
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, Rpc
from bmv.core.tables import served
from bmv.errors import Refused
from bmv.events import CloseTable, ExtendTable, OpenTable, RetireTable
from bmv.sandbox.account import Account
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.lookup_table_program import PROGRAM_ID
from bmv.services.tables import find_tables, shared_addresses
from bmv.units import Lamports, Slot
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM, decode_lookup_table, table_size
from tests.services.living_world import NOBODY, Living, living, settings_with, virtually


def tables_on(it: Living) -> dict[Pubkey, int]:
    """Return our lookup tables on the simulated chain and the lamports they hold."""
    ours = it.world.keypairs[0].pubkey()
    tables = {k: one for k, one in it.world.chain.bank.accounts.items() if one.owner == PROGRAM_ID}
    return {
        Pubkey(key): account.lamports
        for key, account in tables.items()
        if decode_lookup_table(bytes(account.data)).authority == ours
    }


def looked_up(it: Living) -> int:
    """Count the landed transactions that name accounts through a table."""
    return sum(bool(landed.tx.message_lookups) for landed in it.world.chain.ledger.since(0))


def equity(it: Living) -> Lamports:
    """Return what the engine believes it owns."""
    views = it.assembly.engine.state.views
    return it.assembly.engine.record.equity([views[wallet] for wallet in sorted(views)])


def test_the_engine_opens_a_table_uses_it_and_counts_its_rent_as_its_own() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(1_800)
            ((address, lamports),) = tables_on(it).items()
            account = it.world.chain.account(bytes(address))
            assert account is not None
            table = decode_lookup_table(bytes(account.data))
            assert table.authority == it.assembly.wallets[0].owner
            assert set(shared_addresses(it.assembly.market)) < set(table.addresses)
            assert lamports == 6_960 * (128 + table_size(12 + 2 * 3))
            assert served(it.assembly.engine.state) == {0, 1}
            assert looked_up(it) > 1
            record = it.assembly.engine.record
            assert record.ledger is not None
            assert record.equity_start is not None
            parts = sum(int(amount) for amount in record.ledger.totals().values())
            assert int(equity(it) - record.equity_start) == parts

    virtually(scenario)


def test_a_later_run_finds_the_table_without_any_database_and_opens_no_other() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(300)
            (address,) = tables_on(it)
            before = looked_up(it)
            again = await it.assembled_again()
            assert await again.run_engine(600)
            assert list(tables_on(it)) == [address]
            assert again.assembly.feed._reader.tables.keys == [address]
            assert looked_up(it) > before

    virtually(scenario)


def test_switched_off_the_engine_closes_its_tables_and_gets_the_rent_back() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(300)
            ((_, lamports),) = tables_on(it).items()
            again = await it.assembled_again(settings_with(grid_levels=24, lookup_tables="off"))
            assert await again.run_engine(900)
            assert tables_on(it) == {}
            assert lamports > 0
            assert again.assembly.engine.state.tables == ()
            record = again.assembly.engine.record
            assert record.ledger is not None
            assert record.equity_start is not None
            parts = sum(int(amount) for amount in record.ledger.totals().values())
            assert int(equity(again) - record.equity_start) == parts

    virtually(scenario)


def test_where_the_node_lists_no_program_accounts_everything_works_without_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise Refused("rpc", "excluded from account secondary indexes", -32010)

    async def scenario(clock: LoopClock) -> None:
        monkeypatch.setattr(Rpc, "program_accounts", refused)
        async with living(clock) as it:
            assert await it.run_engine(600)
            assert tables_on(it) == {}
            assert looked_up(it) == 0
            assert it.assembly.engine.state.tables is None
            assert it.assembly.engine.record.orders["placed"] > 10

    virtually(scenario)


def test_only_tables_that_begin_with_this_market_are_ours() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            assert await it.run_engine(120)
            (address,) = tables_on(it)
            rpc = Rpc(it.session, it.url, rng=random.Random(1))
            owner = it.assembly.wallets[0].owner
            assert await find_tables(rpc, owner, it.assembly.market) == [address]
            assert await find_tables(rpc, it.assembly.wallets[1].owner, it.assembly.market) == []
            account = it.world.chain.account(bytes(address))
            assert account is not None
            foreign = Account(account.lamports, account.data, account.owner)
            foreign.data[56:88] = bytes(32)
            it.world.chain.bank.put(bytes(address), foreign, it.world.chain.slot - 2)
            assert await find_tables(rpc, owner, it.assembly.market) == []

    virtually(scenario)


def test_a_table_is_used_from_the_slot_after_its_extension_and_not_once_it_is_retired() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            book = it.assembly.feed._reader.tables
            payer = it.assembly.wallets[0].owner
            steps = book.steps(OpenTable(1, Slot(5), (0, 1)))
            (key,) = book.keys
            assert [bytes(step.instruction.data)[0] for step in steps] == [0, 2]
            assert book.of_payer(payer) == ()
            image = opened_by_hand(it)
            table = decode_lookup_table(image.data)
            book.see([image], Slot(int(table.extended) - 1))
            assert book.of_payer(payer) == ()
            assert book.see([image], table.extended) == image.lamports
            (used,) = book.of_payer(payer)
            assert used.key == bytes(key)
            assert book.of_payer(it.assembly.market.market) == ()
            extend = book.steps(ExtendTable(2, str(key), (1,)))
            assert [bytes(step.instruction.data)[0] for step in extend] == [2]
            for action, tag in ((RetireTable(3, str(key)), 3), (CloseTable(4, str(key)), 4)):
                (step,) = book.steps(action)
                assert bytes(step.instruction.data) == bytes([tag, 0, 0, 0])
            book.see([None], table.extended)
            assert book.of_payer(payer) == ()
            assert book.news() == ()

    virtually(scenario)


def opened_by_hand(it: Living) -> AccountImage:
    """Return the image of a table that holds what the engine would put into it."""
    addresses = [*shared_addresses(it.assembly.market)]
    for wallet in it.assembly.wallets:
        addresses += [wallet.open_orders, wallet.base, wallet.quote]
    head = (1).to_bytes(4, "little") + b"\xff" * 8 + (77).to_bytes(8, "little") + b"\0"
    authority = b"\1" + bytes(it.assembly.wallets[0].owner) + bytes(2)
    data = head + authority + b"".join(map(bytes, addresses))
    return AccountImage(Lamports(6_960 * (128 + len(data))), LOOKUP_TABLE_PROGRAM, data)
