"""The journal: records in order, a digest over the actions alone, and what a crash or a full disk leaves."""

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bmv.errors import BadInput, UnsafeState
from bmv.events import Crank, FeedLost, Finish, Report, Tick
from bmv.observe.journal import Journal
from bmv.observe.segments import records, segments
from bmv.units import Millis, Slot
from tests.full_disk import full_at

TICK = Tick(at=Millis(5), slot=Slot(7))


def told(folder: Path) -> list[bytes]:
    """Return the records of a journal."""
    return [record.payload for record in records(folder)]


def run_of(folder: Path, tickets: range, *, segment_bytes: int = 1 << 20, killed: bool = False) -> None:
    """Write a run of one action for each event; a killed one is left as it is when its process dies."""
    journal = Journal(folder, segment_bytes=segment_bytes)
    journal.begin({"first": tickets.start})
    for ticket in tickets:
        journal.event(TICK)
        journal.action(Crank(ticket))
    if killed:
        journal.flush()
        journal.give_up()
    else:
        journal.close()


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.event(TICK)
    journal.action(Crank(3))
    journal.event(FeedLost(at=Millis(6), reason='say "no"\n'))
    journal.bundle({"id": "b"})
    journal.close()
    assert [json.loads(line) for line in told(tmp_path)] == [
        {"event": {"type": "Tick", "at": 5, "slot": 7}},
        {"action": {"type": "Crank", "ticket": 3}},
        {"event": {"type": "FeedLost", "at": 6, "reason": 'say "no"\n'}},
        {"bundle": {"id": "b"}},
        {"end": {"actions": 1, "digest": journal.digest}},
    ]


def test_a_journal_that_exists_is_continued_in_another_segment(tmp_path: Path) -> None:
    run_of(tmp_path, range(2))
    run_of(tmp_path, range(5, 7))
    assert [path.name for path in segments(tmp_path)] == ["00000001.journal.gz", "00000002.journal.gz"]
    assert sum(line.startswith(b'{"run":') for line in told(tmp_path)) == 2


def test_full_segments_are_compressed_and_hold_what_was_written(tmp_path: Path) -> None:
    run_of(tmp_path / "one", range(2_000))
    run_of(tmp_path / "many", range(2_000), segment_bytes=10_000)
    packed = segments(tmp_path / "many")
    assert len(packed) > 10
    assert all(path.name.endswith(".gz") for path in packed)
    assert told(tmp_path / "many") == told(tmp_path / "one")
    written = sum(len(gzip.decompress(path.read_bytes())) for path in packed)
    assert sum(path.stat().st_size for path in packed) < written / 4


def test_the_digest_is_the_sha256_of_the_actions_and_of_nothing_else(tmp_path: Path) -> None:
    with_file, without = Journal(tmp_path), Journal()
    without.event(TICK)
    for action in (Crank(3), Report("A", {"b": 1, "c": "d"}), Finish(True, "over")):
        with_file.action(action)
        without.action(action)
    with_file.close()
    lines = [line.removeprefix(b'{"action":').removesuffix(b"}") for line in told(tmp_path)[:-1]]
    assert with_file.digest == without.digest == hashlib.sha256(b"\n".join(lines) + b"\n").hexdigest()


def test_a_tail_torn_anywhere_costs_only_what_was_torn(tmp_path: Path) -> None:
    run_of(tmp_path, range(20), killed=True)
    (path,) = segments(tmp_path)
    whole, lines = path.read_bytes(), told(tmp_path)
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert told(tmp_path) == lines[: sum(end <= size for end in ends)]
    path.write_bytes(whole[:-20] + b"\0" * 500)
    assert told(tmp_path) == lines[:-1]


def test_a_run_after_a_torn_tail_leaves_it_and_both_are_read(tmp_path: Path) -> None:
    run_of(tmp_path, range(3), killed=True)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    before = told(tmp_path)
    run_of(tmp_path, range(8, 9))
    assert told(tmp_path)[: len(before)] == before
    assert json.loads(told(tmp_path)[len(before)]) == {"run": {"first": 8}}
    assert [path.name for path in segments(tmp_path)] == ["00000001.journal.gz", "00000002.journal.gz"]


def test_damage_in_the_middle_is_told_with_file_and_offset(tmp_path: Path) -> None:
    run_of(tmp_path, range(30), killed=True)
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    draw = random.Random(5)
    for _ in range(200):
        place = draw.randrange(len(whole) // 2)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(flipped))
        offset = whole.rfind(b"\n", 0, place) + 1
        with pytest.raises(BadInput, match=f"{path.name}.*offset {offset}:"):
            told(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damage_in_a_compressed_segment_is_told(tmp_path: Path, damage: str) -> None:
    run_of(tmp_path, range(2_000), segment_bytes=10_000)
    path = segments(tmp_path)[3]
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        raw = raw[: len(raw) // 2]
    else:
        raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(BadInput, match=f"{path.name}.*offset"):
        told(tmp_path)


def test_a_segment_that_is_missing_within_a_run_is_told(tmp_path: Path) -> None:
    run_of(tmp_path, range(2_000), segment_bytes=10_000)
    segments(tmp_path)[3].unlink()
    with pytest.raises(BadInput, match="segment 00000004"):
        told(tmp_path)


def test_a_process_killed_while_it_compresses_loses_nothing(tmp_path: Path) -> None:
    run_of(tmp_path, range(2_000), segment_bytes=10_000)
    before = told(tmp_path)
    first, second, third = segments(tmp_path)[:3]
    # Killed before the first was whole, and between putting the third in place and removing the plain one.
    for path in (first, second, third):
        path.with_name(path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    first.rename(first.with_name(first.name + ".partial"))
    second.unlink()
    assert told(tmp_path) == before
    Journal(tmp_path).close()
    assert told(tmp_path)[: len(before)] == before
    assert {path.suffix for path in tmp_path.iterdir()} == {".gz", ""}


def test_a_second_run_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(UnsafeState, match="another run"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_a_killed_process_keeps_every_event_and_lets_go_of_the_folder(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from bmv.observe.journal import Journal; from bmv.events import Tick\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for slot in range(1000): journal.event(Tick(at=slot, slot=slot))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, tmp_path], env=environment, timeout=60, check=False)
    assert done.returncode == -9
    assert len(told(tmp_path)) == 1_000
    Journal(tmp_path).close()


def test_a_disk_that_is_full_is_given_up_without_another_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(20):
        journal.event(TICK)
    with full_at(1_000):
        with pytest.raises(OSError, match="large"):
            journal.event(TICK)
        journal.give_up()
    journal.event(TICK)
    journal.action(Crank(1))
    journal.close()
    assert journal.digest != Journal().digest
    assert len(told(tmp_path)) == 20


def test_a_disk_full_at_the_very_end_ends_like_a_crash(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(1_000):
        journal.event(TICK)
    (path,) = segments(tmp_path)
    with full_at(path.stat().st_size):
        journal.close()
    assert told(tmp_path) == [b'{"event":{"type":"Tick","slot":7,"at":5}}'] * 1_000


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    with pytest.raises(BadInput, match=r"--state.*can be written to"):
        Journal(tmp_path / "journal")
