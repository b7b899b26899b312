"""``bmv doctor``: what is wrong before a start, and what to do about it."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bmv.app.doctor.examine import examine
from bmv.app.doctor.finding import Finding, Status
from bmv.cli.run import DEFAULT_STATE
from bmv.state.folder import StateFolder


def doctor(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    passphrase_fd: Annotated[
        int | None, typer.Option("--passphrase-fd", help="Descriptor to read Vault's token from, if any.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Check everything a run needs; exit with 1 where a check failed, 4 where the node is not reached."""
    found = examine(config, dict(os.environ), StateFolder(state), passphrase_fd)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found.findings), indent=2).decode())
    else:
        for each in found.findings:
            typer.echo(_line(each))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _line(finding: Finding) -> str:
    sign = {Status.OK: "ok     ", Status.WARNING: "WARNING", Status.FAILED: "FAILED "}[finding.status]
    advice = f"\n          -> {finding.advice}" if finding.advice else ""
    return f"{sign}  {finding.check}: {finding.found}{advice}"
