"""The block engine client against loopback regions that refuse, lose and lie."""

import asyncio
import base64
import random
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from solders.keypair import Keypair

from bmv.chain.http import NotSent
from bmv.chain.jito import TIP_ACCOUNTS, BlockEngine, Inflight, TipFloor, bundle_id
from bmv.chain.message import MessageTemplate
from bmv.chain.transaction import sign, signature
from bmv.errors import Garbled, OutsideError, RateLimited, Refused, Unreachable
from bmv.keys.signer import InProcessSigner
from bmv.secret import Secret
from bmv.units import Slot
from tests.chain.stage import KEY, Hurried, Reply, Stage, cut, drip, failure, hang, hang_up, raw, result

WALLET = Keypair.from_seed(bytes(32))
RAWS = [
    sign(MessageTemplate(WALLET.pubkey(), []).render(bytes([n] * 32), []), InProcessSigner([WALLET]))
    for n in range(3)
]
OWN = bundle_id([signature(one) for one in RAWS])
BUSY = failure({"code": -32097, "message": "Network congested.", "data": None}, 429, id=None)
ID = "892b79ed49138bfb3aa5441f0df6e06ef34f9ee8f3976c15b323605bae0cf51d"


def engine(*stages: Stage, **options: Any) -> BlockEngine:
    """A client of these regions, quick and impatient unless told."""
    defaults: dict[str, Any] = {
        "auth_uuid": Secret(KEY),
        "per_second": 1000,
        "timeout_s": 0.5,
        "max_wait_s": 0.3,
    }
    return BlockEngine(
        stages[0].session,
        [stage.base for stage in stages],
        rng=Hurried(),
        now=asyncio.get_running_loop().time,
        tip_floor_url=f"{stages[0].base}/tip_floor",
        **{**defaults, **options},
    )


def ask(call: Callable[[BlockEngine], Awaitable[Any]], *script: Reply, **options: Any) -> Any:
    """Ask one region that answers by script."""

    async def run() -> Any:
        async with Stage(*script) as stage:
            return await call(engine(stage, **options))

    return asyncio.run(run())


def test_the_id_of_a_bundle_is_the_one_the_documentation_shows() -> None:
    signatures = [
        "3bC2M9fiACSjkTXZDgeNAuQ4ScTsdKGwR42ytFdhUvikqTmBheUxfsR1fDVsM5ADCMMspuwGkdm1uKbU246x5aE3",
        "8t9hKYEYNbLvNqiSzP96S13XF1C2f1ro271Kdf7bkZ6EpjPLuDff1ywRy4gfaGSTubsM2FeYGDoT64ZwPm1cQUt",
    ]
    assert bundle_id(signatures) == ID


def test_a_bundle_is_sent_as_base64_with_the_key_in_the_header_only() -> None:
    async def run() -> None:
        async with Stage(result(OWN)) as stage:
            sent = await engine(stage).send_bundle(RAWS)
            assert (sent.bundle_id, sent.outcome) == (OWN, "accepted")
            coded, options = stage.requests[0]["params"]
            assert [base64.b64decode(one) for one in coded] == RAWS
            assert options == {"encoding": "base64"}
            assert stage.paths == ["/api/v1/bundles"]
            assert stage.headers[0]["x-jito-auth"] == KEY

    asyncio.run(run())


def test_without_a_key_no_header_is_sent() -> None:
    async def run() -> None:
        async with Stage(result(OWN)) as stage:
            await engine(stage, auth_uuid=None).send_bundle(RAWS[:1])
            assert "x-jito-auth" not in stage.headers[0]

    asyncio.run(run())


@pytest.mark.parametrize("raws", [[], RAWS * 2])
def test_a_bundle_has_one_to_five_transactions(raws: list[bytes]) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        ask(lambda jito: jito.send_bundle(raws), result(OWN))


def test_a_busy_region_is_passed_over_and_left_alone_while_it_cools() -> None:
    async def run() -> None:
        errors: list[OutsideError] = []
        async with Stage(BUSY) as first, Stage(result(OWN)) as second:
            jito = engine(first, second, on_error=errors.append)
            for _ in range(3):
                sent = await jito.send_bundle(RAWS)
                assert (sent.outcome, sent.region) == ("accepted", "jito " + second.base[len("http://") :])
            assert (len(first.requests), len(second.requests)) == (1, 3)
            assert [type(error) for error in errors] == [RateLimited]

    asyncio.run(run())


def test_regions_take_turns() -> None:
    async def run() -> None:
        async with Stage(result(OWN)) as first, Stage(result(OWN)) as second:
            jito = engine(first, second, per_second=1e9)
            for _ in range(4):
                await jito.send_bundle(RAWS)
            assert (len(first.requests), len(second.requests)) == (2, 2)

    asyncio.run(run())


def test_a_region_that_is_not_there_is_passed_over() -> None:
    async def run() -> None:
        async with Stage(result(OWN)) as there:
            with socket.socket() as held:
                held.bind(("127.0.0.1", 0))
                gone = Stage(result(OWN))
                gone.base, gone.session = f"http://127.0.0.1:{held.getsockname()[1]}", there.session
                assert (await engine(gone, there).send_bundle(RAWS)).outcome == "accepted"
                with pytest.raises(NotSent):
                    await engine(gone).send_bundle(RAWS)

    asyncio.run(run())


