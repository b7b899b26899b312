"""The market before anybody acts: it decodes, it adds up, it has enough ticks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.errors import BadInput
from bmv.sandbox import ata_program, spl_token
from bmv.sandbox.market_genesis import (
    OPENBOOK,
    Genesis,
    Holder,
    Lots,
    engine_holders,
    engine_keypairs,
    found_market,
    lots_for,
)
from bmv.venue.openbook_v1.addresses import open_orders_address
from bmv.venue.openbook_v1.codec import (
    decode_book_side,
    decode_event_queue,
    decode_market,
    decode_open_orders,
)

PRICE = Decimal("0.01")


def founded(seed: int = 1, holders: list[Holder] | None = None) -> Genesis:
    return found_market(seed=seed, lots=lots_for(PRICE, 9), holders=holders or [])


def test_the_market_decodes_and_names_accounts_that_exist() -> None:
    genesis = founded()
    market = decode_market(bytes(genesis.accounts[genesis.market].data))
    assert (market.base_lot_size, market.quote_lot_size) == (10**9, 1000)
    assert str(market.own_address) == genesis.spec.address
    assert str(market.base_mint) == genesis.spec.base_mint
    sides = [decode_book_side(bytes(genesis.accounts[bytes(key)].data)) for key in (market.bids, market.asks)]
    assert [(len(side), side.capacity) for side in sides] == [(0, 455), (0, 455)]
    queue = decode_event_queue(bytes(genesis.accounts[bytes(market.event_queue)].data))
    assert (queue.count, queue.capacity) == (0, genesis.spec.event_capacity)
    signer = Pubkey.create_program_address(
        [genesis.market, market.vault_signer_nonce.to_bytes(8, "little")], Pubkey(OPENBOOK)
    )
    for vault in (market.base_vault, market.quote_vault):
        assert spl_token.Holding.read(genesis.accounts[bytes(vault)]).owner == bytes(signer)


def test_every_token_of_the_supply_is_somewhere() -> None:
    keypairs = engine_keypairs(7, 3)
    wallets = [keypair.pubkey() for keypair in keypairs]
    holders = engine_holders(wallets, price=PRICE, decimals=9, sol=Decimal(50), tokens_worth=Decimal(40))
    genesis = founded(7, holders)
    mint = bytes(Pubkey.from_string(genesis.spec.base_mint))
    held = {
        key: spl_token.Holding.read(account).amount
        for key, account in genesis.accounts.items()
        if account.owner == spl_token.PROGRAM_ID and len(account.data) == 165 and account.data[:32] == mint
    }
    assert sum(held.values()) == genesis.supply_atoms == 10**18
    assert spl_token.Mint.read(genesis.accounts[mint]).supply == genesis.supply_atoms
    assert held[genesis.locked_accounts[0]] == 3 * 10**17
    for keypair in keypairs:
        wallet = bytes(keypair.pubkey())
        assert genesis.accounts[wallet].lamports == 50 * 10**9
        assert held[ata_program.address(wallet, mint)] == 4000 * 10**9


def test_lamports_are_counted_and_wrapped_ones_are_backed() -> None:
    wallet = bytes(range(32))
    genesis = founded(2, [Holder(wallet, 10**9, wrapped=5 * 10**9, atoms=3, trades=True)])
    assert genesis.lamports == sum(account.lamports for account in genesis.accounts.values())
    wrapped = genesis.accounts[ata_program.address(wallet, spl_token.NATIVE_MINT)]
    holding = spl_token.Holding.read(wrapped)
    assert holding.amount == wrapped.lamports - holding.reserve == 5 * 10**9
    account = genesis.accounts[bytes(open_orders_address(Pubkey(wallet), Pubkey(genesis.market)))]
    open_orders = decode_open_orders(bytes(account.data))
    assert bytes(open_orders.owner) == wallet
    assert (account.owner, open_orders.free_slots, open_orders.is_closable) == (OPENBOOK, 128, True)


def test_equal_seeds_give_equal_markets_and_others_do_not() -> None:
    one, same, other = founded(1), founded(1), founded(2)
    assert list(one.accounts) == list(same.accounts)
    assert all(one.accounts[key].data == same.accounts[key].data for key in one.accounts)
    assert one.market != other.market
    assert engine_keypairs(1, 2) == engine_keypairs(1, 3)[:2]
    assert engine_keypairs(1, 1) != engine_keypairs(2, 1)


def test_holders_of_more_than_there_is_are_refused() -> None:
    with pytest.raises(BadInput, match="supply"):
        founded(1, [Holder(bytes(32), 0, atoms=8 * 10**17)])


@given(st.integers(3, 12), st.decimals("0.0000001", "1000", places=9), st.decimals("0.01", "1", places=4))
def test_lots_leave_enough_ticks_and_fine_sizes(decimals: int, price: Decimal, fall: Decimal) -> None:
    try:
        lots = lots_for(price, decimals, price * fall)
    except BadInput:
        assert decimals < 9 or fall < Decimal("0.0025")
        return
    lot_tokens = Decimal(lots.base) / 10**decimals
    assert lot_tokens * price <= Decimal("0.02")
    tick = Decimal(lots.quote) / 10**9 / lot_tokens
    assert tick <= Decimal("0.000001") or lots.quote == 1
    assert price * fall / tick >= 5000


def test_the_usual_token_gets_the_usual_lots() -> None:
    assert lots_for(PRICE, 9) == Lots(10**9, 1000)
