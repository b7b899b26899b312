"""``bmv baseline``: count what the engine buys from now on."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from bmv.cli import options
from bmv.errors import BadInput
from bmv.services.baseline import BASELINE_NAME, next_baseline, read_baseline, write_baseline
from bmv.units import Millis


def baseline(
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Set the baseline from which MAX_BASE_SHARE_% counts; a running engine takes it up within seconds."""
    path = state / BASELINE_NAME
    known = read_baseline(path)
    if known is None:
        allowed = "a folder in which an engine has run; its first start sets the first baseline by itself"
        raise BadInput("--state", str(state), allowed, options.SOURCE)
    now = next_baseline(known, known.market, Millis(int(time.time() * 1000)))
    write_baseline(path, now)
    forgotten = int(known.net_base)
    if as_json:
        fields = {"market": now.market, "number": now.number, "set_at": int(now.set_at)}
        typer.echo(json.dumps({**fields, "net_base_lots": 0, "net_base_lots_before": forgotten}))
    else:
        typer.echo(f"baseline {now.number} set; {forgotten} base lots bought net before it count no more")
