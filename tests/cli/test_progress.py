"""Progress is a bar on a terminal, and a line every ten seconds elsewhere."""

import io

from bmv.cli.history import shown_by
from bmv.cli.progress import progress
from bmv.state.past import Cursor


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_nobody_watches_a_line_comes_every_ten_seconds() -> None:
    now, said = 0.0, io.StringIO()
    with progress("ray", said, lambda: now) as tell:
        for step in range(31):
            now = float(step)
            tell(step / 30, f"{step} trades")
    assert said.getvalue().splitlines() == [
        "ray: 33% 10 trades",
        "ray: 67% 20 trades",
        "ray: 100% 30 trades",
    ]


def test_on_a_terminal_there_is_a_bar_with_the_part_done() -> None:
    said = Terminal()
    with progress("ray", said) as tell:
        tell(0.25, "7 trades")
        tell(0.5, "9 trades")
    text = said.getvalue()
    assert "━" in text
    assert "50%" in text
    assert "9 trades" in text


def test_reading_back_is_done_as_far_as_it_has_come_towards_the_date_asked_for() -> None:
    seen: list[tuple[float, str]] = []

    def tell(done: float, note: str = "") -> None:
        seen.append((round(done, 6), note))

    hour, now = 3_600_000, 1_767_225_600_000
    told = shown_by(tell, now - 4 * hour, now)
    for back in (-1, 1, 3, 9):
        told(Cursor("newest", "oldest", now - back * hour, trades=back + 5))
    assert [done for done, _ in seen] == [0.0, 0.25, 0.75, 1.0]
    assert seen[1][1] == "6 trades, back to 2025-12-31 23:00"
