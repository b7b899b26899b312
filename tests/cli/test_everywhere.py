"""What holds for every command: --json, exit codes that are written down, completion in the shell."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bmv import errors
from bmv.cli import entry, main
from tests.cli.spoken import READ_ELSEWHERE, SAYS
from tests.processes import BMV, PATIENCE_S

ROOT = Path(__file__).parents[2]


def every_command(command: Any, name: str = "bmv") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for part, child in children.items():
        yield from every_command(child, f"{name} {part}")


COMMANDS = dict(every_command(typer.main.get_command(main.app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_speaks_json(name: str) -> None:
    flags = {flag for param in COMMANDS[name].params for flag in param.opts}
    assert "--json" in flags


def test_the_json_of_every_command_is_read_by_some_test() -> None:
    elsewhere = [name for names in READ_ELSEWHERE.values() for name in names]
    assert sorted([*SAYS, *elsewhere]) == sorted(COMMANDS)
    for file, names in READ_ELSEWHERE.items():
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert "json.loads" in text or "told(" in text, file
        assert [name for name in names if f'"{name.split()[-1]}"' not in text and name != "bmv run"] == []


def test_every_command_and_group_says_what_it_is_for() -> None:
    assert all(command.help for command in COMMANDS.values())
    assert len(COMMANDS) > 30


def codes_in(paper: str, heading: str) -> set[int]:
    text = (ROOT / paper).read_text(encoding="utf-8").partition(heading)[2].partition("\n#")[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}


def test_the_papers_name_every_exit_code_and_no_other() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.BmvError)}
    expected = {0, entry.INTERRUPTED, *codes}
    assert codes_in("README.md", "### Exit codes") == expected
    assert codes_in("README.ru.md", "## Коды возврата") == expected
    assert {int(code) for code in re.findall(r"\d+(?= [a-z])", str(main.__doc__))} == expected


def test_the_sandbox_tells_people_where_it_is() -> None:
    with subprocess.Popen([BMV, "sandbox", "--no-json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert re.fullmatch(r"rpc_url +http://127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert "\nmarket  " in process.stdout.read()
        process.wait(PATIENCE_S)
    assert process.returncode == 0


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(BMV).parent}:{os.environ['PATH']}"}

    def bash(script: str) -> str:
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        return done.stdout

    bash("bmv --install-completion; true")
    # As the shell does it when somebody presses the tab key.
    press = "_bmv_completion bmv; echo ${COMPREPLY[@]}"
    asked = ["COMP_WORDS=(bmv wal); COMP_CWORD=1", "COMP_WORDS=(bmv halt --pa); COMP_CWORD=2"]
    told = bash(f"source ~/.bashrc; complete -p bmv; {'; '.join(f'{one}; {press}' for one in asked)}")
    assert "-F _bmv_completion bmv" in told
    assert told.splitlines()[1:] == ["wallets", "--passphrase-fd"]
    # Which shell asks is seen by whose child the command is.
    assert "_BMV_COMPLETE" in bash("bmv --show-completion; true")
