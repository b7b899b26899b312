"""Each branch of the doctor's judgement about what answers outside, by servers that answer just so."""

import asyncio
import random
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from solders.pubkey import Pubkey

from bmv.app.assembly import Outside
from bmv.app.doctor import here, outside, trading
from bmv.app.doctor.finding import Finding, Status
from bmv.app.signing import running_signer
from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.rpc import Rpc
from bmv.sandbox.genesis import clock_data
from bmv.sandbox.market_genesis import token_account
from bmv.sandbox.spl_token import STATE_FROZEN
from bmv.secret import Secret
from bmv.state.folder import StateFolder
from bmv.units import Lamports
from bmv.venue.jupiter import USDC
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.layouts import ACCOUNT_OVERHEAD, EVENT_SIZE
from tests.chain.stage import Reply, Stage, at_slot, failure, raw, result
from tests.chain.test_rpc import image
from tests.core.belongings import settings
from tests.keys.test_process import WALLETS, serving

UUID = "6f1e0a52-3f0c-4d7e-9a3b-0c1d2e3f4a5b"
OWNER = Pubkey.from_bytes(bytes(range(32)))
RENT, FLOOR = 2_039_280, 10**9


def asked(look: Callable[[Rpc], Awaitable[list[Finding]]], *script: Reply) -> list[Finding]:
    """Return what a look at a node finds that answers by script."""

    async def run() -> list[Finding]:
        async with Stage(*script) as stage:
            return await look(Rpc(stage.session, stage.url, rng=random.Random(1), attempts=1))

    return asyncio.run(run())


def statuses(found: Sequence[Finding]) -> dict[str, Status]:
    """Return how each check ended; what is not ok says what to do."""
    assert all(bool(each.advice) is (each.status is not Status.OK) for each in found)
    return {each.check: each.status for each in found}


@pytest.mark.parametrize(
    ("behind", "status"), [(0, "ok"), (15, "ok"), (16, "warning"), (149, "warning"), (150, "failed")]
)
def test_a_node_that_confirms_late_is_told_by_how_much(behind: int, status: str) -> None:
    found = asked(outside.slots, result(1_000), result(1_000 - behind))
    assert statuses(found) == {"slot lag": status}
    assert f"confirmed {behind} behind" in found[0].found


@pytest.mark.parametrize(
    ("skew", "status"),
    [(0, "ok"), (5, "ok"), (-30, "warning"), (30, "warning"), (-120, "failed"), (120, "failed")],
)
def test_a_clock_that_is_not_the_chain_s_is_told(skew: int, status: str) -> None:
    told = at_slot(9, [image(data=clock_data(9, 0, int(time.time()) + skew))])
    found = asked(outside.clock, told)
    assert statuses(found) == {"clock": status}
    assert ("ahead of" if skew > 2 else "behind") in found[0].found or skew == 0


def test_a_node_without_a_clock_is_none() -> None:
    assert statuses(asked(outside.clock, at_slot(9, [None]))) == {"clock": Status.FAILED}


@pytest.mark.parametrize(
    ("waiting", "status"), [(0, "ok"), (32, "ok"), (33, "warning"), (60, "warning"), (61, "failed")]
)
def test_a_queue_that_nobody_cranks_is_told_before_it_fails_every_order(waiting: int, status: str) -> None:
    keys = cast(MarketKeys, type("Keys", (), {"event_queue": OWNER}))
    found = asked(lambda rpc: trading.queue(rpc, keys), at_slot(9, [image(data=queue(64, waiting))]))
    assert statuses(found) == {"event queue": status}
    assert f"{waiting} of 64" in found[0].found


def test_a_market_without_its_queue_cannot_be_traded_on() -> None:
    keys = cast(MarketKeys, type("Keys", (), {"event_queue": OWNER}))
    found = asked(lambda rpc: trading.queue(rpc, keys), at_slot(9, [None]))
    assert statuses(found) == {"event queue": Status.FAILED}


def queue(capacity: int, waiting: int) -> bytes:
    """Return an event queue of fills, as its account holds it."""
    head = b"serum" + struct.pack("<QQQQ", 1 | 16, 0, waiting, waiting)
    event = struct.pack("<BBB5xQQQQQ32sQ", 1, 0, 0, 1, 1, 0, 1, 1, bytes(32), 0)
    data = head + event * capacity
    return data.ljust(ACCOUNT_OVERHEAD + 32 + EVENT_SIZE * capacity, b"\0")[:-7] + b"padding"


def purse(lamports: int, usdc: int | None, *, frozen: bool = False) -> dict[str, Status]:
    """Return the judgement on a treasury; None: no account of USDC."""
    images: list[dict[str, Any] | None] = [image(lamports=lamports), None]
    if usdc is not None:
        data = bytearray(token_account(bytes(USDC), bytes(OWNER), usdc).data)
        if frozen:
            data[ACCOUNT_STATE] = STATE_FROZEN
        images[1] = image(lamports=RENT, data=bytes(data))

    def look(rpc: Rpc) -> Awaitable[list[Finding]]:
        return trading.treasury(rpc, OWNER, Lamports(RENT), settings())

    found = asked(look, at_slot(9, images))
    assert ("no USDC" in found[0].found) is (usdc is None)
    return statuses(found)


