"""The pages of a journal, one a segment, and what is known where each begins.

A start reads the journal once and notes its pages; what is missing elsewhere is then read back from the page
it stands on, not from the first one.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from bmv.events import AnyAction
from bmv.observe.segments import RUN_PREFIX, number_of
from bmv.services.chronicle import told_of
from bmv.units import Millis

EVENT, ACTION = b'{"event":', b'{"action":'
_DUTY = b'{"event":{"type":"WalletDuty"'
_REPORT = b'{"action":{"type":"Report"'
_MOVES = tuple(b'{"action":{"type":"%s"' % kind for kind in (b"Fund", b"Collect"))
TOLD = (_REPORT, *_MOVES)
"""How the records of actions that are kept as rows begin."""
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_millis = msgspec.json.Decoder(int).decode
_action = msgspec.json.Decoder(AnyAction).decode


class _Head(msgspec.Struct, frozen=True):
    at: Millis
    owners: tuple[str, ...] = ()


class _Duty(msgspec.Struct, frozen=True):
    wallet: int
    owner: str


class Page(NamedTuple):
    """Before the first record of segment ``number``: when the last event was, of which run, whose.

    ``told`` is how many rows the run's actions had given by then.
    """

    number: int
    at: Millis
    run: Millis
    owners: tuple[str, ...]
    told: int


class Cursor:
    """Follow a journal record by record, from its beginning or from where a page begins."""

    def __init__(self, page: Page | None = None) -> None:
        self._at, self.run, self.owners, self.told = page[1:] if page else (Millis(0), Millis(0), (), 0)
        self._event = b""
        self._path: Path | None = None

    @property
    def at(self) -> Millis:
        """Return when the last event was; looked up only where somebody asks."""
        if self._event:
            self._at, self._event = Millis(_millis(_fields(self._event)["at"])), b""
        return self._at

    def turned(self, path: Path) -> Page | None:
        """Return the page that begins with a segment; None where it is still the one before."""
        if path == self._path:
            return None
        self._path = path
        return Page(number_of(path), self.at, self.run, self.owners, self.told)

    def follow(self, payload: bytes) -> None:
        """Take the next record."""
        if payload.startswith(EVENT):
            self._event = payload[len(EVENT) : -1]
            if payload.startswith(_DUTY):
                duty = msgspec.json.decode(self._event, type=_Duty)
                # A wallet that joined while the run went on.
                self.owners += (duty.owner,) if duty.wallet == len(self.owners) else ()
        elif payload.startswith(_REPORT):
            self.told += 1
        elif payload.startswith(_MOVES):
            self.told += len(told_of(_action(payload[len(ACTION) : -1])))
        elif payload.startswith(RUN_PREFIX):
            head = msgspec.json.decode(payload[len(RUN_PREFIX) : -1], type=_Head)
            self.run, self.owners, self.told = head.at, head.owners, 0


def page_of(pages: Sequence[Page], since: Millis) -> Page | None:
    """Return the page from which on nothing at or after ``since`` is missed; None where there are no pages.

    A clock may have been set back between two of them: the first one counts that ends late enough.
    """
    for page, following in pairwise(pages):
        if following.at >= since:
            return page
    return pages[-1] if pages else None
