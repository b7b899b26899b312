"""The spool gives back what it was given, in order, whatever happens to its end."""

import random
import resource
import signal
from pathlib import Path

import pytest

from bmv.errors import BadInput, Unreachable
from bmv.state import spool as spool_module
from bmv.state.spool import HEAD, Spool


def emptied(spool: Spool) -> list[bytes]:
    taken = []
    while (record := spool.first()) is not None:
        taken.append(record)
        spool.done()
    return taken


def test_records_come_out_in_order_through_any_mix_of_writing_reading_and_restarting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT", 300)
    rng = random.Random(3)
    spool, number, waiting = Spool(tmp_path), 0, []
    for _ in range(600):
        match rng.randrange(5):
            case 0 | 1:
                record = str(number).encode() * rng.randrange(1, 20)
                number += 1
                spool.append(record)
                waiting.append(record)
            case 2 | 3:
                assert spool.first() == (waiting[0] if waiting else None)
                if waiting:
                    spool.done()
                    waiting.pop(0)
            case 4 if rng.random() < 0.1:
                spool.close()
                spool = Spool(tmp_path)
                # What was taken from a segment that is still there comes again: the rows have keys.
                again = emptied(spool)
                assert again[len(again) - len(waiting) :] == waiting
                waiting = []
    assert emptied(spool) == waiting
    assert list(tmp_path.glob("*.log")) == []
    assert spool.size == 0


@pytest.mark.parametrize("cut", range(1, 8 + 6))
def test_a_torn_tail_loses_the_torn_record_and_no_other(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path)
    spool.append(b"first")
    spool.append(b"second")
    spool.close()
    segment = next(tmp_path.glob("*.log"))
    segment.write_bytes(segment.read_bytes()[:-cut])
    spool = Spool(tmp_path)
    spool.append(b"third")
    assert emptied(spool) == [b"first", b"third"]


def test_damage_in_the_middle_is_kept_and_what_follows_in_other_segments_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"first")
    spool.append(b"second")
    spool.close()
    segment = next(tmp_path.glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[HEAD.size * 2 + len(b"first")] ^= 1
    segment.write_bytes(data)
    spool = Spool(tmp_path)
    spool.append(b"third")
    assert emptied(spool) == [b"first", b"third"]
    assert next(tmp_path.glob("*.damaged")).read_bytes() == data


def test_more_than_the_limit_is_refused_until_there_is_room_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=100)
    spool.append(b"x" * 80)
    with pytest.raises(Unreachable, match="is full: 88 of 100 bytes"):
        spool.append(b"y" * 10)
    assert emptied(spool) == [b"x" * 80]
    spool.append(b"y" * 10)
    assert emptied(spool) == [b"y" * 10]


def test_a_disk_that_fills_up_takes_a_record_whole_or_not_at_all(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"before")
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(Unreachable, match="spool"):
            spool.append(b"z" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    spool.append(b"after")
    assert emptied(spool) == [b"before", b"after"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can be written"):
        Spool(tmp_path / "file" / "spool")
