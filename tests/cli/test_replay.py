"""``bmv replay``: JSON and exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bmv.observe.journal import JOURNAL_FOLDER
from bmv.observe.segments import line_of, records, segments
from tests.app.recorded_run import run

BMV = str(Path(sys.executable).with_name("bmv"))


def replayed(folder: Path) -> tuple[int, Any, str]:
    """Run the command; return exit code, what it printed, and what it complained about."""
    done = subprocess.run([BMV, "replay", folder, "--json"], capture_output=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()


def test_twenty_minutes_come_to_the_same_digest_and_a_changed_action_is_found(tmp_path: Path) -> None:
    report = run(1_200, state=tmp_path).report
    for folder in (tmp_path, tmp_path / JOURNAL_FOLDER):
        code, told, err = replayed(folder)
        assert (code, err) == (0, "")
        assert (told["digest"], told["first_difference"]) == (report["digest"], None)
        assert told["actions"] > 20
    lines = [record.payload for record in records(tmp_path / JOURNAL_FOLDER)]
    (path,) = segments(tmp_path / JOURNAL_FOLDER)
    path.unlink()
    changed = [line.replace(b'"ticket":8,', b'"ticket":9,') for line in lines]
    assert changed != lines
    path.with_suffix("").write_bytes(b"".join(map(line_of, changed)))
    code, told, err = replayed(tmp_path)
    assert (code, err) == (1, "")
    found = told["first_difference"]
    assert set(found) == {"index", "event", "expected", "got"}
    assert (found["expected"]["ticket"], found["got"]["ticket"]) == (9, 8)
    path.with_suffix("").write_bytes(b"rubbish\n" + line_of(lines[0]))
    code, told, err = replayed(tmp_path)
    assert (code, told) == (2, None)
    assert "offset 0" in err


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file"])
def test_what_is_no_state_folder_is_bad_input(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "there"
    if what == "an empty folder":
        folder.mkdir()
    elif what == "a file":
        folder.write_text("rubbish")
    code, told, err = replayed(folder)
    assert (code, told) == (2, None)
    assert err.startswith("bmv: DIR: ")
