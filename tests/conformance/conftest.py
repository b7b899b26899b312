"""Find the compiled OpenBook program, and say at the end how many steps were compared with it."""

import os
from pathlib import Path

import pytest

WHERE = "BMV_OPENBOOK_V1_SO"
DEFAULT = Path("~/.cache/bmv/openbook_v1.so")
STEPS = pytest.StashKey[int]()


class StepCounter:
    """Counts the steps that agreed."""

    def __init__(self, config: pytest.Config) -> None:
        self._stash = config.stash

    def add(self, steps: int) -> None:
        self._stash[STEPS] = self._stash.get(STEPS, 0) + steps


def program_path() -> Path:
    return Path(os.environ.get(WHERE) or DEFAULT).expanduser()


@pytest.fixture(scope="session")
def compiled_program() -> bytes:
    """The bytes of the real program; skips where it is not at hand."""
    path = program_path()
    if not path.is_file():
        pytest.skip(f"no compiled program: set {WHERE}")
    return path.read_bytes()


@pytest.fixture(scope="session")
def counter(pytestconfig: pytest.Config) -> StepCounter:
    return StepCounter(pytestconfig)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    steps = config.stash.get(STEPS, 0)
    if steps:
        terminalreporter.write_line(f"conformance: {steps:,} steps")
    else:
        reason = "no test ran" if program_path().is_file() else f"no compiled program: set {WHERE}"
        terminalreporter.write_line(f"conformance: not run ({reason})")
