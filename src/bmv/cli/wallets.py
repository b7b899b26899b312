"""``bmv wallets``: make keys, take them in, list, fund, sweep back, pass on and retire wallets."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.app import wallets as life
from bmv.app.signing import Signer, guarded, in_vault, keys_of, running_signer
from bmv.cli import options
from bmv.config import Settings
from bmv.errors import BadInput, UnsafeState
from bmv.keys.importing import decrypt_env, is_encrypted, parse_keypair
from bmv.keys.passphrase import ask, read_all, read_descriptor, read_passphrase
from bmv.keys.private import read_private
from bmv.keys.store import Keystore, Role, Wallet, peek
from bmv.state.folder import StateFolder, made
from bmv.state.lock import occupied
from bmv.units import LAMPORTS_PER_SOL, Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.token import WRAPPED_SOL

wallets_app = typer.Typer(help="The wallets and their keys.", no_args_is_help=True)
MAX_KEY_BYTES = 1024 * 1024

StatePath = Annotated[Path, typer.Option("--state", help="Folder of the engine's state.")]
KeystorePath = Annotated[
    Path | None,
    typer.Option("--keystore", help="Else KEYSTORE of the settings, else in --state."),
]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="Settings, TOML.")]
PassphraseFd = Annotated[int | None, typer.Option(help="Read the passphrase from this descriptor.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Chosen = Annotated[list[str] | None, typer.Option("--wallet", help="Only this one; may be said often.")]
One = Annotated[str, typer.Option("--wallet", help="Address of the wallet.")]
STATE = Path("state")


class _Place:
    """Where the keys are, and the settings."""

    def __init__(self, state: Path, keystore: Path | None, config: Path | None) -> None:
        self.folder = StateFolder(state)
        self.settings: Settings = options.configured(config)[0]
        configured = self.folder.keystore_of(self.settings.keystore)
        self.path = keystore or configured
        if in_vault(self.path):
            allowed = "a keystore file: keys in Vault are made and listed by its own tools"
            raise BadInput("KEYSTORE", str(self.path), allowed, "settings")

    def open(self, passphrase_fd: int | None) -> Keystore:
        return Keystore.open(self.path, read_passphrase(self.path, passphrase_fd))

    def open_or_create(self, passphrase_fd: int | None) -> Keystore:
        if self.path.exists():
            return self.open(passphrase_fd)
        made(self.path.parent)
        return Keystore.create(self.path, read_passphrase(self.path, passphrase_fd, confirm=True))

    def signer(self, passphrase_fd: int | None) -> tuple[Signer, list[Wallet]]:
        """Return the running signer where it signs, else one in this process, and the wallets."""
        running = running_signer(self.folder)
        if running is not None and not running.state().halted and {*peek(self.path)} == {*running.wallets()}:
            return running, running.wallets()
        store = self.open(passphrase_fd)
        return guarded(keys_of(store), self.settings), store.wallets

    def refuse_beside_an_engine(self) -> None:
        if occupied(self.folder):
            raise UnsafeState(f"an engine runs in {self.folder.root}: stop it first")

    def note_signer(self) -> None:
        if running_signer(self.folder) is not None:
            note = "the running signer does not know of this: bmv signer --stop, and start it again"
            typer.echo(f"bmv: {note}", err=True)


@wallets_app.command("create")
def create(
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    wallets: Annotated[
        int,
        typer.Option(help="Operator wallets to make.", parser=options.whole("--wallets", 0, 100)),
    ] = 4,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Make operator wallets, and what is missing of keystore and treasury wallet."""
    place = _Place(state, keystore, config)
    store = place.open_or_create(passphrase_fd)
    fresh = [(Keypair(), Role.OPERATOR) for _ in range(wallets)]
    if all(wallet.role is not Role.TREASURY for wallet in store.wallets):
        fresh.append((Keypair(), Role.TREASURY))
    _add(place, store, fresh, as_json)


