"""Checks of this machine: keys, state folder, kill switch, databases. Nothing of the state is changed."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from solders.pubkey import Pubkey

from bmv.app.doctor.finding import Finding, failed, ok, warning
from bmv.app.looking import WallClock
from bmv.app.signing import running_signer
from bmv.config import Settings
from bmv.keys.store import Role, Wallet
from bmv.state.database import Database
from bmv.state.folder import StateFolder, temporary_state
from bmv.state.hot import HotState
from bmv.state.latch import Latch, LatchFile
from bmv.state.lock import last_occupant, occupied
from bmv.state.migrating import NEWEST, version_of
from bmv.state.servers import local_database, local_redis

LEAST_FREE_BYTES = 2_000_000_000
TIMEOUT_S = 10.0
RESTARTED = "a run starts it again, with the passphrase"
RELEASE = "find out why it was halted, then bmv resume"


def keys(wallets: Sequence[Wallet], keystore: Path) -> list[Finding]:
    """Judge which wallets there are."""
    operators = sum(wallet.role is Role.OPERATOR for wallet in wallets)
    if not operators:
        return [failed("keystore", f"{keystore} has no operator wallet", "bmv wallets create")]
    found = f"{operators} operator wallets in {keystore}"
    leaving = [str(wallet.pubkey) for wallet in wallets if wallet.role is Role.LEAVING]
    if leaving:
        advice = "bmv wallets retire --wallet ADDRESS again finishes it, bmv wallets take-back undoes it"
        return [warning("keystore", f"{found}; leaving and not gone: {', '.join(leaving)}", advice)]
    if not any(wallet.role is Role.TREASURY for wallet in wallets):
        advice = "bmv wallets create makes one; without it nothing is converted, shared out or topped up"
        return [warning("keystore", f"{found}, no treasury", advice)]
    return [ok("keystore", f"{found}, and a treasury")]


def signer(state: StateFolder, known: Sequence[Wallet]) -> list[Finding]:
    """Judge the signer that runs, if one does: whether it signs for the keystore's wallets."""
    client = running_signer(state)
    if client is None:
        return [ok("signer", "none runs; a run starts one, which asks for the passphrase")]
    said = client.state()
    client.close()
    ours = [Wallet(Pubkey(one.pubkey), one.role) for one in said.wallets]
    found = f"process {said.pid} signs for {len(ours)} wallets"
    if ours != list(known):
        return [warning("signer", f"{found}, not those of the keystore", f"bmv signer --stop; {RESTARTED}")]
    if said.halted:
        return [warning("signer", f"{found}, and is latched: it signs ways out only", RELEASE)]
    return [ok("signer", found)]


def alerts(settings: Settings) -> list[Finding]:
    """Judge whether a person hears of what goes wrong; nothing is sent."""
    named = [
        name
        for name, given in (
            ("webhook", settings.alert_webhook_url),
            ("telegram", settings.alert_telegram_token and settings.alert_telegram_chat),
        )
        if given
    ]
    if bool(settings.alert_telegram_token) != bool(settings.alert_telegram_chat):
        found = "ALERT_TELEGRAM_TOKEN and ALERT_TELEGRAM_CHAT: one of them is missing"
        return [failed("alerts", found, "set both, or none")]
    if not named:
        advice = "set ALERT_WEBHOOK_URL or ALERT_TELEGRAM_TOKEN and _CHAT, then bmv alert test"
        return [warning("alerts", "nobody is told when the engine halts", advice)]
    return [ok("alerts", f"{' and '.join(named)}; bmv alert test sends one")]


def folder(state: StateFolder) -> list[Finding]:
    """Judge the state folder: can it be written, who has it, is the kill switch latched."""
    found = [_writable(state.root)]
    if occupied(state):
        who = last_occupant(state)
        named = f"process {who.pid} on {who.host}" if who else "another process"
        advice = "stop it first (bmv halt), or use another --state"
        found.append(failed("lock", f"{named} uses {state.root}", advice))
    else:
        found.append(ok("lock", "no other engine uses the state folder"))
    found.append(_latch(LatchFile(state).read(), "kill switch"))
    return found


def _writable(root: Path) -> Finding:
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return failed("state folder", f"{there} cannot be written", "give this user the folder, or another")
    free = shutil.disk_usage(there).free
    found = f"{root}, {free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return warning("state folder", found, "a journal grows by the day: make room")
    return ok("state folder", found)


def _latch(latch: Latch | None, check: str) -> Finding:
    if latch is None:
        return ok(check, "not latched")
    return failed(check, f"halted by {latch.by}: {latch.reason}", RELEASE)


async def database(settings: Settings, state: StateFolder) -> list[Finding]:
    """Open the history's database and look at its schema; an own server is started for it."""
    clock = WallClock()
    if settings.database_url is None and occupied(state):
        return [ok("database", "an own server, used by the engine that runs")]
    with _servers_folder(state) as place:
        async with local_database(place, clock, settings.database_url) as url:
            opened = Database(url, clock, timeout_s=TIMEOUT_S)
            try:
                async with opened.connection() as connection:
                    version = await version_of(connection)
            finally:
                await opened.close()
    whose = "DATABASE_URL" if settings.database_url else "an own server"
    if version is None or version == NEWEST:
        return [ok("database", f"{whose}, {f'schema {version}' if version else 'empty: a run fills it'}")]
    advice = "a run migrates it; bmv db backup first"
    return [warning("database", f"{whose}, schema {version}, the newest is {NEWEST}", advice)]


async def redis(settings: Settings, state: StateFolder) -> list[Finding]:
    """Ask Redis, and whether its kill flag is up; an own server is started for it."""
    clock = WallClock()
    if settings.redis_url is None and occupied(state):
        return [ok("redis", "an own server, used by the engine that runs")]
    with _servers_folder(state) as place:
        async with local_redis(place, clock, settings.redis_url) as url:
            hot = HotState(url, settings.market, clock)
            try:
                flag = await hot.flag()
            finally:
                await hot.close()
    whose = "REDIS_URL" if settings.redis_url else "an own server"
    raised = flag is not None and not LatchFile(state).outdated(flag)
    return [ok("redis", whose), *([_latch(flag, "kill flag")] if raised else [])]


@contextlib.contextmanager
def _servers_folder(state: StateFolder) -> Iterator[StateFolder]:
    """Give the state folder where it has servers; else a passing one, to see that servers run at all."""
    if state.servers.is_dir():
        yield state
        return
    with temporary_state() as passing:
        yield passing
