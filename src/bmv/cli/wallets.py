"""``bmv wallets``: make keys, take them in, list, fund, sweep back, pass on (see ``wallet_roles.py``)."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from solders.keypair import Keypair

from bmv.app import wallets as life
from bmv.app.signing import guarded, keys_of
from bmv.cli import options, wallet_roles
from bmv.cli.keyring import Chosen, One, Place, address, known_in, placed
from bmv.errors import BadInput
from bmv.keys.importing import decrypt_env, is_encrypted, parse_keypair
from bmv.keys.passphrase import ask, read_all, read_descriptor
from bmv.keys.private import read_private
from bmv.keys.store import Keystore, Role, Wallet, peek
from bmv.units import LAMPORTS_PER_SOL, Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.token import WRAPPED_SOL

wallets_app = typer.Typer(help="The wallets and their keys.", no_args_is_help=True)
wallets_app.command("retire")(wallet_roles.retire)
wallets_app.command("set-aside")(wallet_roles.set_aside)
wallets_app.command("take-back")(wallet_roles.take_back)
MAX_KEY_BYTES = 1024 * 1024


@wallets_app.command("create")
@placed
def create(
    place: Place,
    wallets: Annotated[
        int,
        typer.Option(help="Operator wallets to make.", parser=options.whole("--wallets", 0, 100)),
    ] = 4,
) -> None:
    """Make operator wallets, and what is missing of keystore and treasury wallet."""
    store = place.open_or_create()
    fresh = [(Keypair(), Role.OPERATOR) for _ in range(wallets)]
    if all(wallet.role is not Role.TREASURY for wallet in store.wallets):
        fresh.append((Keypair(), Role.TREASURY))
    _add(place, store, fresh)


@wallets_app.command("import")
@placed
def take_in(
    place: Place,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="solana-keygen, base58 or encrypted .env.")
    ] = None,
    key_fd: Annotated[int | None, typer.Option(help="Read one key from this descriptor.")] = None,
    env_passphrase_fd: Annotated[int | None, typer.Option(help="The passphrase of a .env file.")] = None,
    role: Annotated[Role, typer.Option(help="What they are for.")] = Role.OPERATOR,
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
    store = place.open_or_create()
    _add(place, store, [(keypair, role) for keypair in found])


def _one_key(content: bytes, source: str) -> Keypair:
    return parse_keypair(content.decode("ascii", errors="replace").strip(), source)


def _add(place: Place, store: Keystore, fresh: Sequence[tuple[Keypair, Role]]) -> None:
    for keypair, role in fresh:
        store.add(keypair, role)
    store.save()
    place.renew()
    new = {keypair.pubkey() for keypair, _ in fresh}
    added = [{"address": str(one.pubkey), "role": one.role} for one in store.wallets if one.pubkey in new]
    if place.as_json:
        typer.echo(json.dumps({"keystore": str(place.path), "added": added}))
        return
    for line in added:
        typer.echo(f"{line['role']:9} {line['address']}")
    typer.echo(
        f"{len(added)} added to {place.path}: keep a copy of it, and its passphrase elsewhere", err=True
    )


@wallets_app.command("list")
@placed
def show(
    place: Place,
    verify: Annotated[bool, typer.Option("--verify", help="Open the keystore and check all of it.")] = False,
) -> None:
    """List addresses and roles; with an RPC_URL in the settings what each holds too."""
    known = place.open().wallets if verify else peek(place.path)
    rows: list[dict[str, Any]] = [{"address": str(one.pubkey), "role": str(one.role)} for one in known]
    if place.settings.rpc_url is not None:
        for row, held in zip(rows, life.reaching(place.settings, None, _balances(known)), strict=True):
            row.update(held)
    if place.as_json:
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
@placed
def fund(
    place: Place,
    sol: Annotated[str, typer.Option(help="SOL each wallet shall have.")] = "0",
    tokens: Annotated[str, typer.Option(help="Tokens each wallet shall have.")] = "0",
    wallet: Chosen = None,
) -> None:
    """Bring operator wallets up to an amount, out of the treasury wallet; who has it already gets nothing."""
    lamports = Lamports(int(options.amount("--sol", sol) * LAMPORTS_PER_SOL))
    each = options.amount("--tokens", tokens)
    if not int(lamports) and not each:
        raise BadInput("--sol", sol, "more than 0, or --tokens", options.SOURCE)
    chosen = [address(one) for one in wallet or ()]
    signer, known = place.signer()

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.fund(reach, known, lamports, int(each * 10**reach.spec.base_decimals), chosen)

    place.tell(life.reaching(place.settings, signer, act))


@wallets_app.command("sweep")
@placed
def sweep(place: Place, wallet: Chosen = None) -> None:
    """Move all that operator and retired wallets hold back to the treasury wallet, their accounts closed."""
    place.refuse_beside_an_engine()
    signer, known = place.signer()
    treasury = life.treasury_of(known)
    sources = [one.pubkey for one in known if one.pubkey != treasury]
    chosen = [known_in(one, known) for one in wallet or ()] or sources

    async def act(reach: life.Reach) -> list[life.Moved]:
        return await life.sweep(reach, [one for one in chosen if one != treasury], treasury)

    place.tell(life.reaching(place.settings, signer, act))


@wallets_app.command("rotate")
@placed
def rotate(place: Place, wallet: One) -> None:
    """Give a wallet a new key: it is saved first, then all moves to it; the old one is retired."""
    place.refuse_beside_an_engine()
    store, successor = place.open(), Keypair()
    old = known_in(wallet, [one for one in store.wallets if one.role is not Role.RETIRED])

    async def act(reach: life.Reach) -> list[life.Moved]:
        await life.sweep_is_possible(reach, [old], successor.pubkey())
        store.succeed(old, successor)
        store.save()
        signer = guarded(keys_of(store), place.settings)
        signer.serve(reach.market)
        return await life.sweep(reach.signed_by(signer), [old], successor.pubkey())

    moved = life.reaching(place.settings, None, act)
    place.renew()
    place.tell(moved, {"successor": str(successor.pubkey())})
