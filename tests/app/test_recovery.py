"""What a start takes from the journal: all of it on the same chain, even where its node lags; or nothing."""

import random
from pathlib import Path

import pytest

from bmv.app.recovery import BLOCKHASH_LIFE, recovered
from bmv.chain.rpc import Rpc
from bmv.observe.journal import Journal
from bmv.observe.segments import segments
from bmv.sandbox.clock import LoopClock
from tests.services.living_world import NOBODY, living, virtually
from tests.services.test_recollection import OWNERS, asked, remembered, resolved, run, seen, sending


@pytest.mark.parametrize(("ahead", "same"), [(-100, True), (20, True), (10_000, False)])
def test_a_node_that_lags_is_waited_for_before_its_chain_counts_as_another(
    tmp_path: Path, ahead: int, same: bool
) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            last = it.world.chain.slot + ahead
            run(tmp_path, (seen(last, 1), asked(1), sending("in doubt", 1)))
            rpc = Rpc(it.session, it.url, rng=random.Random(1))
            found = await recovered(tmp_path, rpc, "market", OWNERS, clock)
            assert (found is not None) is same
            if found is not None:
                assert [sent.bundle_id for sent in found.sent()] == ["in doubt"]

    virtually(scenario)


def test_a_torn_tail_costs_its_record_and_damage_before_it_all_of_the_journal(tmp_path: Path) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            run(
                tmp_path,
                (seen(it.world.chain.slot, 1), asked(1), sending("in doubt", 1), resolved("in doubt")),
            )
            (segment,) = segments(tmp_path)
            whole = segment.read_bytes()
            rpc = Rpc(it.session, it.url, rng=random.Random(1))
            segment.write_bytes(whole[:-20])
            found = await recovered(tmp_path, rpc, "market", OWNERS, clock)
            assert found is not None
            assert ([sent.bundle_id for sent in found.sent()], found.missing) == (["in doubt"], "")
            place = whole.index(b"in doubt")
            segment.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
            before = (await rpc.block_height()).height
            found = await recovered(tmp_path, rpc, "market", OWNERS, clock)
            assert found is not None
            assert f"{segment}" in found.missing
            assert "later ones are not" in found.missing
            assert (found.sent(), found.pages, found.hours) == ([], [], {})
            # What it does not know of cannot land any more.
            after = await rpc.block_height()
            assert after.height > before + BLOCKHASH_LIFE
            assert found.newest == after.slot, "a reading before that would not show what landed until then"

    virtually(scenario)


@pytest.mark.parametrize("ahead", [-100, 10_000])
@pytest.mark.parametrize("same", [True, False])
def test_where_the_genesis_is_known_it_alone_says_whose_chain_it_is(
    tmp_path: Path, ahead: int, same: bool
) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            genesis = it.world.chain.genesis_hash
            last = it.world.chain.slot + ahead
            run(tmp_path, (seen(last, 1),), chain=genesis if same else genesis[::-1])
            rpc = Rpc(it.session, it.url, rng=random.Random(1))
            began = clock.now()
            found = await recovered(tmp_path, rpc, "market", OWNERS, clock)
            assert (found is not None) is same
            assert clock.now() == began, "nothing is waited for"

    virtually(scenario)


def test_a_journal_tells_the_chain_it_is_of(tmp_path: Path) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, Journal(tmp_path), crowd=NOBODY) as it:
            it.assembly.engine._journal.flush()
            assert remembered(tmp_path).chain == it.world.chain.genesis_hash

    virtually(scenario)
