"""What an engine is refused for when it is put together, and what it is given."""

from fractions import Fraction

import pytest

from bmv.app.world import World
from bmv.core.state import Supply
from bmv.core.target import target_control, wanted_density
from bmv.errors import BadInput
from bmv.sandbox.clock import LoopClock
from bmv.units import BaseAtoms
from bmv.venue.openbook_v1.codec import decode_open_orders
from bmv.venue.token import decode_token_account
from tests.app.recorded_run import run
from tests.services.living_world import NOBODY, living, settings_with, virtually


@pytest.mark.parametrize("which", ["a wallet", "nothing", "another token", "the market"])
def test_a_locked_account_that_is_no_account_of_the_token_is_refused(which: str) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            wallet = it.assembly.wallets[0]
            wrong = {
                "a wallet": wallet.owner,
                "nothing": wallet.open_orders,
                "another token": it.assembly.market.quote_vault,
                "the market": it.assembly.market.market,
            }[which]
        chosen = settings_with(locked_accounts=(*it.world.locked_accounts, str(wrong)))
        with pytest.raises(BadInput, match=f"LOCKED_ACCOUNTS.*{wrong}"):
            async with living(clock, settings=chosen, crowd=NOBODY):
                pass

    virtually(scenario)


def test_in_the_demos_world_target_control_sees_supply_locks_and_stock() -> None:
    found = run(60, levels=24)
    assert found.world is not None
    state, chosen, genesis = found.engine.engine.state, found.engine.engine.settings, found.world.genesis
    locked = sum(amount(found.world, account) for account in genesis.locked_accounts)
    owned = 0
    for wallet in found.engine.wallets:
        account = found.world.chain.account(bytes(wallet.open_orders))
        assert account is not None
        owned += amount(found.world, bytes(wallet.base)) + decode_open_orders(bytes(account.data)).base_total
    assert state.supply == Supply(BaseAtoms(genesis.supply_atoms), BaseAtoms(locked))
    third_hands = Fraction(genesis.supply_atoms - locked - owned, genesis.supply_atoms)
    assert 0 < third_hands < Fraction(7, 10)
    assert target_control(state, chosen) == third_hands
    assert int(wanted_density(state, chosen)) == 20_000 * (1 + third_hands) // 1


def amount(world: World, key: bytes) -> int:
    """Return what a token account of the simulated chain holds."""
    account = world.chain.account(key)
    assert account is not None
    return decode_token_account(bytes(account.data)).amount
