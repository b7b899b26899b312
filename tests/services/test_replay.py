"""Replay: the same actions again, and the first that is another one; runs that were killed; bad input."""

import json
from pathlib import Path

import pytest

from bmv.errors import BadInput
from bmv.observe.journal import Journal
from bmv.observe.segments import Record, line_of, records, segments
from bmv.sandbox.clock import LoopClock
from bmv.services.replay import replay
from tests.services.living_world import living, virtually


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Return the records of a short run."""
    folder = tmp_path_factory.mktemp("journal")

    async def scenario(clock: LoopClock) -> None:
        async with living(clock, journal=(journal := Journal(folder))) as it:
            assert await it.run_engine(90)
        journal.close()

    virtually(scenario)
    return list(records(folder))


def written(folder: Path, payloads: list[bytes]) -> Path:
    """Write a journal of one segment."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(segments(folder)) + 1:08d}.journal"
    path.write_bytes(b"".join(map(line_of, payloads)))
    return folder


def test_a_run_killed_after_any_record_replays_without_a_difference(
    tmp_path: Path, lived: list[Record]
) -> None:
    payloads = [record.payload for record in lived]
    sizes = [size for size in range(2, len(payloads)) if not payloads[size].startswith(b'{"event":')]
    assert len(sizes) > 12
    for size in sizes:
        written(tmp_path, payloads[:size])
    for run in replay(tmp_path):
        assert (run.complete, run.first_difference) == (False, None)


def test_the_first_action_that_is_another_one_is_told(tmp_path: Path, lived: list[Record]) -> None:
    payloads = [record.payload for record in lived]
    actions = [index for index, payload in enumerate(payloads) if payload.startswith(b'{"action":')]
    chosen = 5
    place = actions[chosen]
    entry = json.loads(payloads[place])
    entry["action"]["wallet" if "wallet" in entry["action"] else "name"] = "another"
    payloads[place] = json.dumps(entry).encode()
    (run,) = replay(written(tmp_path, payloads))
    found = run.first_difference
    assert found is not None
    assert found.index == chosen
    assert found.expected == entry["action"]
    assert found.got == json.loads(lived[place].payload)["action"]
    before = next(p for p in reversed(payloads[:place]) if p.startswith(b'{"event":'))
    assert found.event == json.loads(before)["event"]


@pytest.mark.parametrize("change", ["one less", "one more"])
def test_an_action_too_few_or_too_many_is_a_difference(
    tmp_path: Path, lived: list[Record], change: str
) -> None:
    payloads = [record.payload for record in lived]
    place = next(index for index, payload in enumerate(payloads) if payload.startswith(b'{"action":'))
    payloads[place : place + 1] = [] if change == "one less" else [payloads[place]] * 2
    (run,) = replay(written(tmp_path, payloads))
    assert run.first_difference is not None
    assert run.first_difference.index == (0 if change == "one less" else 1)


def test_what_is_no_journal_is_refused(tmp_path: Path, lived: list[Record]) -> None:
    with pytest.raises(BadInput, match="a folder with a journal"):
        replay(tmp_path)
    with pytest.raises(BadInput, match="in which a run begins"):
        replay(written(tmp_path / "headless", [record.payload for record in lived[1:]]))
    unknown = [lived[0].payload, b'{"event":{"type":"Unheard"}}']
    with pytest.raises(BadInput, match=f"offset {len(line_of(unknown[0]))}"):
        replay(written(tmp_path / "unknown", unknown))
