"""The pictures in the papers show what is built: drawn again, they are the same."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"


def test_the_pictures_of_the_strategy_are_what_the_functions_draw_now(tmp_path: Path) -> None:
    # In a process of its own: the compiled program's runtime leaves the processor's floating point changed.
    subprocess.run([sys.executable, FOLDER / "draw.py", tmp_path], check=True, timeout=60)
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.svg")}
    assert committed == {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
