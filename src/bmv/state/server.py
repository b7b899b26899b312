"""One local server: owned by whoever holds its lock, borrowed by everybody else of the same state folder.

Rules of this file
- The owner starts the server, starts it again at once when it dies, and stops it. The kernel frees the lock
  of a dead owner; a server it left running is stopped first.
- A server runs in a session of its own, so that Ctrl-C is for the engine alone; where ``setpriv`` is there,
  the kernel ends it when its owner dies.
- All of it runs in threads by the machine's clock: servers are real, whatever time the engine lives in.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from bmv.errors import Unreachable
from bmv.observe.log import get_logger
from bmv.secret import Secret
from bmv.state.folder import StateFolder, unwritable
from bmv.state.place import Place, choose_place
from bmv.state.programs import popen_options

START_S = 60.0
STOP_S = 20.0
LOOK_EVERY_S = 0.02
HEALTHY_S = 5.0
"""A server that dies sooner than this after its start is given a pause before the next one."""
LONGEST_PAUSE_S = 5.0
LOG_LIMIT = 8_000_000


class Server(ABC):
    """Own or borrow one server; ``start`` and ``stop`` block and belong into a thread."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._lock: int | None = None
        self._watcher: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._place: Place | None = None
        self.restarts = 0

    @property
    def place(self) -> Place:
        """Return where it runs; known once ``start`` was called."""
        assert self._place is not None
        return self._place

    @property
    def url(self) -> Secret:
        """Return where it is, for a client."""
        return Secret(self._url(self.password_file().read_text()))

    def start(self) -> None:
        """Return once the server answers; BadInput, Unreachable or UnsafeState say why it does not."""
        with self._turn:
            if self._stopping.is_set():
                return
            try:
                self._place = choose_place(self._state)
                self._lock = _try_lock(self._state.servers / f"{self.name}.lock")
                if self._lock is not None:
                    self._own()
            except OSError as error:
                raise unwritable(self._state.servers, error) from error
            self._await_answer()

    def stop(self) -> None:
        """Stop the server if it is ours, and give it free."""
        self._stopping.set()
        with self._turn:
            if self._watcher is not None:
                self._watcher.join()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    @abstractmethod
    def prepare(self) -> None:
        """Make what the server needs before its first start; end what a dead owner left running."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground; no secret is in it."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server takes work now."""

    @abstractmethod
    def _url(self, password: str) -> str: ...

    def password_file(self) -> Path:
        """Return the file with the server's password, which its first owner makes."""
        return self.place.folder / f"{self.name}.password"

    def _own(self) -> None:
        if not self.password_file().exists():
            write_private(self.place, self.password_file(), secrets.token_urlsafe(24))
        self.prepare()
        self._watcher = threading.Thread(target=self._watch, name=f"{self.name} server", daemon=True)
        self._watcher.start()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._stopping.is_set():
            if self.answers():
                return
            if time.monotonic() > deadline or not (self._watcher is None or self._watcher.is_alive()):
                raise Unreachable(self.name, f"it does not start; its log ends: {self._last_words()}")
            time.sleep(LOOK_EVERY_S)

    def _last_words(self) -> str:
        with suppress(OSError):
            return self._log().read_bytes()[-400:].decode(errors="replace").strip()
        return "(no log)"

    def _log(self) -> Path:
        return self.place.folder / f"{self.name}.log"

    def _watch(self) -> None:
        """Run the server until told to stop; this thread is its parent, so it lives as long as the server."""
        pause = 0.0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            self.restarts += 1
            get_logger("servers").warning("SERVER_RESTARTED", server=self.name, exit_code=code)
            pause = 0.0 if time.monotonic() - began > HEALTHY_S else min(LONGEST_PAUSE_S, 2 * pause + 0.05)
            self._stopping.wait(pause)

    def _run_once(self) -> int:
        options = popen_options(self.place)
        follows = (
            ["setpriv", "--pdeathsig", self.stop_signal.name[3:], "--"] if shutil.which("setpriv") else []
        )
        log = self._log()
        with log.open("wb" if log.exists() and log.stat().st_size > LOG_LIMIT else "ab") as output:
            process = subprocess.Popen(
                [*follows, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
        self._process = process
        while process.poll() is None and not self._stopping.is_set():
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
        return _ended(process, self.stop_signal)


def _ended(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> int:
    """Return the exit code, asking a process that still runs to stop."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def write_private(place: Place, path: Path, text: str) -> None:
    """Write a small file that only the servers' user may read, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open(partial, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    place.own(partial).replace(path)


def _try_lock(path: Path) -> int | None:
    """Return the descriptor that holds a lock; None where another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