@pytest.mark.parametrize("busy", [BUSY, raw(429, "<html>Too Many Requests</html>"), raw(429, "")])
def test_when_every_region_is_busy_the_bundle_is_certainly_not_sent(busy: Reply) -> None:
    async def run() -> None:
        async with Stage(busy) as first, Stage(busy) as second:
            with pytest.raises(RateLimited):
                await engine(first, second).send_bundle(RAWS)
            assert (len(first.requests), len(second.requests)) == (1, 1)

    asyncio.run(run())


def test_a_region_that_was_busy_often_is_asked_again_before_a_bundle_has_waited_too_long() -> None:
    async def run() -> None:
        moment = 0.0
        async with Stage(BUSY) as stage:
            rng = random.Random(1)
            jito = BlockEngine(stage.session, [stage.base], auth_uuid=None, rng=rng, now=lambda: moment)
            wait_s = jito._max_wait_s
            jito._max_wait_s = 0.0
            for asked in range(6):
                with pytest.raises(RateLimited):
                    await jito.send_bundle(RAWS)
                assert len(stage.requests) == asked + 1
                moment += wait_s

    asyncio.run(run())


def test_retry_after_prolongs_the_cooling() -> None:
    async def run() -> None:
        async with Stage(raw(429, "", {"Retry-After": "9"})) as stage:
            jito = engine(stage)
            for _ in range(2):
                with pytest.raises(RateLimited) as refused:
                    await jito.send_bundle(RAWS)
            assert refused.value.retry_after == pytest.approx(9, abs=0.5)
            assert len(stage.requests) == 1

    asyncio.run(run())


def test_the_rate_of_a_region_is_kept_by_waiting_and_by_refusing() -> None:
    async def run() -> None:
        async with Stage(result(OWN)) as stage:
            jito = engine(stage, per_second=10, max_wait_s=0.25)
            began = time.monotonic()
            sent = await asyncio.gather(*(jito.send_bundle(RAWS) for _ in range(5)), return_exceptions=True)
            assert 0.18 < time.monotonic() - began < 0.5
            assert [isinstance(one, RateLimited) for one in sent] == [False] * 3 + [True] * 2
            assert len(stage.requests) == 3

    asyncio.run(run())


@pytest.mark.parametrize(
    "reply",
    [
        hang,
        drip,
        hang_up,
        cut,
        raw(502, "<html>Bad Gateway</html>"),
        raw(200, "<html>"),
        raw(200, '{"jsonrpc":"2.0","res'),
        result(None),
        result(ID),
        failure({"code": -32603, "message": "Internal error"}),
    ],
)
def test_a_bundle_that_may_have_been_received_is_not_sent_again_and_its_outcome_is_unknown(
    reply: Reply,
) -> None:
    async def run() -> None:
        async with Stage(reply) as first, Stage(result(OWN)) as second:
            sent = await engine(first, second, timeout_s=0.2).send_bundle(RAWS)
            assert (sent.bundle_id, sent.outcome) == (OWN, "unknown")
            assert sent.why
            assert (len(first.requests), len(second.requests)) == (1, 0)

    asyncio.run(run())


def test_the_next_bundle_avoids_a_region_that_has_just_failed() -> None:
    async def run() -> None:
        async with Stage(raw(502, "")) as first, Stage(result(OWN)) as second:
            jito = engine(first, second)
            outcomes = [(await jito.send_bundle(RAWS)).outcome for _ in range(4)]
            assert outcomes == ["unknown", "accepted", "accepted", "accepted"]
            assert (len(first.requests), len(second.requests)) == (1, 3)

    asyncio.run(run())


def test_already_processed_is_a_hint_that_it_landed() -> None:
    error = {"code": -32602, "message": "bundle contains an already processed transaction", "data": None}
    errors: list[OutsideError] = []
    sent = ask(lambda jito: jito.send_bundle(RAWS), failure(error, 400), on_error=errors.append)
    assert (sent.bundle_id, sent.outcome, errors) == (OWN, "already_processed", [])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (
            failure({"code": -32602, "message": "Bundles must write lock at least one tip account"}, 400),
            -32602,
        ),
        (raw(401, '{"error":"not authorized"}'), 401),
        (raw(403, ""), 403),
    ],
)
def test_our_own_mistakes_are_refused_at_once_and_not_tried_elsewhere(reply: Reply, code: int) -> None:
    async def run() -> None:
        async with Stage(reply) as first, Stage(result(OWN)) as second:
            with pytest.raises(Refused) as refused:
                await engine(first, second).send_bundle(RAWS)
            assert refused.value.code == code
            assert second.requests == []

    asyncio.run(run())


def test_no_error_shows_the_key_even_if_the_server_echoes_it() -> None:
    echo = failure({"code": -32602, "message": f"uuid {KEY} unknown"}, 401)
    with pytest.raises(Refused) as refused:
        ask(lambda jito: jito.send_bundle(RAWS), echo)
    shown = "".join(traceback.format_exception(refused.value))
    assert KEY not in shown
    assert "uuid *** unknown" in shown


