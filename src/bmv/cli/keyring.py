"""What the commands of ``bmv wallets`` share: where the keys are, who signs, and what was moved, told."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from solders.pubkey import Pubkey

from bmv.app import wallets as life
from bmv.app.signing import Signer, guarded, in_vault, keys_of, running_signer
from bmv.cli import options
from bmv.config import Settings
from bmv.errors import BadInput, BmvError, UnsafeState
from bmv.keys.passphrase import read_passphrase
from bmv.keys.store import Keystore, Wallet, peek
from bmv.state.folder import StateFolder, made
from bmv.state.lock import occupied

Chosen = Annotated[list[str] | None, typer.Option("--wallet", help="Only this one; may be said often.")]
One = Annotated[str, typer.Option("--wallet", help="Address of the wallet.")]
_Command = Callable[..., None]


def _shared(
    state: Annotated[Path, typer.Option("--state", help="Folder of the engine's state.")] = Path("state"),
    keystore: Annotated[
        Path | None, typer.Option("--keystore", help="Else KEYSTORE of the settings, else in --state.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings, TOML.")] = None,
    passphrase_fd: Annotated[
        int | None, typer.Option(help="Read the passphrase from this descriptor.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> "Place":
    return Place(state, keystore, config, passphrase_fd, as_json=as_json)


def placed(command: _Command) -> _Command:
    """Give a command the options that all of ``bmv wallets`` have; it takes them as its ``place``."""
    own = [each for name, each in signature(command).parameters.items() if name != "place"]
    shared = signature(_shared).parameters

    @wraps(command)
    def ran(**given: Any) -> None:
        place = _shared(**{name: given.pop(name) for name in shared})
        command(place=place, **given)

    named = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]
    ran.__signature__ = Signature(named)  # type: ignore[attr-defined]
    ran.__annotations__ = {each.name: each.annotation for each in named}
    return ran


class Place:
    """Where the keys are and how they are opened, the settings, and whether ``as_json`` is spoken."""

    def __init__(
        self,
        state: Path,
        keystore: Path | None,
        config: Path | None,
        passphrase_fd: int | None,
        *,
        as_json: bool,
    ) -> None:
        self.folder, self.as_json, self._passphrase_fd = StateFolder(state), as_json, passphrase_fd
        self.settings: Settings = options.configured(config)[0]
        configured = self.folder.keystore_of(self.settings.keystore)
        self.path = keystore or configured
        if in_vault(self.path):
            allowed = "a keystore file: keys in Vault are made and listed by its own tools"
            raise BadInput("KEYSTORE", str(self.path), allowed, "settings")

    def open(self) -> Keystore:
        """Open the keystore with its passphrase."""
        return Keystore.open(self.path, read_passphrase(self.path, self._passphrase_fd))

    def open_or_create(self) -> Keystore:
        """Open the keystore, or begin a new one where there is none."""
        if self.path.exists():
            return self.open()
        made(self.path.parent)
        return Keystore.create(self.path, read_passphrase(self.path, self._passphrase_fd, confirm=True))

    def signer(self) -> tuple[Signer, list[Wallet]]:
        """Return the running signer where it signs, else one in this process, and the wallets."""
        running = running_signer(self.folder)
        if running is not None and not running.state().halted and {*peek(self.path)} == {*running.wallets()}:
            return running, running.wallets()
        store = self.open()
        return guarded(keys_of(store), self.settings), store.wallets

    @property
    def quotes(self) -> bool:
        """Say whether an engine runs in the state folder."""
        return occupied(self.folder)

    def refuse_beside_an_engine(self) -> None:
        """Raise UnsafeState where an engine runs in the state folder."""
        if self.quotes:
            raise UnsafeState(f"an engine runs in {self.folder.root}: stop it first")

    def tell(self, moved: Sequence[life.Moved], facts: dict[str, str] | None = None) -> None:
        """Print what was moved, after other facts."""
        if self.as_json:
            typer.echo(msgspec.json.encode({**(facts or {}), "moved": moved}).decode())
            return
        for name, value in (facts or {}).items():
            typer.echo(f"{name} {value}")
        for one in moved:
            what = one.note or f"{life.shown_sol(one.lamports)} SOL, {one.atoms} atoms of the token moved"
            typer.echo(f"{one.wallet}  {what}")

    def renew(self) -> None:
        """Have the running signer take over what was changed; an engine hears of it there."""
        running = running_signer(self.folder)
        if running is None:
            return
        try:
            running.renew()
        except BmvError as error:
            note = (
                f"the running signer does not know of this ({error}): bmv signer --stop, and start it again"
            )
            typer.echo(f"bmv: {note}", err=True)


def known_in(text: str, known: Sequence[Wallet]) -> Pubkey:
    """Return the address in a text; raise BadInput where it is none of these wallets."""
    key = address(text)
    if all(one.pubkey != key for one in known):
        raise BadInput("--wallet", text, "a wallet of the keystore that can do this", options.SOURCE)
    return key


def address(text: str) -> Pubkey:
    """Return the address in a text; raise BadInput where it is none."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise BadInput("--wallet", text, "an address in base58", options.SOURCE) from error
