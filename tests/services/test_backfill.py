"""What the event queue lost is found in the logs, each fill once; what does not fit is not guessed."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.app import reporting
from bmv.chain.rpc import SignatureRecord
from bmv.errors import Garbled
from bmv.events import AnyAction, AnyEvent, EventsFound, MarketSeen, Report
from bmv.model import Side
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.people.crowd import CrowdOptions
from bmv.services.backfill import Backfill, Gap, between
from bmv.services.logs import TRUNCATED
from bmv.units import Millis, Slot
from bmv.venue.openbook_v1.fees import maker_rebate
from bmv.venue.openbook_v1.logs import FillLog, decode_log
from tests.services.living_world import Living, living, virtually
from tests.services.test_feed import listening

BUSY = CrowdOptions(arrivals_per_day=20_000)
SMALL = 128
KEY = Pubkey(bytes(32))


def log(order_id: int) -> tuple[Millis, FillLog]:
    return Millis(0), FillLog(KEY, KEY, KEY, Side.BID, True, 1, 1, 0, order_id, 0, 0, None, None)


def gap(waiting: list[int], consumed: list[int], missed: int = 9) -> Gap:
    return Gap(Slot(1), Slot(2), 0, missed, tuple(waiting), tuple(consumed))


numbers = st.lists(st.integers(0, 5), max_size=6)


@given(numbers, numbers, numbers)
def test_what_stands_between_the_known_ends_was_missed(
    waiting: list[int], missed: list[int], consumed: list[int]
) -> None:
    logs = [log(number) for number in waiting + missed + consumed]
    found = between(logs, gap(waiting, consumed))
    assert [record.order_id for _, record in found] == missed


@pytest.mark.parametrize(
    ("logs", "waiting", "consumed"),
    [([1, 2, 3], [2], []), ([1, 2, 3], [], [2]), ([1], [1], [1]), ([], [1], []), ([1, 2], [1, 3], [])],
)
def test_logs_that_do_not_fit_around_the_gap_are_not_guessed_from(
    logs: list[int], waiting: list[int], consumed: list[int]
) -> None:
    with pytest.raises(Garbled, match="do not fit"):
        between([log(number) for number in logs], gap(waiting, consumed))


class Ledger:
    """A node that tells one failed transaction, and one that did not fail in each of the slots 0 to 4."""

    async def signatures_for_address(self, _address: object, **_page: object) -> list[SignatureRecord]:
        """Return them, newest first."""
        failed = SignatureRecord("failed", Slot(2), {"InstructionError": [0, "Custom"]}, 0)
        return [failed, *(SignatureRecord(str(slot), Slot(slot), None, 0) for slot in (4, 3, 2, 1, 0))]


def test_of_the_slots_around_a_gap_the_older_readings_is_not_in_it_and_the_newer_ones_is() -> None:
    nobody: Any = SimpleNamespace(event_queue=KEY)
    backfill = Backfill(cast(Any, Ledger()), nobody, nobody, nobody, list[EventsFound]().append)
    found = asyncio.run(backfill._records(Gap(Slot(1), Slot(3), 0, 9, (), ())))
    assert [record.signature for record in found] == ["2", "3"]


def fills_logged(it: Living) -> list[tuple[bool, int, int, int]]:
    """Return every fill that a crank logged on the chain, oldest first: maker, order id, base, fee."""
    found = []
    for landed in reversed(list(it.world.chain.ledger.since(0))):
        for record in map(decode_log, landed.outcome.logs):
            if isinstance(record, FillLog):
                base = record.native_received if record.side is Side.BID else record.native_paid
                found.append((record.maker, record.order_id, base, record.native_fee_or_rebate))
    return found


async def outage(it: Living, seconds: float) -> None:
    """Let the node be gone for a while."""
    it.world.faults.rates["rpc_unreachable"] = 1.0
    await asyncio.sleep(seconds)
    it.world.faults.rates.clear()


def test_every_trade_of_a_gap_is_found_and_none_is_told_twice() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, seed=4, crowd=BUSY, event_capacity=SMALL) as (it, told):
            await asyncio.sleep(120)
            await outage(it, 900)
            await asyncio.sleep(120)
            check_trades(it, told)

    virtually(scenario)


def check_trades(it: Living, told: list[AnyEvent]) -> None:
    gaps = [event for event in told if isinstance(event, EventsFound)]
    assert len(gaps) == 1
    assert gaps[0].complete
    assert gaps[0].missed == sum(event.events_missed for event in told if isinstance(event, MarketSeen)) > 0
    trades = [
        trade for event in told if isinstance(event, MarketSeen | EventsFound) for trade in event.trades
    ]
    lot = it.world.spec.base_lot_size
    seen = Counter((int(trade.price), int(trade.size)) for trade in trades)
    logged = Counter((one[1] >> 64, one[2] // lot) for one in fills_logged(it) if one[0])
    assert len(gaps[0].trades) > 20
    # What still waits in the queue has been told and is not logged yet.
    assert not logged - seen
    assert (seen - logged).total() <= SMALL


def test_fills_of_ours_that_others_cranked_away_balance_to_the_lamport() -> None:
    async def scenario(clock: LoopClock) -> None:
        async with living(clock, seed=5, crowd=BUSY, event_capacity=SMALL) as it:
            told = listen(it)
            breaking = asyncio.create_task(broken_for_a_while(it))
            assert await it.run_engine(1_500)
            await breaking
            names = Counter(report.name for report in told)
            assert names["EVENTS_MISSED"] == names["EVENTS_FOUND"] > 0
            assert names["FILLS_DISAGREE"] == 0
            found = [report for report in told if report.name == "EVENTS_FOUND"]
            assert sum(int(report.fields["fills"]) for report in found) > 0
            check_own_fills(it)
            assert reporting.books(it.assembly)["identity_residual_lamports"] == 0

    virtually(scenario)


def listen(it: Living) -> list[Report]:
    """Keep what the engine tells people."""
    told: list[Report] = []
    record = it.assembly.engine.record
    did = record.did

    def keeping(action: AnyAction, at: Millis) -> None:
        if isinstance(action, Report):
            told.append(action)
        did(action, at)

    record.did = keeping  # type: ignore[method-assign]
    return told


async def broken_for_a_while(it: Living) -> None:
    await asyncio.sleep(300)
    await outage(it, 900)


def check_own_fills(it: Living) -> None:
    """Compare the fills the engine counted with what cranks logged, rebates to the lamport."""
    ours = {str(wallet.open_orders) for wallet in it.assembly.wallets}
    logs = []
    for landed in it.world.chain.ledger.since(0):
        records = [record for record in map(decode_log, landed.outcome.logs) if isinstance(record, FillLog)]
        logs += [record for record in records if str(record.open_orders) in ours]
    assert len(logs) == it.assembly.engine.record.fills
    for record in logs:
        base = record.native_received if record.side is Side.BID else record.native_paid
        spec = it.world.spec
        notional = base // spec.base_lot_size * (record.order_id >> 64) * spec.quote_lot_size
        assert record.native_fee_or_rebate == maker_rebate(notional)
    ledger = it.assembly.engine.record.ledger
    assert ledger is not None
    rebates = [row for row in ledger.rows if row.part.value == "rebates"]
    assert sum(int(row.lamports) for row in rebates) == sum(record.native_fee_or_rebate for record in logs)


@pytest.mark.parametrize(("left", "words"), [([], "do not fit"), ([TRUNCATED], "cut short")])
def test_a_gap_whose_logs_are_gone_or_cut_is_told_as_lost(left: list[str], words: str) -> None:
    async def scenario(clock: LoopClock) -> None:
        async with listening(clock, seed=4, crowd=BUSY, event_capacity=SMALL) as (it, told):
            await asyncio.sleep(120)
            await outage(it, 900)
            for landed in it.world.chain.ledger.since(0):
                landed.outcome.logs = left
            await asyncio.sleep(120)
            (found,) = [event for event in told if isinstance(event, EventsFound)]
            assert (found.complete, found.trades, found.fills) == (False, (), ())
            assert words in found.reason

    virtually(scenario)
