"""A passphrase comes from a descriptor, a credential, a keyring or a prompt, and shows nowhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bmv.errors import BadInput
from bmv.keys.passphrase import CREDENTIAL_NAME, read_passphrase
from bmv.keys.private import TooOpen
from bmv.secret import Secret

KEYSTORE = Path("keystore.json")


def descriptor(content: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


@pytest.mark.parametrize("content", [b"open sesame", b"open sesame\n", b"open sesame\r\n"])
def test_a_descriptor_is_read_to_its_end_and_closed(content: bytes) -> None:
    number = descriptor(content)
    assert read_passphrase(KEYSTORE, number, environ={}).reveal() == "open sesame"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000, b"secret\xff\xfe"])
def test_what_cannot_be_a_passphrase_is_refused_without_being_shown(content: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        read_passphrase(KEYSTORE, descriptor(content), environ={})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    number = descriptor(b"")
    os.close(number)
    with pytest.raises(BadInput, match="an open descriptor"):
        read_passphrase(KEYSTORE, number)


def test_a_systemd_credential_is_found_and_must_be_private(tmp_path: Path) -> None:
    credential = tmp_path / CREDENTIAL_NAME
    credential.write_text("open sesame\n")
    credential.chmod(0o400)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_passphrase(KEYSTORE, None, environ=environ).reveal() == "open sesame"
    assert read_passphrase(KEYSTORE, descriptor(b"first"), environ=environ).reveal() == "first"
    if os.geteuid() == 0:
        # Newer systemd keeps it root's and lets its user read by a list, which shows as the group's bit.
        credential.chmod(0o440)
        assert read_passphrase(KEYSTORE, None, environ=environ).reveal() == "open sesame"
    for mode in (0o444, 0o460):
        credential.chmod(mode)
        with pytest.raises(TooOpen):
            read_passphrase(KEYSTORE, None, environ=environ)


TOOL = """#!/bin/sh
[ "$*" = "lookup service bmv-keystore path $EXPECTED" ] && printf 'open sesame\\n'
"""


def test_a_keyring_is_asked_for_the_keystore_s_own_path_where_a_desktop_runs(tmp_path: Path) -> None:
    tool = tmp_path / "secret-tool"
    tool.write_text(TOOL)
    tool.chmod(0o700)
    desktop = {"PATH": str(tmp_path), "EXPECTED": str(KEYSTORE.resolve()), "DBUS_SESSION_BUS_ADDRESS": "x"}
    assert read_passphrase(KEYSTORE, None, environ=desktop).reveal() == "open sesame"
    no_desktop = {name: value for name, value in desktop.items() if name != "DBUS_SESSION_BUS_ADDRESS"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmv.keys.passphrase.ask", lambda *_, **__: Secret("typed"))
        for keystore, environ in ((KEYSTORE, no_desktop), (Path("another.json"), desktop)):
            assert read_passphrase(keystore, None, environ=environ).reveal() == "typed"


SCRIPT = """
import sys
from pathlib import Path
from bmv.errors import BadInput
from bmv.keys.passphrase import read_passphrase
try:
    print("got", read_passphrase(Path("keystore.json"), None, confirm=True).reveal())
except BadInput as error:
    print(error)
"""


def test_the_environment_itself_is_never_a_source() -> None:
    names = ("PASSPHRASE", "BMV_PASSPHRASE", "KEYSTORE_PASSPHRASE", "BMV_KEYSTORE_PASSPHRASE")
    environ = {**os.environ, **dict.fromkeys(names, "open sesame")}
    command = [sys.executable, "-c", SCRIPT]
    shown = subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=True,
    ).stdout.decode()
    assert "--passphrase-fd" in shown
    assert "sesame" not in shown


@pytest.mark.parametrize(
    ("typed", "expected"), [("one\none\n", "got one"), ("one\ntwo\n", "the same twice"), ("\n\n", "1 to")]
)
def test_a_new_passphrase_is_asked_twice_on_the_terminal_and_not_echoed(typed: str, expected: str) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", SCRIPT])
    shown = b""
    answers = iter(typed.splitlines(keepends=True))
    try:
        while piece := os.read(terminal, 1000):
            shown += piece
            if shown.endswith((b"json: ", b"more: ")):
                os.write(terminal, next(answers).encode())
    except OSError:
        pass  # the terminal is closed once the child has ended
    os.waitpid(child, 0)
    os.close(terminal)
    assert expected in shown.decode()
    assert "two" not in shown.decode()
