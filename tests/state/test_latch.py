"""The latch of the kill switch: raised by anything, released only on purpose."""

from pathlib import Path

import pytest

from bmv.errors import BadInput
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch, Latched, LatchFile
from bmv.units import Millis

FIRST = Latch(at=Millis(10), reason="first", by="me")
SECOND = Latch(at=Millis(20), reason="second", by="me")


def test_it_stays_raised_with_its_first_reason_until_it_is_released(tmp_path: Path) -> None:
    file = LatchFile(StateFolder(tmp_path))
    assert file.read() is None
    file.raise_(FIRST)
    file.raise_(SECOND)
    assert LatchFile(StateFolder(tmp_path)).read() == FIRST
    file.release(Latch(at=Millis(30), reason="all is well", by="me"))
    assert file.read() is None
    file.raise_(SECOND)
    assert file.read() == SECOND


@pytest.mark.parametrize("content", [b"", b"stop!", b"\xff\xfe", b'{"at": "noon"}'])
def test_any_file_of_that_name_raises_it(tmp_path: Path, content: bytes) -> None:
    file = LatchFile(StateFolder(tmp_path))
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    latch = file.read()
    assert latch is not None
    assert "by hand" in latch.by
    assert "stop!" in latch.reason or content != b"stop!"


def test_one_that_cannot_be_read_counts_as_raised(tmp_path: Path) -> None:
    file = LatchFile(StateFolder(tmp_path))
    file.path.mkdir(parents=True)
    latch = file.read()
    assert latch is not None
    assert "cannot be read" in latch.reason


def test_a_release_outweighs_older_flags_and_no_newer_or_dateless_one(tmp_path: Path) -> None:
    file = LatchFile(StateFolder(tmp_path))
    assert not file.outdated(FIRST)
    file.release(Latch(at=Millis(15), reason="", by="me"))
    assert file.outdated(FIRST)
    assert not file.outdated(SECOND)
    assert not file.outdated(Latch(reason="by hand"))


def test_a_release_outweighs_the_flag_of_what_it_releases_whatever_the_clocks_say(tmp_path: Path) -> None:
    file = LatchFile(StateFolder(tmp_path))
    file.raise_(SECOND)
    file.release(Latch(at=Millis(15), reason="by a clock that is behind", by="me"))
    assert file.outdated(SECOND)
    assert not file.outdated(Latch(at=Millis(21), reason="after it"))


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(BadInput, match="--state"):
        LatchFile(StateFolder(tmp_path)).raise_(FIRST)


def test_a_refused_start_says_how_to_go_on() -> None:
    refusal = Latched(FIRST, "bmv resume --state DIR")
    assert refusal.exit_code == 3
    assert str(refusal) == (
        "halted by me: first; nothing starts before it is released: bmv resume --state DIR"
    )
