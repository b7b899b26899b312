"""Where a passphrase comes from: a file descriptor, a systemd credential, the desktop's keyring, or a prompt.

Never from the command line's words or the environment: both are shown to other programs.
The first of these that there is counts, in this order:

1. the descriptor the caller names (``--passphrase-fd 3 3<file``), read to its end;
2. ``bmv-passphrase`` in the folder ``$CREDENTIALS_DIRECTORY``, which systemd sets
   (``LoadCredentialEncrypted=``);
3. the keyring, where ``secret-tool`` (libsecret) is installed and a desktop session runs:
   ``secret-tool store --label=bmv service bmv-keystore path /the/keystore.json``;
4. a question on the terminal.

One line break at the end is no part of it.
"""

import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bmv.errors import BadInput
from bmv.keys.private import read_private
from bmv.secret import Secret

CREDENTIAL_NAME = "bmv-passphrase"
MAX_BYTES = 4096
KEYRING_TIMEOUT_S = 20.0
_SOURCES = "a descriptor (--passphrase-fd), a systemd credential, a keyring, or a terminal to ask on"


def read_passphrase(
    keystore: Path, descriptor: int | None, *, confirm: bool = False, environ: Mapping[str, str] = os.environ
) -> Secret:
    """Return the passphrase of ``keystore``; asked on a terminal, ``confirm`` asks twice.

    Raises BadInput where there is none, or it is empty, too long or no text.
    """
    if descriptor is not None:
        return read_descriptor(descriptor)
    for found in (_from_credential(environ), _from_keyring(keystore, environ)):
        if found is not None:
            return found
    return ask(f"passphrase of {keystore}", confirm=confirm)


def read_descriptor(descriptor: int, option: str = "--passphrase-fd") -> Secret:
    """Read a secret line from an open file descriptor, and close it."""
    return Secret(_line(read_all(descriptor, option, MAX_BYTES), option))


def read_all(descriptor: int, option: str, limit: int) -> bytes:
    """Read a descriptor to its end and close it; raise BadInput where it cannot be, or holds too much."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        allowed = f"an open descriptor ({error.strerror})"
        raise BadInput(option, descriptor, allowed, "command line") from error
    if len(content) > limit:
        raise BadInput(option, descriptor, f"at most {limit} bytes behind it", "command line")
    return content


def ask(what: str, *, confirm: bool = False) -> Secret:
    """Ask on the terminal without showing what is typed; raise BadInput where there is no terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise BadInput("passphrase", "none", _SOURCES, "every source") from None
    first = getpass.getpass(f"{what}: ")
    if confirm and getpass.getpass("once more: ") != first:
        raise BadInput("passphrase", "***", "the same twice", "terminal")
    return Secret(_line(first.encode(), "terminal"))


def _from_credential(environ: Mapping[str, str]) -> Secret | None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / CREDENTIAL_NAME if folder else None
    if path is None or not path.exists():
        return None
    return Secret(_line(read_private(CREDENTIAL_NAME, path, granted=True), str(path)))


def _from_keyring(keystore: Path, environ: Mapping[str, str]) -> Secret | None:
    tool = shutil.which("secret-tool", path=environ.get("PATH"))
    if tool is None or "DBUS_SESSION_BUS_ADDRESS" not in environ:
        return None
    command = [tool, "lookup", "service", "bmv-keystore", "path", str(keystore.resolve())]
    try:
        found = subprocess.run(
            command, env=dict(environ), capture_output=True, timeout=KEYRING_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Secret(_line(found.stdout, "keyring")) if found.returncode == 0 and found.stdout else None


def _line(content: bytes, source: str) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # Without the cause: it quotes the bytes.
        raise BadInput("passphrase", "***", "text in UTF-8", source) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(content) > MAX_BYTES:
        raise BadInput("passphrase", "***", f"1 to {MAX_BYTES} bytes", source)
    return text
