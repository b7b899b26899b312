"""How far a long command is: a bar on a terminal, a line now and then where nobody watches; and Ctrl-C."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

EVERY_S = 10.0
"""Lines come no closer than this."""


class Tell(Protocol):
    """Takes the part that is done, 0 to 1, and a few words."""

    def __call__(self, done: float, note: str = "") -> None:
        """Show it."""
        ...


@contextlib.contextmanager
def progress(
    name: str, stream: TextIO | None = None, seconds: Callable[[], float] = time.monotonic
) -> Iterator[Tell]:
    """Show the progress of ``name`` on standard error while the block runs; yield what hears of it."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _lines(name, stream, seconds)
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()),
        *(TextColumn("{task.fields[note]}"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task(name, total=1.0, note="")

        def tell(done: float, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield tell


def _lines(name: str, stream: TextIO, seconds: Callable[[], float]) -> Tell:
    due = seconds() + EVERY_S

    def tell(done: float, note: str = "") -> None:
        nonlocal due
        if seconds() >= due:
            due = seconds() + EVERY_S
            print(" ".join([f"{name}: {done:.0%}", *([note] if note else [])]), file=stream, flush=True)

    return tell


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Take the first Ctrl-C of the block as a wish to stop, a second one as usual; yield who knows of it."""
    asked = False

    def wish(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
