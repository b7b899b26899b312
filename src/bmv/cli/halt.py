"""``bmv halt``: the kill switch from the command line, with the engine or, ``--now``, without it."""

import asyncio
import getpass
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bmv.app.looking import is_alive, last_seen, redis_of, wait_until_stopped, wallets_told
from bmv.app.signing import Signer, guarded, open_keys, running_signer
from bmv.app.withdrawing import withdraw
from bmv.cli import options
from bmv.cli.leaving import tell_wallets
from bmv.cli.run import DEFAULT_STATE
from bmv.config import Settings
from bmv.errors import BadInput, BmvError, Unreachable
from bmv.services.hot import STATUS_NAME, put_status
from bmv.state.folder import StateFolder
from bmv.state.hot import Seen
from bmv.state.latch import Latch, LatchFile
from bmv.state.lock import occupied
from bmv.state.snapshot import Snapshot, packed
from bmv.units import Millis

UNSAFE = 3


def halt(
    reason: Annotated[str, typer.Option(help="Why; kept with the latch.")] = "bmv halt",
    state: Annotated[Path, typer.Option(help="Folder of the engine's state.")] = DEFAULT_STATE,
    config: Annotated[
        Path | None, typer.Option(help="Settings, TOML; with REDIS_URL an engine elsewhere hears it too.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Withdraw without the engine, whatever it does.")
    ] = False,
    patience: Annotated[str, typer.Option("--timeout", help="How long to wait for the end.")] = "10min",
    passphrase_fd: Annotated[
        int | None,
        typer.Option(
            "--passphrase-fd", help="With --now and no signer: read the keystore's passphrase here."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Stop everything, and latch it: no new orders, cancel all, verify on the chain, report per wallet."""
    seconds = options.seconds("--timeout", patience) or 0.0
    settings, _ = options.configured(config)
    folder = StateFolder(state)
    if not folder.root.is_dir() and settings.redis_url is None:
        allowed = "the folder of an engine, or settings with the REDIS_URL of one"
        raise BadInput("--state", str(state), allowed, options.SOURCE)
    began = time.monotonic()
    latch = Latch(
        at=Millis(int(time.time() * 1000)), reason=reason, by=f"{getpass.getuser()}@{socket.gethostname()}"
    )
    asyncio.run(_raise(folder, settings, latch, must=not now))
    if now:
        progress = _Progress()
        last = withdraw(settings, _signer(folder, settings, passphrase_fd), reason, seconds, progress.show)
        if last is None:
            raise Unreachable("rpc", "the chain could not be read; what stands is not known")
        if folder.run.is_dir() and not occupied(folder):
            put_status(folder.run / STATUS_NAME, packed(last))
    else:
        last = asyncio.run(_await_engine(folder, settings, seconds))
    _end(last, time.monotonic() - began, as_json)


async def _raise(folder: StateFolder, settings: Settings, latch: Latch, *, must: bool) -> None:
    """Raise the switch wherever it can be raised; one place is enough, none is an error where it ``must``."""
    raised: list[str] = []
    failed: list[BmvError] = []

    @contextmanager
    def tried(place: str) -> Iterator[None]:
        try:
            yield
            raised.append(place)
        except BmvError as error:
            failed.append(error)

    signer = running_signer(folder)
    if signer is not None:
        with tried("signer"):
            signer.latch(latch.reason)
            signer.close()
    if folder.root.is_dir():
        with tried("file"):
            LatchFile(folder).raise_(latch)
    async with redis_of(settings) as hot:
        if hot is not None:
            with tried("Redis"):
                await hot.raise_flag(latch)
    if failed and must and not raised:
        raise failed[0]
    for error in failed:
        _say(f"not everywhere could the kill switch be raised: {error}")
    _say(f"kill switch raised ({' and '.join(raised)})" if raised else "kill switch not raised; withdrawing")


async def _await_engine(folder: StateFolder, settings: Settings, seconds: float) -> Snapshot:
    progress, seen = _Progress(), None
    async with redis_of(settings) as hot:
        if not is_alive(folder, await last_seen(folder, hot)):
            _say("no engine runs here; what follows is what the last one believed")
        async for seen in wait_until_stopped(folder, hot, seconds):
            if seen is not None:
                progress.show(seen.snapshot)
    if seen is None:
        raise Unreachable("engine", "it has told nothing yet; bmv halt --now acts without it")
    return _believed(seen)


def _believed(seen: Seen) -> Snapshot:
    if seen.snapshot.phase != "stopped":
        _say("the engine has not ended as it should; bmv halt --now acts without it")
    return seen.snapshot


def _signer(folder: StateFolder, settings: Settings, passphrase_fd: int | None) -> Signer:
    """Return the signer that runs, or one made of the keystore, for which the passphrase is asked."""
    found = running_signer(folder)
    if found is not None:
        return found
    path = folder.keystore_of(settings.keystore)
    _say(f"no signer answers; opening {path} instead, which needs its passphrase")
    return guarded(open_keys(path, passphrase_fd), settings)


class _Progress:
    """Tell how many orders each wallet has left, whenever that changes."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, shown: Snapshot) -> None:
        """Tell what a snapshot says, unless it was told before."""
        counts = ", ".join(f"wallet {purse.wallet}: {len(purse.orders)}" for purse in shown.purses)
        text = f"{shown.phase}; orders left: {counts or 'not known yet'}"
        if text != self._last:
            self._last = text
            _say(text)


def _end(last: Snapshot, seconds: float, as_json: bool) -> None:
    """Report per wallet; exit with 3 unless the chain has shown that nothing is left."""
    wallets = wallets_told(last.spec, last.purses)
    if as_json:
        facts: dict[str, Any] = {"verified": last.clean, "phase": last.phase, "reason": last.halt_reason}
        typer.echo(json.dumps({**facts, "seconds": round(seconds, 1), "wallets": wallets}, indent=2))
    else:
        tell_wallets(wallets)
        verified = (
            "verified on the chain: nothing is left" if last.clean else "not verified: orders may remain"
        )
        typer.echo(f"{verified}; it stays halted until bmv resume")
    if not last.clean:
        raise typer.Exit(UNSAFE)


def _say(text: str) -> None:
    print(f"bmv: {text}", file=sys.stderr, flush=True)
