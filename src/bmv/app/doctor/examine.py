"""The order of the checks: first what everything else stands on, then what needs it.

A check that failed leaves out only those that cannot be made without it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from solders.pubkey import Pubkey

from bmv.app.assembly import clients, read_market
from bmv.app.doctor import here, outside, trading
from bmv.app.doctor.finding import Finding, Status, failed, looked, ok, warning
from bmv.app.live import LiveOptions, outside_of
from bmv.app.looking import WallClock
from bmv.app.plan import planned
from bmv.app.signing import known_wallets
from bmv.chain.rpc import Rpc
from bmv.config import Settings, read
from bmv.errors import BadInput, BmvError
from bmv.keys.store import Wallet
from bmv.model import MarketSpec
from bmv.observe.log import configure
from bmv.state.folder import StateFolder

SETTINGS = "docs/configuration.md; bmv config check shows every value"
KEYSTORE = "bmv wallets create makes one, bmv wallets import takes keys over"
MARKET = "set MARKET to the address of an OpenBook v1 market"


@dataclass
class Diagnosis:
    """All findings; ``reached`` is False where the node did not answer at all."""

    findings: list[Finding] = field(default_factory=list)
    reached: bool = True

    @property
    def exit_code(self) -> int:
        """Return 4 where the outside cannot be reached, 1 where a check has failed, else 0."""
        if not self.reached:
            return 4
        return int(any(each.status is Status.FAILED for each in self.findings))


def examine(
    config: Path | None, environ: Mapping[str, str], state: StateFolder, passphrase_fd: int | None
) -> Diagnosis:
    """Make every check that can be made; changes nothing of the state."""
    configure(WallClock().now, quiet=True)
    diagnosis = Diagnosis()
    settings = _settings(config, environ, diagnosis)
    diagnosis.findings += here.folder(state)
    if settings is None:
        return diagnosis
    diagnosis.findings += here.alerts(settings)
    known = _keys(state.keystore_of(settings.keystore), passphrase_fd, diagnosis)
    diagnosis.findings += here.signer(state, known)
    market = asyncio.run(_around(settings, state, known, diagnosis))
    operators = trading.operators_of(known)
    if market is not None and operators:
        diagnosis.findings += _ladder(settings, state, operators)
    return diagnosis


def _settings(config: Path | None, environ: Mapping[str, str], diagnosis: Diagnosis) -> Settings | None:
    try:
        found = read(config, environ)
    except BadInput as error:
        diagnosis.findings += [failed("settings", str(each), SETTINGS) for each in error.problems]
        return None
    notes = [warning("settings", note, "take it out, or say it in one place") for note in found.notes()]
    diagnosis.findings += notes or [ok("settings", f"{config or 'defaults and environment'} can be used")]
    return found.settings


def _keys(keystore: Path, passphrase_fd: int | None, diagnosis: Diagnosis) -> list[Wallet]:
    try:
        known = known_wallets(keystore, passphrase_fd)
    except BmvError as error:
        diagnosis.findings.append(failed("keystore", str(error), KEYSTORE))
        return []
    diagnosis.findings += here.keys(known, keystore)
    return known


async def _around(
    settings: Settings, state: StateFolder, known: list[Wallet], diagnosis: Diagnosis
) -> MarketSpec | None:
    told = diagnosis.findings
    servers = "see DATABASE_URL and REDIS_URL; without them the extra local brings both servers"
    told += await looked("database", here.database(settings, state), servers)
    told += await looked("redis", here.redis(settings, state), servers)
    try:
        place = outside_of(settings)
    except BadInput as error:
        told.append(failed("node", str(error), outside.NODE))
        return None
    async with aiohttp.ClientSession() as session:
        rpc, _ = clients(place, session, asyncio.get_running_loop().time, 0, lambda _: None)
        node = await looked("node", outside.node(rpc), outside.NODE)
        told += node
        diagnosis.reached = node[0].status is not Status.FAILED
        if diagnosis.reached:
            told += await looked("slot lag", outside.slots(rpc), outside.NODE)
            told += await looked("clock", outside.clock(rpc), outside.NODE)
        stream = "set RPC_WS_URL; without it the chain is seen late"
        told += await looked("websocket", outside.stream(session, place), stream)
        told += await looked("jito", outside.block_engine(session, place, settings), "see JITO_URLS")
        told += await looked("oracle", outside.oracle(session, rpc, place, settings), "see ORACLE_SOURCES")
        return await _market(rpc, settings, known, diagnosis) if diagnosis.reached else None


async def _market(
    rpc: Rpc, settings: Settings, known: list[Wallet], diagnosis: Diagnosis
) -> MarketSpec | None:
    told = diagnosis.findings
    try:
        spec, keys = await read_market(rpc, Pubkey.from_string(settings.market))
    except BmvError as error:
        told.append(failed("market", str(error), MARKET))
        return None
    told += trading.market(spec)
    told += await looked("event queue", trading.queue(rpc, keys), outside.NODE)
    if known:
        told += trading.levels(spec, len(trading.operators_of(known)), settings)
        told += await looked("wallets", trading.wallets(rpc, spec, keys, known, settings), outside.NODE)
    return spec


def _ladder(settings: Settings, state: StateFolder, operators: list[Pubkey]) -> list[Finding]:
    try:
        return trading.ladder(planned(LiveOptions(settings=settings, state=state), operators))
    except BmvError as error:
        return [failed("ladder", str(error), "see bmv plan")]