def test_tip_accounts_are_the_eight_of_mainnet() -> None:
    assert len(set(TIP_ACCOUNTS)) == 8
    accounts = [str(account) for account in TIP_ACCOUNTS]
    assert ask(lambda jito: jito.tip_accounts(), result(accounts)) == list(TIP_ACCOUNTS)
    with pytest.raises(Garbled):
        ask(lambda jito: jito.tip_accounts(), result(["nobody"]))


def test_inflight_statuses_come_in_the_order_asked_for() -> None:
    value = [
        {"bundle_id": "b", "status": "Landed", "landed_slot": 7},
        {"bundle_id": "a", "status": "Pending", "landed_slot": None},
    ]
    got = ask(lambda jito: jito.inflight_statuses(["a", "b", "c"]), result({"value": value}))
    assert got == [Inflight("a", "Pending", None), Inflight("b", "Landed", Slot(7)), None]
    assert ask(lambda jito: jito.inflight_statuses(["a"]), result(None)) == [None]
    with pytest.raises(Garbled):
        ask(
            lambda jito: jito.inflight_statuses(["a"]),
            result({"value": [{"bundle_id": "a", "status": "Perhaps"}]}),
        )
    with pytest.raises(ValueError, match="1 to 5"):
        ask(lambda jito: jito.inflight_statuses(["a"] * 6), result(None))


def test_statuses_tell_what_landed_and_what_is_not_known() -> None:
    landed = {
        "bundle_id": ID,
        "transactions": ["x", "y"],
        "slot": 242804011,
        "confirmation_status": "finalized",
        "err": {"Ok": None},
    }
    got = ask(
        lambda jito: jito.statuses(["a", ID]), result({"context": {"slot": 1}, "value": [None, landed]})
    )
    assert got[0] is None
    assert (got[1].signatures, got[1].slot, got[1].confirmation, got[1].err) == (
        ("x", "y"),
        242804011,
        "finalized",
        None,
    )
    failed = {**landed, "err": {"Err": "x"}}
    assert ask(lambda jito: jito.statuses([ID]), result({"value": [failed]}))[0].err == {"Err": "x"}


FLOOR = (
    '[{"time":"2024-09-01T12:58:00Z","landed_tips_25th_percentile":6.001e-06,'
    '"landed_tips_50th_percentile":1e-05,"landed_tips_75th_percentile":3.61965e-05,'
    '"landed_tips_95th_percentile":0.0014479055,"landed_tips_99th_percentile":0.010007999,'
    '"ema_landed_tips_50th_percentile":9.836078125e-06}]'
)


def test_the_tip_floor_is_read_in_lamports() -> None:
    got = ask(lambda jito: jito.tip_floor(), raw(200, FLOOR))
    assert got == TipFloor(*map(type(got.p25), (6001, 10000, 36196, 1447906, 10007999, 9836)))


@pytest.mark.parametrize("body", ["[]", "null"])
def test_no_figures_are_no_tip_floor(body: str) -> None:
    assert ask(lambda jito: jito.tip_floor(), raw(200, body)) is None


@pytest.mark.parametrize(
    "body",
    [
        FLOOR.replace("1e-05", "NaN"),
        FLOOR.replace("1e-05", "-1e-05"),
        FLOOR.replace("1e-05", '"1e-05"'),
        FLOOR.replace("1e-05", "null"),
        FLOOR.replace("1e-05", "1.5"),  # the median above the 75th
        FLOOR.replace("0.010007999", "1e9"),
        FLOOR.replace("0.010007999", "1e999"),
        FLOOR.replace("50th", "fiftieth"),
        '{"error": "no"}',
        "[1, 2]",
        "[[]]",
        "<html>",
        FLOOR[:-10],
    ],
)
def test_absurd_figures_are_no_tip_floor_either(body: str) -> None:
    errors: list[OutsideError] = []
    with pytest.raises(Garbled):
        ask(lambda jito: jito.tip_floor(), raw(200, body), on_error=errors.append)
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("reply", "kind"), [(raw(503, ""), Unreachable), (raw(429, ""), RateLimited), (raw(404, ""), Refused)]
)
def test_a_tip_floor_that_is_not_served_says_why(reply: Reply, kind: type[OutsideError]) -> None:
    with pytest.raises(kind):
        ask(lambda jito: jito.tip_floor(), reply)


def test_the_key_does_not_go_to_the_host_of_the_tip_floor() -> None:
    async def run() -> None:
        async with Stage(raw(200, FLOOR)) as stage:
            await engine(stage).tip_floor()
            assert KEY not in str(stage.headers)

    asyncio.run(run())


def test_a_block_engine_needs_a_url_and_a_rate() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            for urls, rate in (([], 1.0), (["http://x"], 0.0)):
                with pytest.raises(ValueError, match="needs a URL"):
                    BlockEngine(
                        session, urls, auth_uuid=None, rng=Hurried(), now=lambda: 0.0, per_second=rate
                    )

    asyncio.run(run())
