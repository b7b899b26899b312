"""``bmv run``: the engine against a real (or simulated) outside, until it is told to stop."""

import signal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from bmv.app.live import Ending, LiveOptions, run_live
from bmv.app.signing import Signer, ensured_signer, guarded, open_keys, operators_of
from bmv.cli import options, plan
from bmv.cli.leaving import tell_wallets
from bmv.services.killswitch import refuse_latched
from bmv.state.folder import StateFolder
from bmv.state.latch import LatchFile

DEFAULT_STATE = Path("state")


def run(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    passphrase_fd: Annotated[
        int | None, typer.Option("--passphrase-fd", help="Descriptor to read the keystore's passphrase from.")
    ] = None,
    signer: Annotated[
        Literal["process", "inside"],
        typer.Option(help="Who holds the keys: a process of its own, found or started; or this one."),
    ] = "process",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Send nothing: print what bmv plan --json does. Needs no passphrase."),
    ] = False,
    speed: Annotated[str, typer.Option(help="That of the sandbox it runs beside.")] = "1",
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what the engine does to stderr.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Recover, quote until SIGINT or SIGTERM, then cancel everything, verify it on the chain, and end."""
    pace = options.live_speed(speed)
    settings, file = options.configured(config)
    folder = StateFolder(state)
    path = folder.keystore_of(settings.keystore)

    def tell_page(url: str) -> None:
        typer.echo(f"live page: {url} (its token is in {folder.page})", err=True)

    chosen = LiveOptions(
        settings=settings, state=folder, file=file, speed=pace, quiet=not verbose, on_page=tell_page
    )
    if dry_run:
        plan.show(chosen, passphrase_fd, as_json=True)
        return
    refuse_latched(LatchFile(folder))
    if signer == "inside":
        chosen_signer: Signer = guarded(open_keys(path, passphrase_fd), settings, pace)
    else:
        chosen_signer = ensured_signer(folder, path, config, passphrase_fd, pace)
    operators_of(chosen_signer.wallets(), path)
    ended = run_live(chosen, chosen_signer)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _tell(ended, as_json)


def _tell(ended: Ending, as_json: bool) -> None:
    """Say how the run ended; exit with 3 where orders may be left or the engine halted by itself."""
    if as_json:
        typer.echo(msgspec.json.encode(ended).decode())
    left = "nothing of ours is left on the chain" if ended.clean else "orders or funds may be left"
    typer.echo(f"done: {left}; {ended.reason}", err=True)
    tell_wallets(ended.remaining, err=True)
    if not ended.clean or not ended.asked:
        raise typer.Exit(3)
