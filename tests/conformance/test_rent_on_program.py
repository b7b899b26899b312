"""Rent back on the compiled program: what the engine sends to empty and close accounts is what it takes."""

from bmv.sandbox.clock import LoopClock
from tests.conformance.conftest import StepCounter
from tests.conformance.real_bank import install
from tests.services.left_behind import check_recovered, leave_behind, run_and_search
from tests.services.living_world import living, settings_with, virtually


def test_left_over_accounts_and_at_the_halt_our_own_are_closed_on_the_real_program(
    compiled_program: bytes, counter: StepCounter
) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock) as it:
            bank = install(it.world, compiled_program)
            assert await it.run_engine(60)
            left = await leave_behind(it)
            again = await it.assembled_again()
            assert await run_and_search(again, 400)
            check_recovered(again, left)
            last = await it.assembled_again(settings_with(grid_levels=24, close_accounts_at_halt="on"))
            assert await last.run_engine(60)
            for wallet in last.assembly.wallets:
                assert it.world.chain.account(bytes(wallet.open_orders)) is None
                assert it.world.chain.account(bytes(wallet.quote)) is None
            ours = {str(wallet.owner) for wallet in it.assembly.wallets}
            runs = [run for run in bank.runs if run.payer in ours]
            assert bank.disagreements == []
            assert [run.err for run in runs if run.err is not None] == []
            assert all(run.units <= run.unit_limit for run in runs)
            counter.add(len(runs))

    virtually(scenario)