@wallets_app.command("import")
def take_in(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="solana-keygen, base58 or encrypted .env.")
    ] = None,
    key_fd: Annotated[int | None, typer.Option(help="Read one key from this descriptor.")] = None,
    env_passphrase_fd: Annotated[int | None, typer.Option(help="The passphrase of a .env file.")] = None,
    role: Annotated[Role, typer.Option(help="What they are for.")] = Role.OPERATOR,
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Take keys in from files that are ours alone, or from a descriptor; the files stay, delete them."""
    if not files and key_fd is None:
        raise BadInput("FILE", "none", "files with keys, or --key-fd", options.SOURCE)
    found: list[Keypair] = []
    if key_fd is not None:
        found.append(_one_key(read_all(key_fd, "--key-fd", MAX_KEY_BYTES), "--key-fd"))
    for path in files or ():
        content = read_private("FILE", path)
        if is_encrypted(content):
            secret = (
                ask(f"passphrase of {path}")
                if env_passphrase_fd is None
                else read_descriptor(env_passphrase_fd)
            )
            found += decrypt_env(content, secret, str(path))
        else:
            found.append(_one_key(content, str(path)))
    place = _Place(state, keystore, config)
    store = place.open_or_create(passphrase_fd)
    _add(place, store, [(keypair, role) for keypair in found], as_json)


def _one_key(content: bytes, source: str) -> Keypair:
    return parse_keypair(content.decode("ascii", errors="replace").strip(), source)


def _add(place: _Place, store: Keystore, fresh: Sequence[tuple[Keypair, Role]], as_json: bool) -> None:
    for keypair, role in fresh:
        store.add(keypair, role)
    store.save()
    place.note_signer()
    new = {keypair.pubkey() for keypair, _ in fresh}
    added = [{"address": str(one.pubkey), "role": one.role} for one in store.wallets if one.pubkey in new]
    if as_json:
        typer.echo(json.dumps({"keystore": str(place.path), "added": added}))
        return
    for line in added:
        typer.echo(f"{line['role']:9} {line['address']}")
    typer.echo(
        f"{len(added)} added to {place.path}: keep a copy of it, and its passphrase elsewhere", err=True
    )


@wallets_app.command("list")
def show(
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    verify: Annotated[bool, typer.Option("--verify", help="Open the keystore and check all of it.")] = False,
    as_json: AsJson = False,
) -> None:
    """List addresses and roles; with an RPC_URL in the settings what each holds too."""
    place = _Place(state, keystore, config)
    known = place.open(passphrase_fd).wallets if verify else peek(place.path)
    rows: list[dict[str, Any]] = [{"address": str(one.pubkey), "role": str(one.role)} for one in known]
    if place.settings.rpc_url is not None:
        for row, held in zip(rows, life.reaching(place.settings, None, _balances(known)), strict=True):
            row.update(held)
    if as_json:
        typer.echo(json.dumps({"keystore": str(place.path), "verified": verify, "wallets": rows}))
        return
    for row in rows:
        held = f"  {row['sol']} SOL, {row['tokens']} tokens, {row['usdc']} USDC" if "sol" in row else ""
        typer.echo(f"{row['role']:9} {row['address']}{held}{'  (quoting)' if row.get('quoting') else ''}")


def _balances(known: Sequence[Wallet]) -> Any:
    async def read(reach: life.Reach) -> list[dict[str, Any]]:
        unit = 10**reach.spec.base_decimals
        return [
            {
                "lamports": int(one.lamports) + (one.tokens[WRAPPED_SOL] or 0),
                "sol": life.shown_sol(int(one.lamports) + (one.tokens[WRAPPED_SOL] or 0)),
                "tokens": f"{Decimal(one.tokens[reach.market.base_mint] or 0) / unit:f}",
                "usdc": f"{Decimal(one.tokens[USDC] or 0) / 10**6:f}",
                "quoting": one.is_quoting,
            }
            for one in await reach.holdings([wallet.pubkey for wallet in known])
        ]

    return read


@wallets_app.command("fund")
def fund(
    sol: Annotated[str, typer.Option(help="SOL each wallet shall have.")] = "0",
    tokens: Annotated[str, typer.Option(help="Tokens each wallet shall have.")] = "0",
    wallet: Chosen = None,
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Bring operator wallets up to an amount, out of the treasury wallet; who has it already gets nothing."""
    lamports = Lamports(int(options.amount("--sol", sol) * LAMPORTS_PER_SOL))
    each = options.amount("--tokens", tokens)
    if not int(lamports) and not each:
        raise BadInput("--sol", sol, "more than 0, or --tokens", options.SOURCE)
    place, chosen = _Place(state, keystore, config), [_address(one) for one in wallet or ()]
    signer, known = place.signer(passphrase_fd)

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.fund(reach, known, lamports, int(each * 10**reach.spec.base_decimals), chosen)

    _tell(life.reaching(place.settings, signer, act), as_json)


