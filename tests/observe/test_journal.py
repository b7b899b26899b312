"""The journal: one line each, in order, and a digest over the actions alone."""

import hashlib
import json
from pathlib import Path

import pytest

from bmv.events import Crank, FeedLost, Finish, Report, Tick
from bmv.observe.journal import Journal
from bmv.units import Millis, Slot

TICK = Tick(at=Millis(5), slot=Slot(7))


def test_events_and_actions_are_lines_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.event(TICK)
    journal.action(Crank(3))
    journal.event(FeedLost(at=Millis(6), reason='say "no"\n'))
    journal.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"event": {"type": "Tick", "at": 5, "slot": 7}},
        {"action": {"type": "Crank", "ticket": 3}},
        {"event": {"type": "FeedLost", "at": 6, "reason": 'say "no"\n'}},
    ]


def test_a_journal_that_exists_is_continued_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for ticket in (1, 2):
        journal = Journal(path)
        journal.action(Crank(ticket))
        journal.close()
    assert len(path.read_text().splitlines()) == 2


def test_the_digest_is_the_sha256_of_the_action_lines_and_of_nothing_else(tmp_path: Path) -> None:
    with_file, without = Journal(tmp_path / "journal.jsonl"), Journal()
    without.event(TICK)
    for action in (Crank(3), Report("A", {"b": 1, "c": "d"}), Finish(True, "over")):
        with_file.action(action)
        without.action(action)
    with_file.close()
    lines = [
        line.removeprefix(b'{"action":').removesuffix(b"}")
        for line in (tmp_path / "journal.jsonl").read_bytes().splitlines()
    ]
    assert with_file.digest == without.digest == hashlib.sha256(b"\n".join(lines) + b"\n").hexdigest()


def test_a_disk_that_is_full_is_given_up_without_another_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    journal = Journal(full)
    journal.event(TICK)
    with pytest.raises(OSError, match="space"):
        journal.flush()
    journal.give_up()
    journal.event(TICK)
    journal.action(Crank(1))
    journal.flush()
    journal.close()
    assert journal.digest != Journal().digest
