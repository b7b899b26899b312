"""What wallets hold is moved to the last lamport, once, and never from under standing orders."""

import random
from dataclasses import replace

import msgspec
import pytest
from solders.keypair import Keypair

from bmv.chain.rpc import Rpc
from bmv.errors import UnsafeState
from bmv.sandbox.clock import LoopClock
from bmv.services.building import Step
from bmv.services.moving import NotMoved, gather_steps, read_holdings
from bmv.units import Lamports
from bmv.venue.system import transfer
from bmv.venue.token import WRAPPED_SOL
from tests.services.living_world import living, mover, virtually

RECEIVER = Keypair.from_seed(bytes([77] * 32))


def test_after_a_halt_a_wallet_is_gathered_to_the_last_lamport_and_its_rent_comes_back() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            rpc, market = Rpc(it.session, it.url, rng=random.Random(1)), it.assembly.market
            owner = it.world.keypairs[0].pubkey()
            mints = [market.base_mint, WRAPPED_SOL]
            assert await it.run_engine(300)
            (before,) = await read_holdings(rpc, [owner], market, mints)
            assert before.open_orders is not None
            free = before.open_orders.base_free
            async with mover(it, 10_000).running() as moving:
                await moving.move(gather_steps(before, RECEIVER.pubkey(), market))
                (gathered,) = await read_holdings(rpc, [owner], market, mints)
                assert (gathered.open_orders, set(gathered.tokens.values())) == (None, {None})
                wrapped = before.tokens[WRAPPED_SOL] or 0
                gained = int(gathered.lamports) - int(before.lamports) - wrapped
                assert gained > 23_000_000  # the rent of OpenOrders, less what the move cost
                left = Lamports(int(gathered.lamports - moving.cost))
                await moving.move([Step.of(owner, transfer(owner, RECEIVER.pubkey(), left), 1_000)])
            after, received = await read_holdings(rpc, [owner, RECEIVER.pubkey()], market, mints)
            assert after.is_empty
            assert received.lamports == left
            assert received.tokens[market.base_mint] == (before.tokens[market.base_mint] or 0) + free

    virtually(scenario)


def test_what_the_chain_refuses_is_told_and_not_tried_again() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            owner = it.world.keypairs[0].pubkey()
            too_much = transfer(owner, RECEIVER.pubkey(), Lamports(10**18))
            async with mover(it, 10_000).running() as moving:
                with pytest.raises(NotMoved):
                    await moving.move([Step.of(owner, too_much, 1_000)])

    virtually(scenario)


def test_a_wallet_whose_orders_stand_is_not_touched() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            rpc, market = Rpc(it.session, it.url, rng=random.Random(1)), it.assembly.market
            assert await it.run_engine(60)
            (found,) = await read_holdings(rpc, [it.world.keypairs[0].pubkey()], market, [WRAPPED_SOL])
            assert found.open_orders is not None
            in_market = msgspec.structs.replace(found.open_orders, base_total=7, quote_total=11)
            whole = replace(found, lamports=Lamports(2), tokens={WRAPPED_SOL: 3}, open_orders=in_market)
            assert whole.owned(WRAPPED_SOL, quoted=True) == 2 + 3 + 11
            token = replace(whole, tokens={market.base_mint: 5})
            assert token.owned(market.base_mint, quoted=False) == 5 + 7
            for change in ({"base_total": 5, "base_free": 0}, {"free_slot_bits": 1}):
                quoting = replace(found, open_orders=msgspec.structs.replace(found.open_orders, **change))
                with pytest.raises(UnsafeState, match="halt first"):
                    gather_steps(quoting, RECEIVER.pubkey(), market)

    virtually(scenario)
