"""Decide once more on the events of a journal, in a process of its own: ``redeciding SEED JOURNAL COPY``.

COPY gets the same events and the actions decided now, so that the two must be equal byte for byte.
"""

import sys
from pathlib import Path

import msgspec

from bmv.core.decide import decide
from bmv.events import AnyEvent
from bmv.observe.journal import Journal
from bmv.observe.segments import records
from tests.core.world import new_world


def redecide(seed: int, journal: Path, copy: Path) -> None:
    """Write to ``copy`` what a fresh engine of the world ``seed`` decides on the events in ``journal``."""
    world, again = new_world(seed), Journal(copy)
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    state = world.state
    for record in records(journal):
        entry = decode(record.payload)
        if "event" in entry:
            event: AnyEvent = msgspec.json.decode(entry["event"], type=AnyEvent)
            again.event(event)
            state, approved = decide(state, event, world.chosen)
            for action in approved.actions:
                again.action(action)
    again.close()


if __name__ == "__main__":
    redecide(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
