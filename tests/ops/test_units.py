"""The systemd units: commands, options and keys they name exist, and restarts fit the exit codes."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bmv import config
from bmv.errors import OutsideError, UnsafeState
from bmv.keys.passphrase import CREDENTIAL_NAME
from tests.processes import BMV
from tests.test_docs import options_of, resolve

FOLDER = Path(__file__).parents[2] / "ops" / "systemd"
UNITS = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.service"))}
INSTALLED = "/opt/bmv/.venv/bin"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNITS[unit], re.MULTILINE)


def test_there_is_one_for_the_engine_and_one_for_its_signer() -> None:
    assert set(UNITS) == {"bmv.service", "bmv-signer.service"}
    assert "bmv-signer.service" in values("bmv.service", "After")[0]
    assert "bmv-signer.service" in values("bmv.service", "Wants")[0]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_starts_a_command_with_options_that_exist(unit: str) -> None:
    (start,) = values(unit, "ExecStart")
    program, *words = shlex.split(start)
    assert program == f"{INSTALLED}/bmv"
    command, rest = resolve(words)
    assert command.name == {"bmv.service": "run", "bmv-signer.service": "signer"}[unit]
    assert {word for word in rest if word.startswith("-")} <= options_of(command)
    assert rest[rest.index("--state") + 1] == "/var/lib/" + values(unit, "StateDirectory")[0]
    environ = dict(line.split("=", 1) for line in values(unit, "Environment"))
    config.load(None, environ=environ)
    assert all(key.removeprefix("BMV_") in config.KNOWN_KEYS for key in environ)


def test_the_passphrase_is_a_credential_of_the_signer_alone() -> None:
    (credential,) = values("bmv-signer.service", "LoadCredentialEncrypted")
    assert credential.split(":")[0] == CREDENTIAL_NAME
    assert "Credential" not in UNITS["bmv.service"]
    assert values("bmv-signer.service", "Type") == ["notify"]


def test_a_latched_engine_is_left_alone_and_a_lonely_one_is_started_again() -> None:
    assert values("bmv.service", "Restart") == ["on-failure"]
    left_alone = {int(code) for code in values("bmv.service", "RestartPreventExitStatus")[0].split()}
    assert UnsafeState.exit_code in left_alone
    assert OutsideError.exit_code not in left_alone
    # A stop is heard by the engine, not by the database beside it, and has the time a halt may need.
    assert values("bmv.service", "KillMode") == ["mixed"]
    assert values("bmv.service", "TimeoutStopSec") == ["10min"]


@pytest.mark.parametrize("unit", UNITS)
def test_nobody_gets_at_its_memory(unit: str) -> None:
    assert values(unit, "LimitCORE") == ["0"]
    assert values(unit, "NoNewPrivileges") == ["yes"]
    assert values(unit, "User") == ["bmv"]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_a_unit_and_finds_it_closed(unit: str, tmp_path: Path) -> None:
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace(INSTALLED, str(Path(BMV).parent)))
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(
            ["systemd-analyze", *command, str(tmp_path / unit)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert command[0] == "security" or done.stderr == ""
