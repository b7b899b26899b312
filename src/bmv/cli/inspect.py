"""``bmv inspect``: accounts and instructions of the market's program as people can read them."""

import asyncio
import gzip
import json
import random
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console
from rich.table import Table
from solders.pubkey import Pubkey

from bmv.chain.rpc import AccountImage, Rpc
from bmv.cli import options
from bmv.errors import BadBytes, BadInput
from bmv.venue.market import detect
from bmv.venue.openbook_v1.describe import describe_account, describe_instruction

inspect_app = typer.Typer(help="Decode accounts and build instructions of OpenBook v1.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@inspect_app.command("account")
def account(
    what: Annotated[str, typer.Argument(metavar="FILE|ADDRESS", help="Raw bytes (.gz too), or an address.")],
    rpc: Annotated[str | None, typer.Option(help="RPC URL to read an ADDRESS from.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decode an account: market, bids, asks, event queue, request queue or OpenOrders."""
    path = Path(what)
    if path.exists() or rpc is None:
        _show(describe_account(_read_file(path)), as_json)
        return
    key, image = _fetch(what, rpc)
    found = detect(key, image.owner, image.data)
    try:
        fields = describe_account(image.data)
    except BadBytes as error:
        raise BadInput(
            "ADDRESS", what, f"an account of OpenBook v1: {found.message}", options.SOURCE
        ) from error
    _show({"found": found.message, **fields} if "market" in fields["flags"] else fields, as_json)


@inspect_app.command("instruction")
def instruction(
    file: Annotated[Path, typer.Argument(help="JSON: an object with ts_call and params, or a list of them.")],
    as_json: AsJson = False,
) -> None:
    """Build the instruction a file describes: data in hex and keys with their flags."""
    try:
        spec = json.loads(_read_file(file))
    except ValueError as error:
        raise BadInput("FILE", str(file), f"JSON ({error})", options.SOURCE) from error
    _show(describe_instruction(spec, str(file)), as_json)


def _read_file(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError) as error:
        allowed = f"a readable file, or an address with --rpc ({error})"
        raise BadInput("FILE", str(path), allowed, options.SOURCE) from error


def _fetch(address: str, url: str) -> tuple[Pubkey, AccountImage]:
    try:
        key = Pubkey.from_string(address)
    except ValueError as error:
        raise BadInput("ADDRESS", address, "a base58 address or a file", options.SOURCE) from error

    async def read() -> AccountImage:
        async with aiohttp.ClientSession() as session:
            found = await Rpc(session, url, rng=random.Random(0)).accounts([key])
        image = found.accounts[0]
        if image is None:
            raise BadInput("ADDRESS", address, "an account that exists", url.split("?", maxsplit=1)[0])
        return image

    return key, asyncio.run(read())


def _show(value: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(value, indent=2))
        return
    table = Table("field", "value")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        table.add_row(str(key), json.dumps(item) if isinstance(item, list | dict) else str(item))
    Console().print(table)
