"""The state folder (``--state``): what lies where in it.

| path | what |
|---|---|
| journal/ | every event and action, in segments |
| spool/ | history that PostgreSQL has not taken yet |
| servers/ | the local PostgreSQL and Valkey: their data, or where their data is |
| run/ | lock, sockets and switches of running processes |
| baseline.json, keystore.json | the count of bought base; the keys |
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bmv.errors import BadInput


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Name the parts of one state folder; nothing is made before it is asked for."""

    root: Path

    def __post_init__(self) -> None:
        # Servers are started elsewhere.
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def journal(self) -> Path:
        """Return the folder of the journal's segments."""
        return self.root / "journal"

    @property
    def spool(self) -> Path:
        """Return the folder of what waits for PostgreSQL."""
        return self.root / "spool"

    @property
    def servers(self) -> Path:
        """Return the folder of the local servers."""
        return self.root / "servers"

    @property
    def run(self) -> Path:
        """Return the folder of run files."""
        return self.root / "run"

    @property
    def signer(self) -> Path:
        """Return the socket of the signer."""
        return self.run / "signer.sock"

    @property
    def page(self) -> Path:
        """Return the file that says where the live page is."""
        return self.run / "page.json"

    @property
    def signer_log(self) -> Path:
        """Return what the signer writes."""
        return self.run / "signer.log"

    @property
    def baseline(self) -> Path:
        """Return the file that counts bought base."""
        return self.root / "baseline.json"

    @property
    def keystore(self) -> Path:
        """Return the file of keys."""
        return self.root / "keystore.json"

    def keystore_of(self, configured: str) -> Path:
        """Return where the keys are: what KEYSTORE says, else the folder's own file."""
        return Path(configured) if configured else self.keystore


@contextmanager
def temporary_state() -> Iterator[StateFolder]:
    """Give a state folder that is gone when the block ends; the servers' user can reach what is its own."""
    with tempfile.TemporaryDirectory(prefix="bmv-") as folder:
        os.chmod(folder, 0o711)
        yield StateFolder(Path(folder))


def made(path: Path, mode: int = 0o700) -> Path:
    """Make a folder of the state where it is missing and return it; BadInput where that is not possible."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def unwritable(path: Path, error: OSError) -> BadInput:
    """Return the complaint about a place that cannot be written."""
    allowed = f"a folder that can be written to ({error.strerror or error})"
    return BadInput("--state", str(path), allowed, "command line")
