"""Dispatch through real clients into the simulated chain, whatever fails on the way."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.chain.transaction import signature
from bmv.errors import InvariantBroken
from bmv.events import AnyAction, BundleResolved, Crank, Execute, Prepare, Settle
from bmv.keys.policy import Unlawful
from bmv.keys.signer import InProcessSigner, Job
from bmv.model import Cancel, Outcome, Placement, Side
from bmv.observe.journal import Journal
from bmv.observe.segments import records
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.sandbox.people.floor import Floor, Trader
from bmv.services import dispatch
from bmv.services.building import CRANK_EVENTS, CRANK_PARTS, settle_steps
from bmv.services.dispatch import Dispatcher
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Lamports, Ticks
from bmv.venue.openbook_v1.calls import parse
from bmv.venue.openbook_v1.queues import decode_event_queue
from tests.services.living_world import NOBODY, Living, living, virtually

SENDING = ("bundle_dropped", "jito_unreachable", "jito_rate_limited", "rpc_rate_limited", "rpc_unreachable")
WRAP = Lamports(LAMPORTS_PER_SOL)
STRANGERS = replace(NOBODY, dusters=3, crankers=0)


class Desk:
    """A dispatcher at work, and the outcomes it told."""

    def __init__(self, it: Living) -> None:
        self.it = it
        self.told: list[BundleResolved] = []
        self.dispatcher: Dispatcher = it.dispatcher(self.told.append)
        self.task = asyncio.create_task(self.dispatcher.run())

    def send(self, *actions: AnyAction) -> None:
        """Hand actions in."""
        self.it.send(self.dispatcher, *actions)

    async def prepare(self) -> None:
        """Open both wallets."""
        self.send(Prepare(1, 0, WRAP), Prepare(2, 1, WRAP))
        await asyncio.sleep(10)
        assert self.outcomes() == {1: "landed", 2: "landed"}
        self.told.clear()

    def outcomes(self) -> dict[int, str]:
        """Return the outcome of every ticket; a ticket answered twice fails."""
        answers = Counter(ticket for event in self.told for ticket in event.tickets)
        assert set(answers.values()) <= {1}
        return {ticket: event.outcome.value for event in self.told for ticket in event.tickets}


@pytest.mark.parametrize("kind", SENDING)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_every_ticket_is_answered_once_whatever_fails(kind: str, rate: float) -> None:
    async def scenario(clock: LoopClock) -> dict[int, str]:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            it.world.faults.rates[kind] = rate
            for ticket in range(10, 22):
                desk.send(Settle(ticket, ticket % 2), Crank(ticket + 100))
                await asyncio.sleep(7)
            await asyncio.sleep(100)
            it.world.faults.rates.clear()
            await asyncio.sleep(60)
            return desk.outcomes()

    outcomes = virtually(scenario)
    assert set(outcomes) == {*range(10, 22), *range(110, 122)}
    assert {outcomes[ticket] for ticket in range(110, 122)} <= {"failed", "unsent"}
    landed = sum(outcomes[ticket] == "landed" for ticket in range(10, 22))
    if rate < 1:
        assert landed > 0
    elif kind in {"bundle_dropped", "jito_rate_limited"}:
        assert landed == 0


def test_a_bundle_that_nobody_sees_expires_after_its_blockhash() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            it.world.faults.rates["bundle_dropped"] = 1.0
            sent_at = int(clock.now())
            desk.send(Settle(7, 0))
            await asyncio.sleep(120)
            (event,) = desk.told
            assert (event.outcome, event.tickets) == (Outcome.EXPIRED, (7,))
            assert 50_000 < int(event.at) - sent_at < 80_000
            assert it.world.faults.injected["bundle_dropped"] == 4

    virtually(scenario)


def test_a_dropped_bundle_is_sent_again_with_the_same_bytes() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            before = set(it.world.chain.bundles)
            it.world.faults.rates["bundle_dropped"] = 1.0
            desk.send(Settle(7, 0))
            await asyncio.sleep(2)
            it.world.faults.rates.clear()
            await asyncio.sleep(10)
            (event,) = desk.told
            assert event.outcome is Outcome.LANDED
            assert set(it.world.chain.bundles) - before == {event.bundle_id}

    virtually(scenario)


def test_a_bundle_that_fails_on_the_chain_is_not_reported_as_landed() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            unknown = Cancel(0, Side.BID, Ticks(5), 5 << 64 | 1, 0)
            desk.send(Execute(8, 0, (unknown,), ()))
            await asyncio.sleep(120)
            assert desk.outcomes() == {8: "expired"}

    virtually(scenario)


def test_nothing_is_signed_with_a_stale_blockhash() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            it.world.faults.rates["rpc_unreachable"] = 1.0
            desk.send(Settle(7, 0))
            await asyncio.sleep(40)
            known = dict(it.world.chain.bundles)
            desk.send(Settle(8, 0))
            await asyncio.sleep(60)
            assert it.world.chain.bundles == known
            assert desk.outcomes()[8] == "unsent"
            assert "blockhash" in desk.told[-1].reason
            it.world.faults.rates.clear()
            await asyncio.sleep(60)
            assert desk.outcomes()[7] == "landed"

    virtually(scenario)


def test_the_same_change_twice_in_a_row_is_two_bundles_and_paid_twice() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            before = it.world.chain.burnt_lamports
            for ticket in range(10, 40):
                desk.send(Settle(ticket, 0))
                await asyncio.sleep(1.5)
            await asyncio.sleep(90)
            assert set(desk.outcomes().values()) == {"landed"}
            assert len({event.bundle_id for event in desk.told}) == 30
            assert it.world.chain.burnt_lamports - before == sum(int(one.cost.fees) for one in desk.told)

    virtually(scenario)


def test_the_same_placement_twice_under_one_blockhash_is_not_sent_a_second_time() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            desk.dispatcher._rng = cast(Any, SimpleNamespace(choice=lambda accounts: accounts[0]))
            place = Placement(0, Side.BID, 1, Ticks(100), BaseLots(10), 1)
            for ticket in (10, 11):
                desk.dispatcher._waiting.put_nowait((Execute(ticket, 0, (), (place,)),))
            await asyncio.sleep(30)
            assert desk.outcomes() == {10: "landed", 11: "unsent"}
            assert "no new blockhash" in desk.told[0].reason
            assert it.own_orders() == 1

    virtually(scenario)


def test_small_changes_share_a_bundle_and_its_one_tip() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            desk.send(Settle(10, 0), Settle(11, 1))
            await asyncio.sleep(10)
            (event,) = desk.told
            assert (event.tickets, event.outcome) == ((10, 11), Outcome.LANDED)
            assert int(event.cost.fees) == 10_000

    virtually(scenario)


def test_a_defect_on_the_way_answers_the_tickets_and_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise InvariantBroken("a plan that fits no bundle")

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            monkeypatch.setattr(dispatch, "Packing", too_large)
            desk.send(Settle(7, 0), Settle(8, 1))
            with pytest.raises(ExceptionGroup) as caught:
                await desk.task
            assert caught.group_contains(InvariantBroken)
            assert desk.outcomes() == {7: "failed", 8: "failed"}

    virtually(scenario)


def test_a_defect_while_sending_leaves_the_outcome_to_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            really = desk.dispatcher._block_engine.send_bundle

            async def sent_and_broken(raws: list[bytes]) -> None:
                await really(raws)
                raise KeyError("after it was sent")

            monkeypatch.setattr(desk.dispatcher._block_engine, "send_bundle", sent_and_broken)
            desk.send(Settle(7, 0))
            with pytest.raises(ExceptionGroup):
                await desk.task
            assert desk.told == []
            again = asyncio.create_task(desk.dispatcher.run())
            await asyncio.sleep(10)
            assert desk.outcomes() == {7: "landed"}
            again.cancel()

    virtually(scenario)


def test_settling_names_the_wallets_own_accounts() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            for wallet in it.assembly.wallets:
                (step,) = settle_steps(wallet, it.assembly.market)
                accounts = parse(step.instruction).accounts
                assert (accounts["owner"], accounts["open_orders"]) == (wallet.owner, wallet.open_orders)
                assert (accounts["base_wallet"], accounts["quote_wallet"]) == (wallet.base, wallet.quote)
                assert accounts["referrer"] == wallet.quote, "its share of taker fees comes home as well"
                assert step.payer == wallet.owner

    virtually(scenario)


def test_every_bundle_is_in_the_journal_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, Journal(path)) as it:
            really, known = it.assembly.dispatcher._block_engine.send_bundle, []

            async def sent(raws: list[bytes]) -> object:
                lines = [json.loads(record.payload) for record in records(path)]
                written = [line["bundle"] for line in lines if "bundle" in line]
                known.append([signature(raw) for raw in raws] in [one["signatures"] for one in written])
                return await really(raws)

            it.assembly.dispatcher._block_engine.send_bundle = sent  # type: ignore[assignment, method-assign]
            assert await it.run_engine(120)
            assert len(known) > 2
            assert all(known)

    virtually(scenario)


def test_the_loop_goes_on_between_the_groups_and_bundles_of_a_large_plan() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            turns, counting = 0, True

            async def count() -> None:
                nonlocal turns
                while counting:
                    turns += 1
                    await asyncio.sleep(0)

            really, before = desk.dispatcher._block_engine.send_bundle, []

            async def sent(raws: list[bytes]) -> object:
                nonlocal counting
                counting = False
                before.append(turns)
                return await really(raws)

            desk.dispatcher._block_engine.send_bundle = sent  # type: ignore[assignment, method-assign]
            for_nobody = [Cancel(n % 2, Side.BID, Ticks(5), 5 << 64 | n, n + 1) for n in range(40)]
            desk.send(*(Execute(100 + n, n % 2, (one,), ()) for n, one in enumerate(for_nobody)))
            await count()
            await asyncio.sleep(60)
            # Once after each of 40 groups as it is built, and again as it is packed; and after each bundle.
            assert before[0] >= 80 + len(before)
            assert set(desk.outcomes()) == set(range(100, 140))

    virtually(scenario)


def waiting(it: Living) -> int:
    """Return how many events wait for a crank."""
    account = it.world.chain.account(bytes(it.assembly.market.event_queue))
    assert account is not None
    return decode_event_queue(bytes(account.data)).count


def crowd_the_queue(it: Living, turns: int) -> None:
    """Have three strangers place and withdraw eight bids again and again, sixteen events each time."""
    floor = Floor(it.world.chain, it.world.spec, it.world.reference)
    numbers = range(1, 9)
    for index in range(3):
        stranger = Trader(floor, seeded_keypair(it.world.options.seed, "duster", index))
        for turn in range(turns):
            orders = [stranger.post(Side.BID, number, 2_000 - turn, 1) for number in numbers]
            stranger.send([*stranger.place(Side.BID, orders), stranger.withdraw(numbers)])


def test_an_old_queue_is_cranked_in_large_parts_and_changes_drain_it_further() -> None:
    async def scenario(clock: LoopClock) -> list[int]:
        async with living(clock, crowd=STRANGERS) as it:
            desk = Desk(it)
            await desk.prepare()
            left = []
            assert it.world._driver is not None
            it.world._driver.cancel()
            crowd_the_queue(it, 11)
            await asyncio.sleep(2)
            rounds: list[list[AnyAction]] = [[], [Crank(10)], [placing(11, 0)], [Crank(12), placing(13, 1)]]
            for actions in rounds:
                reader = it.assembly.reader
                reader.read(clock.now(), await it.assembly.feed._rpc.accounts(reader.keys))
                desk.dispatcher._waiting.put_nowait(tuple(actions))
                await asyncio.sleep(5)
                left.append(waiting(it))
            assert desk.outcomes() == dict.fromkeys((10, 11, 12, 13), "landed")
            return left

    before, cranked, changed, end = virtually(scenario)
    assert before > 500
    assert cranked == before - CRANK_PARTS * CRANK_EVENTS
    # The change's own event waits behind what others have left.
    assert (changed, end) == (cranked - CRANK_EVENTS + 1, 0)


def placing(ticket: int, wallet: int) -> Execute:
    """Return a change that places one bid, which pushes one event."""
    return Execute(ticket, wallet, (), (Placement(wallet, Side.BID, 1, Ticks(100), BaseLots(10), 1),))


def cancelling(ticket: int, number: int = 0, *, plain: bool = False) -> Execute:
    """Return a round of a halt; that nothing of it stands does not keep a bundle from landing."""
    return Execute(ticket, 0, (Cancel(0, Side.BID, Ticks(1), 1, 1),), (), number, plain)


def test_rounds_of_the_same_cancels_are_bundles_of_their_own_and_the_newest_replaces_what_waits() -> None:
    async def scenario(clock: LoopClock) -> dict[int, str]:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            for ticket, number in ((10, 1), (11, 2), (12, 3)):
                desk.send(cancelling(ticket, number))
                await asyncio.sleep(0.4)
            for ticket, number in ((20, 4), (21, 5), (22, 6)):
                desk.send(cancelling(ticket, number))
            await asyncio.sleep(10)
            replaced = [event for event in desk.told if "newer round" in event.reason]
            assert [event.tickets for event in replaced] == [(20,), (21,)]
            return desk.outcomes()

    landed = dict.fromkeys((10, 11, 12, 22), "landed")
    assert virtually(scenario) == landed | {20: "unsent", 21: "unsent"}


def test_plain_cancels_reach_the_chain_without_bundles_or_tips() -> None:
    async def scenario(clock: LoopClock) -> list[BundleResolved]:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            it.world.faults.rates["bundle_dropped"] = 1.0
            tips = len(it.world.chain.landed_tips)
            desk.send(cancelling(10, 8), cancelling(11, 8, plain=True))
            await asyncio.sleep(5)
            assert len(it.world.chain.landed_tips) == tips
            return desk.told

    told = virtually(scenario)
    assert [(event.tickets, event.outcome) for event in told] == [((11,), Outcome.LANDED)]
    assert (int(told[0].cost.tip), int(told[0].cost.fees)) == (0, 5_000)


def test_what_was_decided_before_a_halt_is_not_placed_after_it() -> None:
    async def scenario(clock: LoopClock) -> tuple[list[BundleResolved], int]:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            desk.dispatcher._may_place = lambda: False
            place = Placement(0, Side.BID, 1, Ticks(100), BaseLots(10), 1)
            desk.dispatcher._waiting.put_nowait((Execute(10, 0, (), (place,)), cancelling(11)))
            desk.dispatcher._waiting.put_nowait((cancelling(12),))
            await asyncio.sleep(10)
            return desk.told, it.own_orders()

    told, orders = virtually(scenario)
    outcomes = {event.tickets: event.outcome for event in told}
    assert outcomes == {(10,): Outcome.UNSENT, (11,): Outcome.UNSENT, (12,): Outcome.LANDED}
    assert orders == 0


class Picky(InProcessSigner):
    """Refuse every call that holds a message of the one it does not sign for."""

    def __init__(self, keypairs: Sequence[Keypair], refused: Pubkey) -> None:
        super().__init__(keypairs)
        self.refused = refused

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Sign all, or nothing."""
        asked = list(jobs)
        if any(pubkey == self.refused for pubkey, _ in asked):
            raise Unlawful("not allowed", "this one never")
        return super().sign_all(asked)


