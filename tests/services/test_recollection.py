"""What a journal remembers of killed runs: the same, however often and wherever they were killed."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bmv.belief import Belief, QueueMark
from bmv.config import HOUR_MS
from bmv.events import (
    BundleResolved,
    Convert,
    Converted,
    Crank,
    EventsFound,
    Flight,
    MarketSeen,
    Settle,
    Tick,
)
from bmv.model import (
    BundleCost,
    Conversion,
    Direction,
    Fill,
    ForeignBook,
    MarketSpec,
    Outcome,
    Rule,
    Side,
    Trade,
)
from bmv.observe.journal import Journal
from bmv.services.backfill import Gap
from bmv.services.outcomes import MAX_RESENDS
from bmv.services.recollection import Recollection, recollect
from bmv.units import BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks
from tests.core.belongings import market

OWNERS = ("first", "second")
Entry = Callable[[Journal], None]


def trade(seq: int, at: int = 1_000, *, own: bool = False) -> Trade:
    return Trade(seq, Millis(at), Ticks(100 + seq), BaseLots(seq), Side.BID, own)


def fill(seq: int) -> Fill:
    number = Ticks(100 + seq), BaseLots(seq)
    return Fill(seq, Millis(1_000), 0, Side.BID, *number, True, Lamports(0), Lamports(0), seq, 1)


def seen(slot: int, *seqs: int, at: int = 1_000, missed: int = 0, consumed: tuple[int, ...] = ()) -> Entry:
    """Journal a reading with these trades; those of an odd number were ours."""
    event = MarketSeen(
        at=Millis(at),
        slot=Slot(slot),
        book=ForeignBook(),
        trades=tuple(trade(seq, at, own=seq % 2 == 1) for seq in seqs),
        fills=tuple(fill(seq) for seq in seqs if seq % 2),
        events_missed=missed,
        mark=QueueMark(Slot(slot), 10 * slot, (slot,)),
        consumed=consumed,
    )
    return lambda journal: journal.event(event)


def asked(ticket: int) -> Entry:
    return lambda journal: journal.action(Settle(ticket, 1))


def sending(name: str, *tickets: int, at: int = 50) -> Entry:
    fields = {"id": name, "tickets": tickets, "signatures": [f"{name} signed"], "last_valid": 99, "at": at}
    return lambda journal: journal.bundle(fields | {"tip": 3, "fees": 4})


def resolved(name: str, *tickets: int, outcome: Outcome = Outcome.LANDED, at: int = 60) -> Entry:
    cost = BundleCost(Lamports(4), Lamports(3)) if outcome is Outcome.LANDED else BundleCost()
    event = BundleResolved(at=Millis(at), bundle_id=name, tickets=tickets, outcome=outcome, cost=cost)
    return lambda journal: journal.event(event)


def kept(at: int, counted_from: int | None = None) -> Entry:
    return lambda journal: journal.belief(Belief(at=Millis(at), counted_from=counted_from))


def run(
    folder: Path,
    entries: Sequence[Entry],
    *,
    at: int = 1,
    spec: MarketSpec | None = None,
    owners: Sequence[str] = OWNERS,
    goes_on: bool = True,
    chain: str = "",
) -> None:
    """Journal a run that is killed after these entries."""
    journal = Journal(folder)
    journal.begin(
        {"at": at, "market": spec or market(), "owners": owners, "goes_on": goes_on, "chain": chain}
    )
    for entry in entries:
        entry(journal)
    journal.flush()
    journal.give_up()


def remembered(folder: Path) -> Recollection:
    found = recollect(folder)
    assert found is not None
    return found


LIFE = (
    seen(1, 1, 2),
    asked(1),
    asked(2),
    sending("a", 1, 2),
    sending("z", 0),
    resolved("z", 0, at=15),
    kept(20),
    seen(2, 3, at=HOUR_MS + 5),
    resolved("a", 1, 2),
    asked(3),
    sending("b", 3, at=70),
    seen(3, 4, 5, at=HOUR_MS + 9, missed=6, consumed=(5,)),
    asked(4),
    sending("c", 4, at=80),
    resolved("c", 4, outcome=Outcome.EXPIRED),
    asked(5),
)


def test_where_nothing_was_journalled_nothing_is_remembered(tmp_path: Path) -> None:
    Journal(tmp_path).give_up()
    assert recollect(tmp_path) is None


def test_the_last_belief_counts_and_every_fill_and_cost_after_it(tmp_path: Path) -> None:
    run(tmp_path, LIFE, at=7)
    event = remembered(tmp_path).event(Millis(500))
    assert event.belief == Belief(at=Millis(20))
    assert [each.seq for each in event.fills] == [3, 5]
    assert event.costs == ((Millis(60), Lamports(7)),)
    assert (event.at, event.first_start, event.recorded_from) == (Millis(500), Millis(7), Millis(1_000))


def test_trades_count_by_the_hour_before_and_after_the_belief(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    hours = remembered(tmp_path).event(Millis(500)).hours
    sums = [(int(hour.at), hour.notional, hour.volume, hour.own) for hour in hours]
    assert sums == [
        (1_000, 101 * 1 + 102 * 2, 3, 1),
        (HOUR_MS + 9, 103 * 3 + 104 * 4 + 105 * 5, 12, 8),
    ]


@pytest.mark.parametrize(("counted_from", "left"), [(None, [3, 4, 5]), (2, [2, 3, 4, 5])])
def test_the_trades_that_made_the_price_are_told_one_by_one(
    tmp_path: Path, counted_from: int | None, left: list[int]
) -> None:
    back = EventsFound(at=Millis(70), missed=1, complete=True, trades=(trade(9),))
    late = lambda journal: journal.event(back)  # noqa: E731
    run(tmp_path, (seen(1, 1), seen(2, 2), kept(20, counted_from), seen(3, 3, 4), late))
    run(tmp_path, (seen(4, 5),))
    assert [each.seq for each in remembered(tmp_path).event(Millis(90)).trades] == left


def test_a_bundle_without_an_outcome_is_watched_with_its_actions_and_never_sent_again(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    found = remembered(tmp_path)
    (sent,) = found.sent()
    assert (sent.bundle_id, sent.tickets, sent.signatures) == ("b", (3,), ["b signed"])
    assert (int(sent.last_valid), int(sent.sent_at)) == (99, 70)
    assert sent.cost == BundleCost(Lamports(4), Lamports(3))
    assert (sent.raws, sent.resends) == ([], MAX_RESENDS)
    event = found.event(Millis(500))
    # What was asked and never sent is nothing: the chain is read anew.
    assert event.flights == (Flight(Settle(3, 1), Millis(70)),)
    assert event.next_ticket == 6


SOLD = Convert(1, Conversion(Rule.UPPER, Direction.SELL_SOL, MicroUsd(900), Lamports(5), "a test"))
LANDED = BundleResolved(at=Millis(60), bundle_id="a", tickets=(1,), outcome=Outcome.LANDED, slot=Slot(8))
SELLING: tuple[Entry, ...] = (
    lambda journal: journal.action(SOLD),
    sending("a", 1),
    lambda journal: journal.event(LANDED),
)
BOOKED = Converted(at=Millis(70), ticket=1, sol=Lamports(-5), usdc=MicroUsd(899), slot=Slot(8))


def test_a_conversion_that_landed_and_was_not_booked_is_still_to_be_booked(tmp_path: Path) -> None:
    run(
        tmp_path,
        (lambda journal: journal.action(SOLD), sending("a", 1), lambda journal: journal.event(LANDED)),
    )
    found = remembered(tmp_path)
    assert found.sent() == []
    assert [(sent.bundle_id, sent.signatures, sent.tickets) for sent in found.landed()] == [
        ("a", ["a signed"], (1,))
    ]
    event = found.event(Millis(9))
    assert (event.flights, event.converted) == ((Flight(SOLD, Millis(50), Slot(8)),), ())


def test_one_that_was_booked_counts_from_the_last_belief_on_and_once(tmp_path: Path) -> None:
    run(
        tmp_path,
        (lambda journal: journal.action(SOLD), sending("a", 1), lambda journal: journal.event(LANDED)),
    )
    run(tmp_path, (lambda journal: journal.event(BOOKED),))
    found = remembered(tmp_path)
    event = found.event(Millis(9))
    assert (found.landed(), found.actions, event.flights, event.converted) == ([], {}, (), (BOOKED,))
    run(tmp_path, (kept(80),))
    assert remembered(tmp_path).event(Millis(9)).converted == ()


def test_what_was_dropped_unsent_leaves_nothing(tmp_path: Path) -> None:
    run(tmp_path, (asked(1), resolved("unsent-1", 1, outcome=Outcome.FAILED)))
    found = remembered(tmp_path)
    assert (found.sent(), found.event(Millis(9)).flights, found.actions) == ([], (), {})


def test_nothing_older_is_read_than_the_last_reading_and_the_last_landing(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    assert remembered(tmp_path).newest == Slot(3)
    landed = BundleResolved(at=Millis(90), bundle_id="b", tickets=(3,), outcome=Outcome.LANDED, slot=Slot(8))
    run(tmp_path, (lambda journal: journal.event(landed),))
    assert remembered(tmp_path).newest == Slot(8)


def test_events_lost_are_still_to_be_read_back_until_they_were(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    gap = Gap(Slot(2), Slot(3), first_seq=20, missed=6, waiting=(2,), consumed=(5,))
    found = remembered(tmp_path)
    assert (found.gaps, found.mark) == ([gap], QueueMark(Slot(3), 30, (3,)))
    back = EventsFound(at=Millis(90), missed=6, complete=True, trades=(trade(7),), fills=(fill(7),))
    run(tmp_path, (lambda journal: journal.event(back),))
    found = remembered(tmp_path)
    assert found.gaps == []
    assert [each.seq for each in found.fills] == [3, 5, 7]


@pytest.mark.parametrize("seed", range(5))
def test_wherever_runs_were_killed_the_same_is_remembered(tmp_path: Path, seed: int) -> None:
    run(tmp_path / "one", LIFE, at=7)
    draw = random.Random(seed)
    cuts = sorted(draw.sample(range(len(LIFE) + 1), 4))
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(LIFE)], strict=True)):
        run(tmp_path / "many", LIFE[start:end], at=7 + number)
    assert remembered(tmp_path / "many") == remembered(tmp_path / "one")


def test_a_run_that_did_not_go_on_begins_anew(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    run(tmp_path, [seen(9, 8)], at=11, owners=("third",), goes_on=False)
    found = remembered(tmp_path)
    assert (found.owners, int(found.first_start)) == (("third",), 11)
    assert found.mark == QueueMark(Slot(9), 90, (9,))
    assert (found.belief, found.fills, found.costs, found.gaps, found.sent()) == (None, [], [], [], [])
    assert [hour.volume for hour in found.hours.values()] == [8]


def test_a_run_of_more_wallets_goes_on_under_its_own_owners(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    run(tmp_path, (), owners=(*OWNERS, "third"))
    found = remembered(tmp_path)
    assert found.owners == (*OWNERS, "third")
    assert [each.seq for each in found.fills] == [3, 5]


def test_what_is_not_about_money_or_orders_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path, LIFE)
    before = remembered(tmp_path)
    run(tmp_path, (lambda journal: journal.event(Tick(at=Millis(1), slot=Slot(2))),))
    assert remembered(tmp_path) == before
    run(tmp_path, (lambda journal: journal.action(Crank(40)),))
    assert remembered(tmp_path).next_ticket == 41
