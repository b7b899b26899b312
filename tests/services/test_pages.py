"""What a journal tells since a moment is the same from the page it stands on as from the first one."""

import json
import random
from pathlib import Path

import pytest

from bmv.events import Fund, Report
from bmv.model import Share
from bmv.observe.journal import Journal
from bmv.observe.segments import records, segments
from bmv.services.mending import journalled
from bmv.services.pages import Page, page_of
from bmv.services.recollection import recollect
from bmv.state.rows import Batch
from bmv.units import Lamports, Millis
from tests.core.belongings import market
from tests.services.test_recollection import OWNERS, resolved, seen, sending

RUNS, ENTRIES = 3, 60


def written(folder: Path, draw: random.Random) -> None:
    """Journal some runs of many small segments; the clock is set back once."""
    seq = at = 0
    for number in range(RUNS):
        journal = Journal(folder, segment_bytes=2_000)
        journal.begin({"at": 1_000 * number, "market": market(), "owners": OWNERS, "goes_on": number > 0})
        at -= 500 if number == 1 else 0
        for _ in range(ENTRIES):
            at += draw.randrange(20)
            match draw.randrange(4):
                case 0:
                    seq += 1
                    seen(seq, seq, at=at)(journal)
                case 1:
                    resolved(f"bundle {at} {seq}", at=at)(journal)
                    sending(f"bundle {at + 1} {seq}", at=at + 1)(journal)
                case 2:
                    resolved(f"none {at} {seq}", at=at)(journal)
                    journal.action(Report("STARTED", {"at": at}))
                case 3:
                    resolved(f"none {at} {seq}", at=at)(journal)
                    shares = tuple(Share(wallet, Lamports(5)) for wallet in range(draw.randrange(1, 3)))
                    journal.action(Fund(at, shares))
        journal.close()


def gathered(folder: Path, pages: list[Page], since: int) -> Batch:
    whole = Batch()
    for batch in journalled(folder, pages, Millis(since)):
        whole.join(batch)
    return whole


@pytest.mark.parametrize("seed", range(3))
def test_from_any_moment_on_nothing_is_missed_and_every_report_has_its_number(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    written(tmp_path, draw)
    found = recollect(tmp_path)
    assert found is not None
    assert [page.number for page in found.pages] == list(range(1, len(segments(tmp_path)) + 1))
    entries = [json.loads(record.payload) for record in records(tmp_path)]
    moments = [entry["event"]["at"] for entry in entries if "event" in entry]
    for since in [0, max(moments) + 1, *draw.sample(moments, 12)]:
        whole = gathered(tmp_path, found.pages, since)
        assert whole == gathered(tmp_path, found.pages[:1], since)
        events = [entry["event"] for entry in entries if "event" in entry]
        trades = [one["seq"] for each in events if each["at"] >= since for one in each.get("trades", ())]
        assert [trade.seq for trade in whole.trades] == trades
    everything = gathered(tmp_path, found.pages, 0).events
    for run in range(RUNS):
        numbers = [event.number for event in everything if event.run == 1_000 * run]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_newest_moments_are_read_from_the_newest_page() -> None:
    pages = [Page(number, Millis(10 * number), Millis(0), OWNERS, 0) for number in range(5)]
    assert [page_of(pages, Millis(at)) for at in (0, 10, 11, 40, 41, 99)] == [
        pages[0],
        pages[0],
        pages[1],
        pages[3],
        pages[4],
        pages[4],
    ]
    assert page_of([], Millis(5)) is None
