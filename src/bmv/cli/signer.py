"""``bmv signer``: the process that holds the keys and signs for the engine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bmv import config as settings_of
from bmv.app.signing import ensured_signer, run_signer, running_signer
from bmv.cli import options
from bmv.errors import BadInput, Unreachable
from bmv.state.folder import StateFolder


def signer(
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")],
    keystore: Annotated[
        Path | None, typer.Option(help="The keystore; else keystore.json in --state.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings, TOML; its SIGNER_ keys are the caps.")
    ] = None,
    passphrase_fd: Annotated[
        int | None, typer.Option(help="Read the passphrase from this descriptor.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it by itself, and end here.")] = False,
    leave_terminal: Annotated[
        bool, typer.Option("--leave-terminal", help="What --detach and bmv run start it with.")
    ] = False,
    speed: Annotated[str, typer.Option(help="That of the sandbox its engine runs beside.")] = "1",
    stop: Annotated[bool, typer.Option("--stop", help="End the signer of this folder.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --stop or --detach: print one JSON object.")
    ] = False,
) -> None:
    """Hold the keys and sign what the policy allows, until SIGTERM, Ctrl-C or --stop."""
    folder = StateFolder(state)
    if stop:
        _stop(folder, as_json)
        return
    settings, pace = settings_of.load(config), options.live_speed(speed)
    path = keystore or folder.keystore_of(settings.keystore)
    if detach:
        known = ensured_signer(folder, path, config, passphrase_fd, pace).state()
        text = f"signer {known.pid} answers for {len(known.wallets)} wallets"
        typer.echo(json.dumps({"pid": known.pid, "wallets": len(known.wallets)}) if as_json else text)
        return
    if as_json:
        raise BadInput("--json", "alone", "together with --stop or --detach", options.SOURCE)
    run_signer(folder, path, settings, passphrase_fd, leave_terminal=leave_terminal, speed=pace)


def _stop(folder: StateFolder, as_json: bool) -> None:
    client = running_signer(folder)
    if client is None:
        raise Unreachable("signer", f"nobody answers at {folder.signer}")
    known = client.state()
    client.quit()
    facts = {"pid": known.pid, "signed": known.signed, "refused": known.refused}
    text = f"signer {known.pid} ended; it had signed {known.signed} transactions and refused {known.refused}"
    typer.echo(json.dumps(facts) if as_json else text)