def test_what_the_signer_refuses_keeps_no_other_bundle_from_being_sent() -> None:
    async def scenario(clock: LoopClock) -> dict[int, str]:
        async with living(clock, crowd=NOBODY, wallets=4) as it:
            desk = Desk(it)
            desk.send(*(Prepare(1 + wallet, wallet, WRAP) for wallet in range(4)))
            await asyncio.sleep(10)
            assert set(desk.outcomes().values()) == {"landed"}
            desk.told.clear()
            keypairs = it.world.keypairs
            changes: list[Execute] = []
            desk.dispatcher._plans._signer = Picky(keypairs, keypairs[1].pubkey())
            # A wallet's cancels fill a bundle of their own here.
            for wallet in range(4):
                cancels = tuple(Cancel(wallet, Side.BID, Ticks(5), 5 << 64 | n, 0) for n in range(60))
                changes.append(Execute(10 + wallet, wallet, cancels, ()))
            desk.send(*changes)
            await asyncio.sleep(3)
            assert all("refused (not allowed)" in event.reason for event in desk.told)
            refused = desk.outcomes()
            assert len(it.world.chain.bundles) >= 4
            await asyncio.sleep(120)
            assert refused == {11: "failed"}
            return desk.outcomes()

    # Nothing stands of what is cancelled, so the other bundles are sent and come to nothing on the chain.
    assert virtually(scenario) == {10: "expired", 11: "failed", 12: "expired", 13: "expired"}


class Elsewhere(InProcessSigner):
    """Answer only after the loop has gone on, as a signer process may."""

    elsewhere = True

    def __init__(self, keypairs: Sequence[Keypair]) -> None:
        super().__init__(keypairs)
        self.asked, self.answers = asyncio.Event(), threading.Semaphore(0)
        self.loop = asyncio.get_running_loop()

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Wait for the loop."""
        self.loop.call_soon_threadsafe(self.asked.set)
        assert self.answers.acquire(timeout=10), "the loop stood still while this was asked"
        return super().sign_all(jobs)


def test_while_a_signer_in_another_process_is_asked_the_loop_goes_on_and_the_clock_stands() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, crowd=NOBODY) as it:
            desk = Desk(it)
            await desk.prepare()
            desk.dispatcher._plans._signer = signer = Elsewhere(it.world.keypairs)
            desk.send(Settle(7, 0), Settle(8, 1))
            await signer.asked.wait()
            began = clock.now()
            for _ in range(100):
                await asyncio.sleep(0)
            assert clock.now() == began
            signer.answers.release()
            await asyncio.sleep(10)
            assert desk.outcomes() == {7: "landed", 8: "landed"}

    virtually(scenario)
