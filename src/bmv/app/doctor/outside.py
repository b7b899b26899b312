"""Checks of what answers outside: node, clocks, WebSocket, block engine, price sources."""

import asyncio
import random
import re
from dataclasses import replace

import aiohttp

from bmv.app.assembly import Outside, clients, price_sources
from bmv.app.doctor.finding import Finding, failed, ok, warning
from bmv.app.looking import WallClock
from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.rpc import Rpc
from bmv.chain.stream import AccountStream, SlotSeen, StreamDown, StreamEvent
from bmv.config import Settings
from bmv.errors import OutsideError, RateLimited, Refused, Unreachable
from bmv.services.oracle import OracleWatch
from bmv.units import LAMPORTS_PER_SOL
from bmv.venue.system import CLOCK, decode_clock

CLUSTERS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": "mainnet",
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": "devnet",
}
LAG_SLOTS, LAG_FATAL_SLOTS = 16, 150
SKEW_S, SKEW_FATAL_S = 10, 60
STREAM_S = 10.0
SLOW_REGION_S = 1.0
AUTHORISED_PER_S = 2
"""So many requests a second a region takes from who has a UUID; from others it takes one."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NODE = "set RPC_URL to a node that answers; a provider's free plan may refuse what the engine needs"


async def node(rpc: Rpc) -> list[Finding]:
    """Ask a node which chain it has and what it runs."""
    genesis, version = await rpc.genesis_hash(), await rpc.version()
    cluster = CLUSTERS.get(genesis, "another chain")
    found = f"{cluster} (genesis {genesis[:8]}), version {version}"
    if cluster != "mainnet":
        return [warning("node", found, "right for a sandbox or a test; money is on mainnet only")]
    return [ok("node", found)]


async def slots(rpc: Rpc) -> list[Finding]:
    """Judge how far what the node has confirmed lies behind what it has processed."""
    newest, confirmed = await rpc.slot("processed"), await rpc.slot("confirmed")
    lag = max(0, int(newest - confirmed))
    found = f"slot {newest}, confirmed {lag} behind"
    if lag >= LAG_FATAL_SLOTS:
        return [failed("slot lag", found, "blockhashes expire before they are seen: use another node")]
    if lag >= LAG_SLOTS:
        return [warning("slot lag", found, "node or chain is behind; look again, or use another node")]
    return [ok("slot lag", found)]


async def clock(rpc: Rpc) -> list[Finding]:
    """Compare the chain's clock with ours."""
    (image,) = (await rpc.accounts([CLOCK], commitment="processed")).accounts
    if image is None:
        return [failed("clock", "the node shows no clock", NODE)]
    skew = decode_clock(image.data) - int(WallClock().now()) // 1000
    found = f"the chain's clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} ours"
    if abs(skew) >= SKEW_FATAL_S:
        return [failed("clock", found, "set this machine's clock (NTP), or use a node that keeps up")]
    if abs(skew) >= SKEW_S:
        return [warning("clock", found, "see that NTP runs: orders live by its clock, guards by ours")]
    return [ok("clock", found)]


async def stream(session: aiohttp.ClientSession, outside: Outside) -> list[Finding]:
    """Subscribe, and wait for a slot."""
    heard: asyncio.Queue[StreamEvent] = asyncio.Queue()
    rng = random.Random()
    listener = AccountStream(session, outside.ws_url, [CLOCK], rng=rng, silence_s=STREAM_S)
    running = asyncio.create_task(listener.run(heard.put_nowait))
    try:
        while not isinstance(event := await heard.get(), SlotSeen):
            if isinstance(event, StreamDown):
                raise Unreachable("websocket", event.reason)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return [ok("websocket", f"subscribed, slot {event.slot} came")]


async def block_engine(session: aiohttp.ClientSession, outside: Outside, settings: Settings) -> list[Finding]:
    """Ask every region for its tip accounts, and what tips landed lately."""
    regions = await asyncio.gather(*(_region(session, outside, url) for url in outside.jito_urls))
    wrong = [why for _, why in regions if why]
    count = f"{len(regions) - len(wrong)} of {len(regions)} regions answer"
    if len(wrong) == len(regions):
        return [failed("jito", f"{count}: {wrong[0]}", "check JITO_URLS, and that this machine gets there")]
    slowest = max(seconds for seconds, why in regions if not why)
    found = f"{count}, the slowest in {slowest * 1000:.0f} ms"
    told = [ok("jito", found) if not wrong else warning("jito", f"{found}; {wrong[0]}", "see JITO_URLS")]
    if slowest > SLOW_REGION_S:
        told.append(warning("jito distance", found, "name only regions near this machine in JITO_URLS"))
    nearest = min(
        (seconds, url) for (seconds, why), url in zip(regions, outside.jito_urls, strict=True) if not why
    )
    told.append(await _authorised(session, replace(outside, jito_urls=(nearest[1],))))
    return [*told, await _tips(session, outside, settings)]


