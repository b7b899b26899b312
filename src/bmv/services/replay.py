"""Decide once more on the events of a journal and compare: the same actions, byte for byte.

A folder holds one run after another. A run that was killed may lack the last of its actions: what it lacks at
its very end is no difference.
"""

import contextlib
from collections.abc import Iterator
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.reconfiguring import settings_for
from bmv.core.state import State, new_state
from bmv.errors import BadInput, UnsafeState
from bmv.events import AnyEvent
from bmv.model import MarketSpec
from bmv.observe.segments import Record, records
from bmv.units import Millis

_entry = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_event = msgspec.json.Decoder(AnyEvent).decode
_encode = msgspec.json.Encoder().encode


class Difference(msgspec.Struct, frozen=True):
    """The first action that is another one now: its number in the run, after which event, and both."""

    index: int
    event: Any
    expected: Any
    got: Any


class Replayed(msgspec.Struct, frozen=True):
    """What a run came to when decided once more; ``complete``: it was closed, not killed."""

    version: str
    at: int
    events: int
    actions: int
    digest: str
    complete: bool
    first_difference: Difference | None


class RunHead(msgspec.Struct, frozen=True):
    """What a replay starts from, as the first record of a run tells it."""

    version: str
    at: Millis
    wallets: int
    market: MarketSpec
    settings: dict[str, str | int]

    def begin(self) -> tuple[State, Settings]:
        """Return the belief and the settings the run began with."""
        return new_state(self.market, self.wallets, self.at), Settings.model_validate(self.settings)


def replay(folder: Path) -> list[Replayed]:
    """Replay every run in a journal's folder; BadInput where it holds none, or is damaged."""
    runs: list[_Run] = []
    for record in records(folder):
        try:
            entry = _entry(record.payload)
            if "run" in entry:
                runs.append(_Run(msgspec.json.decode(entry["run"], type=RunHead)))
            elif runs:
                runs[-1].take(entry)
        except (msgspec.DecodeError, ValidationError) as error:
            raise _unknown(record, error) from error
    if not runs:
        raise BadInput("journal", str(folder), "a journal in which a run begins", "the state folder")
    return [run.ended() for run in runs]


def _unknown(record: Record, error: Exception) -> BadInput:
    allowed = f"records of this version at offset {record.offset}: {error}"
    return BadInput("journal", str(record.path), allowed, "the state folder")


class _Run:
    """One run: its events decided anew, its actions collected until the next event."""

    def __init__(self, head: RunHead) -> None:
        self._head = head
        self._state, self._settings = head.begin()
        self._digest, self._actions, self._events = sha256(), 0, 0
        self._event = msgspec.Raw(b"null")
        self._got: list[bytes] = []
        self._recorded: list[bytes] = []
        self._difference: Difference | None = None
        self._closed = False

    def take(self, entry: dict[str, msgspec.Raw]) -> None:
        """Take the next record."""
        if "event" in entry:
            self._compare(whole=True)
            self._decide(entry["event"])
        elif "action" in entry:
            self._recorded.append(bytes(entry["action"]))
        elif "end" in entry:
            self._closed = True

    def ended(self) -> Replayed:
        """Compare what is left and return what came of it."""
        self._compare(whole=self._closed)
        head = self._head
        return Replayed(
            version=head.version,
            at=int(head.at),
            events=self._events,
            actions=self._actions,
            digest=self._digest.hexdigest(),
            complete=self._closed,
            first_difference=self._difference,
        )

    def _decide(self, raw: msgspec.Raw) -> None:
        event = _event(raw)
        self._settings = settings_for(event, self._settings)
        self._event, self._events = raw, self._events + 1
        # An engine that caught itself goes on with what it believes by then, and so does a replay.
        with contextlib.suppress(UnsafeState):
            self._state, approved = decide(self._state, event, self._settings)
            self._got = [_encode(action) for action in approved.actions]

    def _compare(self, *, whole: bool) -> None:
        """Compare the actions after one event; not ``whole``: those recorded may be fewer."""
        for number, (expected, got) in enumerate(self._pairs(whole)):
            if expected != got and self._difference is None:
                self._difference = Difference(
                    self._actions + number, _said(self._event), _said(expected), _said(got)
                )
        for line in self._got:
            self._digest.update(line + b"\n")
        self._actions += len(self._got)
        self._got, self._recorded = [], []

    def _pairs(self, whole: bool) -> Iterator[tuple[bytes | None, bytes | None]]:
        got = self._got if whole else self._got[: len(self._recorded)]
        return zip_longest(self._recorded, got)


def _said(raw: msgspec.Raw | bytes | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
