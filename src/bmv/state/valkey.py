"""A Valkey (or Redis) of our own: append-only file, password, UNIX socket."""

import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from bmv.state.programs import valkey_program
from bmv.state.server import STOP_S, Server, write_private

ANSWER_S = 2.0


class ValkeyServer(Server):
    """The hot state's server."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        """Write its settings, the password among them; stop a server that a dead owner left."""
        self.place.folder_of("valkey")
        settings = {
            "port": "0",
            "unixsocket": f'"{self._socket()}"',
            "unixsocketperm": "700",
            "dir": f'"{self.place.folder / "valkey"}"',
            "requirepass": self.password_file().read_text(),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        text = "".join(f"{key} {value}\n" for key, value in settings.items())
        write_private(self.place, self.place.folder / "valkey.conf", text)
        deadline = time.monotonic() + STOP_S
        while self._says("SHUTDOWN") is not None and time.monotonic() < deadline:
            time.sleep(0.02)

    def command(self) -> list[str]:
        """Return the server's command line."""
        return [str(valkey_program(self.place)), str(self.place.folder / "valkey.conf")]

    def answers(self) -> bool:
        """Return whether it answers a ping; while it reads its file it says LOADING instead."""
        return self._says("PING") == b"+PONG"

    def _says(self, word: str) -> bytes | None:
        """Return the first line it answers a command with, None where nobody answers."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            words = f"AUTH {self.password_file().read_text()}\r\n{word}\r\n"
            connection.settimeout(ANSWER_S)
            connection.connect(str(self._socket()))
            connection.sendall(words.encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(1024)):
                answer += more
            return answer.split(b"\r\n")[1] if answer.count(b"\r\n") == 2 else b""
        return None

    def _url(self, password: str) -> str:
        return f"unix://{quote(str(self._socket()))}?password={quote(password)}"

    def _socket(self) -> Path:
        return self.place.sockets / "valkey.sock"