async def _authorised(session: aiohttp.ClientSession, outside: Outside) -> Finding:
    """Ask one region as often in a second as only a known UUID may; this shows no bundle that lands."""
    check, ask_jito = "jito auth", "ask Jito for one: without it bundles may be taken and never land"
    if outside.jito_auth is None:
        return warning(check, "JITO_AUTH_UUID is not set", ask_jito)
    if not _UUID.fullmatch(outside.jito_auth.reveal()):
        return warning(check, "JITO_AUTH_UUID is not of the form of a UUID", ask_jito)
    quick, now = replace(outside, bundles_per_second=float(AUTHORISED_PER_S)), asyncio.get_running_loop().time
    _, engine = clients(quick, session, now, 0, lambda _: None)
    try:
        for _ in range(AUTHORISED_PER_S):
            await engine.tip_accounts()
    except Refused as error:
        return failed(check, f"JITO_AUTH_UUID is refused: {error}", "correct it, or take it out")
    except RateLimited:
        return warning(
            check, "the region limits us as it limits strangers: JITO_AUTH_UUID may be void", ask_jito
        )
    except OutsideError as error:
        return warning(check, str(error), "look again")
    return ok(check, f"JITO_AUTH_UUID is taken, {AUTHORISED_PER_S} requests in a second are answered")


async def _region(session: aiohttp.ClientSession, outside: Outside, url: str) -> tuple[float, str]:
    """Return how long one region takes to answer a stranger, and what is wrong with it."""
    now = asyncio.get_running_loop().time
    _, engine = clients(replace(outside, jito_urls=(url,), jito_auth=None), session, now, 0, lambda _: None)
    began = now()
    try:
        strange = set(await engine.tip_accounts()) - set(TIP_ACCOUNTS)
    except OutsideError as error:
        return now() - began, str(error)
    return now() - began, f"{url} names tip accounts the signer does not know" if strange else ""


async def _tips(session: aiohttp.ClientSession, outside: Outside, settings: Settings) -> Finding:
    _, engine = clients(outside, session, asyncio.get_running_loop().time, 0, lambda _: None)
    try:
        floor = await engine.tip_floor()
    except OutsideError as error:
        return warning("tips", str(error), "every bundle pays JITO_TIP_AMOUNT_SOL until figures come")
    if floor is None:
        return warning("tips", "no figures", "every bundle pays JITO_TIP_AMOUNT_SOL until figures come")
    found = f"half of what landed paid up to {int(floor.p50) / LAMPORTS_PER_SOL:.9f} SOL"
    if settings.jito_tip < floor.p50:
        return warning("tips", found, "JITO_TIP_AMOUNT_SOL is less: many bundles will not land")
    return ok("tips", found)


async def oracle(
    session: aiohttp.ClientSession, rpc: Rpc, outside: Outside, settings: Settings
) -> list[Finding]:
    """Ask every price source once; an outage stops conversions, not the ladder."""
    sources = price_sources(outside, session, rpc, settings)
    watch = OracleWatch(sources, lambda: settings, WallClock(), lambda _: None, lambda _: None)
    await watch.round()
    told = [
        warning("oracle", f"{name}: {heard}", "see ORACLE_SOURCES, its URL and key")
        for name, heard in watch.heard.items()
        if isinstance(heard, str)
    ]
    verdict = watch.verdict
    if verdict.micros is None and settings.pivot_mode == "sol_fade_in":
        advice = "PIVOT_MODE=sol_fade_in cannot start without a price"
        return [*told, failed("sol price", verdict.reason, advice)]
    if not verdict.firm:
        return [*told, warning("sol price", verdict.reason, "nothing is converted until sources agree")]
    return [*told, ok("sol price", f"{(verdict.micros or 0) / 1e6:.2f} USD by {', '.join(verdict.used)}")]
