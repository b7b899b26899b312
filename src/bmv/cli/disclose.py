"""``bmv disclose``: who quotes and by which rules, to be published."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from bmv.app.disclosure import disclosure, in_words
from bmv.cli import options
from bmv.errors import BadInput
from bmv.keys.store import Role, peek
from bmv.state.folder import StateFolder
from bmv.units import Millis

DEFAULT_STATE = Path("state")


def disclose(
    config: Annotated[Path | None, typer.Option(help="Settings, TOML.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the operator's wallets and the programme's rules as a page to publish; needs no passphrase."""
    settings, _ = options.configured(config)
    path = StateFolder(state).keystore_of(settings.keystore)
    wallets = peek(path)
    if not any(wallet.role is Role.OPERATOR for wallet in wallets):
        raise BadInput("KEYSTORE", str(path), "a keystore with an operator wallet", "the file")
    told = disclosure(settings, wallets, Millis(int(time.time() * 1000)))
    typer.echo(json.dumps(told, indent=2) if as_json else in_words(told))