ACCOUNT_STATE = 108
"""Where a token account says whether it is frozen."""


def test_a_treasury_needs_its_gas_and_an_account_of_usdc_or_the_rent_for_it() -> None:
    assert purse(FLOOR, 5_000_000) == {"treasury": Status.OK}
    assert purse(FLOOR - 1, 5_000_000) == {"treasury": Status.WARNING}
    assert purse(FLOOR + RENT, None) == {"treasury": Status.OK}
    assert purse(FLOOR + RENT - 1, None) == {"treasury": Status.WARNING}
    assert purse(9 * FLOOR, 5_000_000, frozen=True) == {"treasury": Status.FAILED}


def engine(*script: Reply, uuid: str | None = UUID) -> tuple[dict[str, Status], list[Finding]]:
    """Return what is found of a block engine with one region that answers by script."""

    async def run() -> list[Finding]:
        async with Stage(*script) as stage:
            place = Outside(
                rpc_url="http://127.0.0.1:1",
                ws_url="ws://127.0.0.1:1",
                jito_urls=(stage.base,),
                tip_floor_url=f"{stage.base}/tip_floor",
                jito_auth=None if uuid is None else Secret(uuid),
            )
            return await outside.block_engine(stage.session, place, settings())

    found = asyncio.run(run())
    return statuses(found), found


TIPS = result([str(account) for account in TIP_ACCOUNTS])


async def only_with_uuid(request: web.Request, body: Any) -> web.StreamResponse:
    """Answer strangers and one known UUID; anybody else is not authorised."""
    known = request.headers.get("x-jito-auth") in {None, UUID}
    return await (TIPS if known else raw(401, '{"code":401,"message":"Unauthorized"}'))(request, body)


def test_a_uuid_is_tried_with_calls_that_cost_nothing() -> None:
    assert engine(only_with_uuid)[0]["jito auth"] is Status.OK
    refused, found = engine(only_with_uuid, uuid=UUID.replace("6", "7"))
    # The regions answer all the same: what is wrong is the UUID alone.
    assert (refused["jito"], refused["jito auth"]) == (Status.OK, Status.FAILED)
    assert not any(UUID in each.found for each in found)
    assert engine(only_with_uuid, uuid="no uuid at all")[0]["jito auth"] is Status.WARNING
    assert engine(only_with_uuid, uuid=None)[0]["jito auth"] is Status.WARNING


def test_a_uuid_that_is_limited_like_a_stranger_is_told() -> None:
    busy = failure({"code": -32097, "message": "Network congested."}, 429)
    told, found = engine(TIPS, TIPS, busy)
    assert told["jito auth"] is Status.WARNING
    assert "may be void" in next(each.found for each in found if each.check == "jito auth")
    assert engine(TIPS, raw(503, "<html>"))[0]["jito auth"] is Status.WARNING


def test_a_slow_region_and_strange_tip_accounts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    strange, found = engine(result([str(OWNER)]))
    assert strange == {"jito": Status.FAILED}
    assert "tip accounts the signer does not know" in found[0].found
    assert "jito distance" not in engine(TIPS)[0]
    monkeypatch.setattr(outside, "SLOW_REGION_S", 0.0)
    assert engine(TIPS)[0]["jito distance"] is Status.WARNING


def told_of_alerts(**keys: str) -> Status:
    (found,) = here.alerts(settings(**keys))
    statuses([found])
    return found.status


def test_an_engine_whose_halt_nobody_hears_of_is_told() -> None:
    assert told_of_alerts() is Status.WARNING
    assert told_of_alerts(ALERT_WEBHOOK_URL="https://example.org/hook") is Status.OK
    assert told_of_alerts(ALERT_TELEGRAM_TOKEN="1:a", ALERT_TELEGRAM_CHAT="1") is Status.OK
    assert told_of_alerts(ALERT_TELEGRAM_TOKEN="1:a") is Status.FAILED


def test_a_signer_that_is_latched_is_told_with_the_way_out(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.run.mkdir()
    known = WALLETS
    with serving(folder.signer):
        assert statuses(here.signer(folder, known)) == {"signer": Status.OK}
        assert statuses(here.signer(folder, known[1:])) == {"signer": Status.WARNING}
        client = running_signer(folder)
        assert client is not None
        client.latch("a drill")
        (found,) = here.signer(folder, known)
        assert (found.status, "bmv resume" in found.advice) == (Status.WARNING, True)
        assert "latched" in found.found
        client.release()
        assert statuses(here.signer(folder, known)) == {"signer": Status.OK}
        client.close()
    assert statuses(here.signer(folder, known)) == {"signer": Status.OK}
