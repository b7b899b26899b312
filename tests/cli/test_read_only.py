"""A state folder that may be read and not written: told in a line; the kill switch works even so."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bmv.cli import main
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch, LatchFile
from bmv.units import Millis
from tests.full_disk import full_at
from tests.state.valkey import running
from tests.unprivileged import unprivileged

MARKET = "B9coHrCxYv7xmPfSU7Z5VfugDqdTdZqZTpBGBdazq8AC"
Bmv = Callable[..., tuple[int, str]]


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Give a folder without the right to write, for whoever runs the tests."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


@pytest.fixture
def bmv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bmv:
    """Run a command as a user without rights; return exit code and errors."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["bmv", *map(str, words)])
        with unprivileged(), pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--headless", "--speed", "max", "--for", "1m"),
        ("sandbox",),
        ("run", "--config", "bmv.toml"),
        ("halt",),
        ("resume",),
    ],
)
def test_it_is_refused_in_one_line(bmv: Bmv, closed: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    settings = tmp_path / "bmv.toml"
    settings.write_text('RPC_URL = "http://127.0.0.1:1"\n')
    code, err = bmv(*(str(settings) if word == settings.name else word for word in words), "--state", closed)
    assert (code, err.count("\n")) == (2, 1), err
    assert f"bmv: --state: '{closed}" in err
    assert "can be written to (Permission denied)" in err
    assert not list(closed.iterdir())


def test_a_halt_reaches_redis_also_where_the_folder_cannot_be_written(
    bmv: Bmv, closed: Path, tmp_path: Path
) -> None:
    with running() as server:
        settings = tmp_path / "bmv.toml"
        settings.write_text(f'REDIS_URL = "{server.url.reveal()}"\nMARKET = "{MARKET}"\n')
        Path(server.url.reveal().split("@")[1]).chmod(0o777)
        Path(server.url.reveal().split("@")[1]).parent.chmod(0o755)
        code, err = bmv("halt", "--state", closed, "--config", settings, "--timeout", "1s")
        raised = list(server.direct.scan_iter("*:halt"))
    assert len(raised) == 1, err
    assert "not everywhere could the kill switch be raised: --state" in err
    assert "kill switch raised (Redis)" in err
    assert (code, "it has told nothing yet" in err) == (4, True)


def test_a_halt_without_the_engine_begins_also_where_no_switch_can_be_raised(
    bmv: Bmv, closed: Path, tmp_path: Path
) -> None:
    code, err = bmv("halt", "--now", "--state", closed)
    assert "kill switch not raised; withdrawing" in err
    assert (code, "keystore" in err) == (2, True), err


def test_a_full_disk_takes_a_raised_switch(tmp_path: Path) -> None:
    file = LatchFile(StateFolder(tmp_path))
    with full_at(0):
        file.raise_(Latch(at=Millis(5), reason="now", by="me"))
    latch = file.read()
    assert latch is not None
    assert latch.by == "set by hand in HALT"
