"""The lock file: one process per state folder, and nothing is left to clean up after a crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from bmv.errors import BadInput
from bmv.state.folder import StateFolder
from bmv.state.lock import FolderTaken, last_occupant, locked, occupied
from bmv.units import Millis

START = Millis(1_767_225_600_000)
HOLDING = """
import sys
from pathlib import Path
from bmv.state.folder import StateFolder
from bmv.state.lock import locked
from bmv.units import Millis
with locked(StateFolder(Path(sys.argv[1])), Millis(1_767_225_500_000), "MARKET"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_belongs_to_one_process_until_it_dies(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert not occupied(folder)
    assert last_occupant(folder) is None
    words = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert occupied(folder)
        with (
            pytest.raises(FolderTaken, match=rf"process {other.pid} on .*, for 100 s") as refused,
            locked(folder, START, "MARKET"),
        ):
            pass
        assert refused.value.exit_code == 3
        other.kill()
    assert not occupied(folder)
    occupant = last_occupant(folder)
    assert occupant is not None
    assert (occupant.pid, occupant.market) == (other.pid, "MARKET")
    with locked(folder, START, "MARKET"):
        assert occupied(folder)
    assert not occupied(folder)


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="--state"), locked(StateFolder(tmp_path / "file"), START, ""):
        pass
