"""Terminals of a person: commands typed into them as they stand, prompts for a passphrase answered."""

import os
import pty
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROMPTS = (b"passphrase of ", b"once more: ")
PATIENCE_S = 60


class Terminal:
    """One command in a terminal of its own, with the folder and the environment of whoever opened it."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str], passphrase: str) -> None:
        self._master, inner = pty.openpty()
        self._passphrase, self._output, self.prompts = passphrase.encode(), b"", 0
        # Opened by the leader of a session, it becomes the terminal that belongs to it.
        typed = f"exec <>{os.ttyname(inner)} >&0 2>&0; {command}"
        self._process = subprocess.Popen(
            ["bash", "-c", typed], cwd=folder, env=environ, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._inner: int | None = inner

    def _read(self) -> None:
        line = b""
        while True:
            try:
                found = os.read(self._master, 65_536)
            except OSError:  # nobody has the other end any more
                return
            self._output += found
            line = (line + found).rpartition(b"\n")[2]
            if line.startswith(PROMPTS) and line.endswith(b": "):
                self.prompts, line = self.prompts + 1, b""
                os.write(self._master, self._passphrase + b"\n")

    @property
    def shown(self) -> str:
        """Return what stands on the screen so far."""
        return self._output.decode(errors="replace")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._master, b"\x03")

    def wait_for(self, text: str) -> None:
        """Wait until a text is shown."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            assert self._process.poll() is None, self.shown
            time.sleep(0.05)

    def ended(self) -> int:
        """Wait for the end of the command and return its exit code; what it said is complete then."""
        code = self._process.wait(PATIENCE_S)
        self._hang_up()
        return code

    def _hang_up(self) -> None:
        if self._inner is not None:
            os.close(self._inner)
            self._inner = None
            self._reader.join(5)

    def close(self) -> None:
        """End the command if it goes on, and close the terminal."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
        self._hang_up()
        os.close(self._master)


@contextmanager
def desk(folder: Path, environ: dict[str, str], passphrase: str) -> Iterator["Desk"]:
    """Give somebody's desk in a folder; every terminal is closed at the end, the newest first."""
    opened = Desk(folder, environ, passphrase)
    try:
        yield opened
    finally:
        for terminal in reversed(opened.terminals):
            terminal.close()


class Desk:
    """Opens terminals."""

    def __init__(self, folder: Path, environ: dict[str, str], passphrase: str) -> None:
        self._given = (folder, environ, passphrase)
        self.terminals: list[Terminal] = []

    def type(self, command: str) -> Terminal:
        """Type a command into a terminal of its own."""
        self.terminals.append(Terminal(command, *self._given))
        return self.terminals[-1]
