"""Logs: JSON lines on stderr, stamped by the engine's own clock."""

import io
import json

import pytest

from bmv.observe.log import configure, get_logger
from bmv.units import Millis


@pytest.mark.parametrize("quiet", [True, False])
def test_a_log_line_is_json_on_stderr_with_the_clocks_time(
    quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(lambda: Millis(1_234), quiet=quiet)
    log = get_logger("feed")
    log.debug("UNSEEN")
    log.info("FEED_UP", slot=5)
    log.warning("stream_down", reason="gone")
    told = capsys.readouterr()
    assert told.out == ""
    lines = [json.loads(line) for line in told.err.splitlines()]
    expected = (
        [] if quiet else [{"room": "feed", "event": "FEED_UP", "level": "info", "at": 1_234, "slot": 5}]
    )
    expected.append(
        {"room": "feed", "event": "stream_down", "level": "warning", "at": 1_234, "reason": "gone"}
    )
    assert lines == expected


def test_a_log_line_goes_to_what_stderr_is_when_it_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = io.StringIO()
    with monkeypatch.context() as before:
        before.setattr("sys.stderr", gone)
        configure(lambda: Millis(1), quiet=True)
        log = get_logger("feed")
    gone.close()
    log.warning("stream_down")
    assert "stream_down" in capsys.readouterr().err
