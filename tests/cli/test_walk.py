"""The newcomer's walk: the very lines of the README, from the first wallet to a halt and beyond it."""

import os
import re
import time
from pathlib import Path

from tests.processes import BMV, PASSPHRASE
from tests.terminals import PATIENCE_S, Desk, Terminal, desk

README = Path(__file__).parents[2] / "README.md"


def lines() -> list[tuple[str, str]]:
    """Return commands and comments of the walk, in order."""
    text = README.read_text(encoding="utf-8")
    block = text[text.index("<!-- walk -->") : text.index("<!-- /walk -->")]
    found = re.findall(r"^(bmv .*?)\s+# (.*)$", block, re.MULTILINE)
    assert len(found) == block.count("\nbmv ") == 10
    return found


def until_quoting(at: Desk, command: str) -> str:
    """Ask for the status, as somebody does who waits, until orders stand."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        asked = at.type(command)
        if asked.ended() == 0 and "\r\nquoting" in asked.shown and "\r\n0 orders" not in asked.shown:
            return asked.shown
        time.sleep(0.5)
    raise AssertionError(asked.shown)


def test_the_walk_of_the_readme_works_line_by_line(tmp_path: Path) -> None:
    began = time.monotonic()
    environ = {**os.environ, "PATH": f"{Path(BMV).parent}:{os.environ['PATH']}", "TERM": "dumb"}
    shown: dict[str, Terminal] = {}
    with desk(tmp_path, environ, PASSPHRASE) as at:
        for command, comment in lines():
            name = command.split()[1] if "--stop" not in command else "stop"
            if name == "status":
                status = until_quoting(at, command)
                continue
            shown[name] = terminal = at.type(command)
            if not comment.startswith("another terminal"):
                assert terminal.ended() == 0, f"{command}\n{terminal.shown}"
            elif name == "sandbox":
                terminal.wait_for('"rpc_url"')
        # The engine was halted from outside and says so; the world goes on until Ctrl-C.
        assert shown["run"].ended() == 3, shown["run"].shown
        shown["sandbox"].interrupt()
        assert shown["sandbox"].ended() == 0
        everything = "".join(terminal.shown for terminal in at.terminals)
    assert re.search(r"\d+ orders stand", status)
    assert "FAILED" not in shown["doctor"].shown
    assert "verified on the chain: nothing is left" in shown["halt"].shown
    assert "nothing of ours is left on the chain; enough for today" in shown["run"].shown
    assert "released: enough for today" in shown["resume"].shown
    assert re.search(r"signer \d+ ended; it had signed \d\d+ transactions and refused 0", shown["stop"].shown)
    # Asked twice to make the keystore and once to open it, and never shown.
    assert sum(terminal.prompts for terminal in at.terminals) == 3
    assert PASSPHRASE not in everything
    assert not (tmp_path / "live" / "run" / "HALT").exists()
    print(f"the walk took {time.monotonic() - began:.0f} s")
