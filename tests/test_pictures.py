"""The pictures in the papers show what is built: drawn again, they are the same."""

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"


def test_the_pictures_of_the_strategy_are_what_the_functions_draw_now(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("draw", FOLDER / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    draw.main(tmp_path)
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.svg")}
    assert committed == {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