@wallets_app.command("sweep")
def sweep(
    wallet: Chosen = None,
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Move all that operator and retired wallets hold back to the treasury wallet, their accounts closed."""
    place = _Place(state, keystore, config)
    place.refuse_beside_an_engine()
    signer, known = place.signer(passphrase_fd)
    treasury = life.treasury_of(known)
    sources = [one.pubkey for one in known if one.pubkey != treasury]
    chosen = [_known(one, known) for one in wallet or ()] or sources

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.sweep(reach, [one for one in chosen if one != treasury], treasury)

    _tell(life.reaching(place.settings, signer, act), as_json)


@wallets_app.command("rotate")
def rotate(
    wallet: One,
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Give a wallet a new key: it is saved first, then all moves to it; the old one is retired."""
    place = _Place(state, keystore, config)
    place.refuse_beside_an_engine()
    store, successor = place.open(passphrase_fd), Keypair()
    old = _known(wallet, [one for one in store.wallets if one.role is not Role.RETIRED])

    async def act(reach: life.Reach) -> list[life.Moved]:
        await life.sweep_is_possible(reach, [old], successor.pubkey())
        store.succeed(old, successor)
        store.save()
        signer = guarded(keys_of(store), place.settings)
        signer.serve(reach.market)
        return await life.sweep(reach.signed_by(signer), [old], successor.pubkey())

    moved = life.reaching(place.settings, None, act)
    place.note_signer()
    _tell(moved, as_json, {"successor": str(successor.pubkey())})


@wallets_app.command("retire")
def retire(
    wallet: One,
    state: StatePath = STATE,
    keystore: KeystorePath = None,
    config: ConfigPath = None,
    passphrase_fd: PassphraseFd = None,
    as_json: AsJson = False,
) -> None:
    """Take an operator wallet out of use: all it holds goes to the treasury, its key stays in the file."""
    place = _Place(state, keystore, config)
    place.refuse_beside_an_engine()
    store = place.open(passphrase_fd)
    key = _known(wallet, [one for one in store.wallets if one.role is Role.OPERATOR])
    treasury, signer = life.treasury_of(store.wallets), guarded(keys_of(store), place.settings)

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.sweep(reach, [key], treasury)

    moved = life.reaching(place.settings, signer, act)
    store.change_role(key, Role.RETIRED)
    store.save()
    place.note_signer()
    _tell(moved, as_json)


def _tell(moved: Sequence[life.Moved], as_json: bool, facts: dict[str, str] | None = None) -> None:
    if as_json:
        typer.echo(msgspec.json.encode({**(facts or {}), "moved": moved}).decode())
        return
    for name, value in (facts or {}).items():
        typer.echo(f"{name} {value}")
    for one in moved:
        what = one.note or f"{life.shown_sol(one.lamports)} SOL, {one.atoms} atoms of the token moved"
        typer.echo(f"{one.wallet}  {what}")


def _known(text: str, known: Sequence[Wallet]) -> Pubkey:
    key = _address(text)
    if all(one.pubkey != key for one in known):
        raise BadInput("--wallet", text, "a wallet of the keystore that can do this", options.SOURCE)
    return key


def _address(text: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise BadInput("--wallet", text, "an address in base58", options.SOURCE) from error
