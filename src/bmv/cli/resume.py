"""``bmv resume``: release the kill switch on purpose."""

import asyncio
import getpass
import json
import socket
import time
from pathlib import Path
from typing import Annotated

import typer

from bmv.app.looking import redis_of
from bmv.app.signing import running_signer
from bmv.cli import options
from bmv.cli.run import DEFAULT_STATE
from bmv.config import Settings
from bmv.errors import BadInput, OutsideError, UnsafeState
from bmv.state.folder import StateFolder
from bmv.state.latch import Latch, LatchFile
from bmv.state.lock import last_occupant, occupied
from bmv.units import Millis


def resume(
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    config: Annotated[Path | None, typer.Option(help="Settings, TOML; for the flag in REDIS_URL.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept beside the latch.")] = "bmv resume",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Release the latch of a kill, so that the engine may be started again; it starts nothing itself."""
    settings, _ = options.configured(config)
    folder = StateFolder(state)
    if not folder.root.is_dir():
        raise BadInput("--state", str(state), "the folder of an engine's state", options.SOURCE)
    if occupied(folder):
        occupant = last_occupant(folder)
        who = f" (process {occupant.pid})" if occupant else ""
        raise UnsafeState(f"the engine in {state} still runs{who}; the latch is released when it has ended")
    file = LatchFile(folder)
    latch = file.read()
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    release = Latch(at=Millis(int(time.time() * 1000)), reason=reason, by=by)
    file.release(release)
    signer = running_signer(folder)
    if signer is not None:
        signer.release()
        signer.close()
    flag, note = asyncio.run(_lower(settings))
    latch = latch or flag
    if as_json:
        was = None if latch is None else {"at": int(latch.at), "reason": latch.reason, "by": latch.by}
        typer.echo(json.dumps({"released": latch is not None, "was": was, "note": note}))
    elif latch is None:
        typer.echo(f"nothing was latched{note and '; ' + note}")
    else:
        typer.echo(f"released: {latch.reason} (by {latch.by}){note and '; ' + note}")


async def _lower(settings: Settings) -> tuple[Latch | None, str]:
    """Lower the flag in Redis; where that is away, the next start does it."""
    async with redis_of(settings) as hot:
        if hot is None:
            return None, ""
        try:
            flag = await hot.flag()
            await hot.lower_flag()
        except OutsideError as error:
            return None, f"the next start lowers the flag in Redis, which is away ({error})"
        return flag, ""
