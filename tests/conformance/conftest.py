"""Find the compiled OpenBook program, and count the steps that were compared with it."""

import pytest

from tests.conftest import STEPS, WHERE, program_path


class StepCounter:
    """Counts the steps that agreed."""

    def __init__(self, config: pytest.Config) -> None:
        self._stash = config.stash

    def add(self, steps: int) -> None:
        self._stash[STEPS] = self._stash.get(STEPS, 0) + steps


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
