"""``bmv integrity``: look for other people's wash trades in a market's tape."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.cli import options
from bmv.errors import BadInput
from bmv.integrity.reading import read_tape
from bmv.integrity.scan import scan as search
from bmv.integrity.telling import summary, write_rows

integrity_app = typer.Typer(no_args_is_help=True, help="Look for wash trading in a market's tape.")


@integrity_app.callback()
def integrity() -> None:
    """Look for wash trading in a market's tape."""


@integrity_app.command("scan")
def scan(
    tape: Annotated[Path, typer.Argument(metavar="TAPE", help="Trades, as .parquet or .csv.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write input_row, score, flag, kind, ring_id of every trade to this .parquet."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score every trade of a tape; say who trades with himself and what speaks for it (docs/integrity.md)."""
    if out is not None and (out.suffix != ".parquet" or out.resolve() == tape.resolve()):
        raise BadInput("--out", str(out), "a file named .parquet that is not the tape", options.SOURCE)
    options.writable("--out", out)
    trades = read_tape(tape)
    findings = search(trades)
    if out is not None:
        write_rows(trades, findings, out)
    told = summary(trades, findings, str(tape))
    typer.echo(json.dumps(told) if as_json else _text(told))


def _text(told: dict[str, Any]) -> str:
    share = told["flagged_share"]
    lines = [f"{told['rows']} trades, {told['flagged_rows']} of them ({share:.1%}) look like wash trading"]
    for ring in told["rings"]:
        market = f" in {ring['market']}" if ring["market"] else ""
        lines.append(f"{ring['ring_id']}: {ring['rows']} trades{market}, score {ring['score']:.2f}")
        lines += [f"    {account}" for account in ring["accounts"]]
        lines += [f"  {part['value']:.2f} {part['name']}: {part['says']}" for part in ring["parts"]]
    if told["below"]:
        lines.append(f"{len(told['below'])} groups looked at and not suspected; --json tells of them")
    # Names come from a file: they may not steer the terminal.
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
