"""The RPC client against a loopback node that fails in every way a node fails."""

import asyncio
import base64
import random
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.chain.http import NotSent
from bmv.chain.message import MessageTemplate
from bmv.chain.rpc import AccountImage, HeightAt, Rpc, SignatureStatus
from bmv.chain.transaction import sign, signature
from bmv.errors import Garbled, OutsideError, RateLimited, Refused, Stale, Unreachable
from bmv.keys.signer import InProcessSigner
from bmv.units import BlockHeight, Lamports, Slot
from tests.chain.stage import (
    KEY,
    Hurried,
    Reply,
    Stage,
    at_slot,
    cut,
    drip,
    envelope,
    failure,
    hang,
    hang_up,
    raw,
    result,
)

T = TypeVar("T")
WALLET = Keypair.from_seed(bytes(32))
OWNER = Pubkey.from_bytes(bytes(range(32)))
HASH = "EkSnNWid2cvwEVnVx9aBqawnmiCNiDgp3gUdkDPTKN1N"
SIGNATURE = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQkjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"
TRANSACTION = sign(MessageTemplate(WALLET.pubkey(), []).render(bytes(32), []), InProcessSigner([WALLET]))


def keys(count: int) -> list[Pubkey]:
    """Make up some account keys."""
    return [Pubkey.from_bytes(n.to_bytes(32, "big")) for n in range(1, count + 1)]


def image(lamports: int = 5, data: bytes = b"\1\2\3") -> dict[str, Any]:
    """An account as a node writes it."""
    coded = [base64.b64encode(data).decode(), "base64"]
    return {"data": coded, "lamports": lamports, "owner": str(OWNER), "executable": False, "space": len(data)}


class Played:
    """What a client got, what was asked of the server, and every error on the way."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.errors: list[OutsideError] = []
        self.raised: OutsideError | None = None
        self.value: Any = None


def play(
    ask: Callable[[Rpc], Awaitable[Any]],
    *script: Reply,
    attempts: int = 4,
    timeout_s: float = 10,
    rng: random.Random | None = None,
) -> Played:
    """Let a client ask a node that answers by script."""

    async def run() -> Played:
        played = Played()
        async with Stage(*script) as stage:
            rpc = Rpc(
                stage.session,
                stage.url,
                rng=rng or Hurried(),
                timeout_s=timeout_s,
                attempts=attempts,
                on_error=played.errors.append,
            )
            try:
                played.value = await ask(rpc)
            except OutsideError as error:
                played.raised = error
            played.requests = stage.requests
        return played

    return asyncio.run(run())


def slot(rpc: Rpc) -> Awaitable[Slot]:
    """The simplest thing to ask."""
    return rpc.slot()


# What a node answers


def test_the_newest_blockhash_comes_with_its_last_valid_height() -> None:
    value = {"blockhash": HASH, "lastValidBlockHeight": 3090}
    got = play(lambda rpc: rpc.latest_blockhash(), at_slot(2792, value))
    assert (got.value.hash, got.value.last_valid_block_height, got.value.slot) == (HASH, 3090, 2792)
    assert got.value.raw == bytes(Pubkey.from_string(HASH))
    assert got.requests[0]["params"] == [{"commitment": "confirmed"}]


def test_accounts_come_back_in_order_with_none_where_nothing_is() -> None:
    got = play(
        lambda rpc: rpc.accounts(keys(4), min_slot=Slot(7), commitment="processed"),
        at_slot(9, [image(), None, image(lamports=0), image(data=b"")]),
    )
    assert got.value.slot == 9
    assert got.value.accounts == [
        AccountImage(Lamports(5), OWNER, b"\1\2\3"),
        None,
        None,  # closed: a node may still show what it held
        AccountImage(Lamports(5), OWNER, b""),
    ]
    asked, options = got.requests[0]["params"]
    assert asked == [str(key) for key in keys(4)]
    assert options == {"encoding": "base64", "commitment": "processed", "minContextSlot": 7}


def test_more_than_a_hundred_accounts_are_tied_to_the_first_slot() -> None:
    got = play(
        lambda rpc: rpc.accounts(keys(250)),
        at_slot(50, [image(1)] * 100),
        at_slot(51, [image(2)] * 100),
        at_slot(50, [image(3)] * 50),
    )
    assert got.value.slot == 50
    assert [one.lamports for one in got.value.accounts] == [1] * 100 + [2] * 100 + [3] * 50
    options = [request["params"][1].get("minContextSlot") for request in got.requests]
    assert options == [None, 50, 50]
    assert [len(request["params"][0]) for request in got.requests] == [100, 100, 50]


def test_a_later_batch_from_before_the_first_is_asked_again_and_then_refused() -> None:
    old = at_slot(49, [image()])
    healed = play(
        lambda rpc: rpc.accounts(keys(101)), at_slot(50, [image()] * 100), old, at_slot(50, [image()])
    )
    assert len(healed.value.accounts) == 101
    assert [type(error) for error in healed.errors] == [Stale]
    got = play(lambda rpc: rpc.accounts(keys(101)), at_slot(50, [image()] * 100), old, attempts=2)
    assert isinstance(got.raised, Stale)
    assert len(got.requests) == 3


def test_statuses_tell_landed_failed_and_unknown_apart() -> None:
    landed = {"slot": 72, "confirmations": 10, "err": None, "confirmationStatus": "confirmed"}
    failed = {"slot": 73, "confirmations": None, "err": {"InstructionError": [2, {"Custom": 6001}]}}
    got = play(
        lambda rpc: rpc.signature_statuses(["a", "b", "c"], search_history=True),
        at_slot(82, [landed, {**failed, "confirmationStatus": "finalized"}, None]),
    )
    assert got.value.slot == 82
    assert got.value.statuses == [
        SignatureStatus(Slot(72), None, "confirmed"),
        SignatureStatus(Slot(73), {"InstructionError": [2, {"Custom": 6001}]}, "finalized"),
        None,
    ]
    assert got.requests[0]["params"] == [["a", "b", "c"], {"searchTransactionHistory": True}]


def test_more_than_256_statuses_take_several_calls_and_the_oldest_slot_counts() -> None:
    got = play(
        lambda rpc: rpc.signature_statuses([str(n) for n in range(300)]),
        at_slot(83, [None] * 256),
        at_slot(82, [None] * 44),
    )
    assert got.value.slot == 82
    assert got.value.statuses == [None] * 300


def test_the_small_reads_return_plain_numbers() -> None:
    height = result({"absoluteSlot": 12, "blockHeight": 10, "epoch": 0})
    assert play(lambda rpc: rpc.block_height(), height).value == HeightAt(Slot(12), BlockHeight(10))
    assert play(lambda rpc: rpc.rent_exempt(3228), result(23357760)).value == 23357760
    assert play(lambda rpc: rpc.balance(OWNER), at_slot(1, 17)).value == 17
    assert play(lambda rpc: rpc.version(), result({"solana-core": "4.0.2"})).value == "4.0.2"


def test_history_is_asked_between_cursors_and_keeps_the_place_in_the_block() -> None:
    entry = {"signature": SIGNATURE, "slot": 114, "err": None, "memo": None}
    got = play(
        lambda rpc: rpc.signatures_for_address(OWNER, until=SIGNATURE, limit=5),
        result([{**entry, "transactionIndex": 7}, entry]),
    )
    assert [(one.signature, one.slot, one.index) for one in got.value] == [
        (SIGNATURE, 114, 7),
        (SIGNATURE, 114, None),
    ]
    assert got.requests[0]["params"][1] == {"until": SIGNATURE, "limit": 5, "commitment": "confirmed"}


def test_a_transaction_not_there_is_none_and_one_there_is_its_json() -> None:
    assert play(lambda rpc: rpc.transaction(SIGNATURE), result(None)).value is None
    found = {"slot": 5, "meta": {"err": None}, "transaction": {"message": {}}, "blockTime": None}
    assert play(lambda rpc: rpc.transaction(SIGNATURE), result(found)).value == found
    broken = play(lambda rpc: rpc.transaction(SIGNATURE), result({**found, "meta": None}))
    assert isinstance(broken.raised, Garbled)


def test_a_simulation_tells_error_logs_and_units() -> None:
    value = {"err": {"InstructionError": [2, {"Custom": 1}]}, "logs": ["x"], "unitsConsumed": 2366}
    got = play(lambda rpc: rpc.simulate(TRANSACTION), at_slot(218, value)).value
    assert (got.slot, got.err, got.logs, got.units_consumed) == (218, value["err"], ["x"], 2366)
    bare = play(lambda rpc: rpc.simulate(TRANSACTION), at_slot(1, {"err": "BlockhashNotFound", "logs": None}))
    assert (bare.value.logs, bare.value.units_consumed) == ([], 0)


# How a node fails

WORDS = {"code": -32601, "message": "Method not found"}
FAILURES: list[tuple[str, Reply, type[OutsideError], int]] = [
    ("429 in HTML", raw(429, "<html>Too Many Requests</html>"), RateLimited, 4),
    ("429 without a body", raw(429, ""), RateLimited, 4),
    ("429 in JSON, id null", failure({"code": -32097, "message": "x"}, 429, id=None), RateLimited, 4),
    ("quota code, no data", failure({"code": -32429, "message": "max usage reached"}), RateLimited, 4),
    ("quota code 429", failure({"code": 429, "message": "RPS"}), RateLimited, 4),
    ("-32005 without data", failure({"code": -32005, "message": "Too many requests"}), RateLimited, 4),
    ("-32005 with data", failure({"code": -32005, "message": "Node is behind by 42 slots"}), Stale, 4),
    ("-32016", failure({"code": -32016, "message": "Minimum context slot", "data": {}}), Stale, 4),
    ("-32603", failure({"code": -32603, "message": "Internal error"}), Unreachable, 4),
    ("500", raw(500, "oops"), Unreachable, 4),
    ("502", raw(502, "<html>Bad Gateway</html>"), Unreachable, 4),
    ("503 in JSON", failure({"code": -32000, "message": "x"}, 503), Unreachable, 4),
    ("hangs up", hang_up, Unreachable, 4),
    ("breaks off", cut, Unreachable, 4),
    ("401", raw(401, '{"error":"Unauthorized"}'), Refused, 1),
    ("403", raw(403, "<html>no</html>"), Refused, 1),
    ("404", raw(404, "nothing here"), Refused, 1),
    ("413", raw(413, ""), Refused, 1),
    ("a method it does not know", failure(WORDS), Refused, 1),
    ("bad parameters at 400", failure({"code": -32602, "message": "Invalid param"}, 400), Refused, 1),
    ("a code nobody knows", failure({"code": -39999, "message": "?"}), Refused, 1),
    ("an error that is a text", failure("no such project"), Refused, 1),
    ("an error without a code", failure({"message": "?"}), Garbled, 4),
    ("HTML", raw(200, "<html>maintenance</html>"), Garbled, 4),
    ("truncated JSON", raw(200, '{"jsonrpc":"2.0","result":12'), Garbled, 4),
    ("an empty body", raw(200, ""), Garbled, 4),
    ("a list", raw(200, "[]"), Garbled, 4),
    ("bytes that are no text", raw(200, b"\xff\xfe\x00"), Garbled, 4),
    ("the id of another", envelope(result=12, id=999), Garbled, 4),
    ("the error of another", failure(WORDS, id=999), Garbled, 4),
    ("no result", envelope(), Garbled, 4),
    ("null", result(None), Garbled, 4),
    ("a number as a text", result("12"), Garbled, 4),
    ("a fraction", result(12.5), Garbled, 4),
    ("a negative number", result(-1), Garbled, 4),
    ("true", result(True), Garbled, 4),
    ("a redirect", raw(302, "", {"Location": "http://127.0.0.1:1/"}), Refused, 1),
]


@pytest.mark.parametrize(("reply", "kind", "asked"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_every_failure_has_its_kind_and_only_what_may_heal_is_asked_again(
    reply: Reply, kind: type[OutsideError], asked: int
) -> None:
    got = play(slot, reply)
    assert type(got.raised) is kind
    assert len(got.requests) == asked
    assert [type(error) for error in got.errors] == [kind] * asked
    shown = "".join(traceback.format_exception(got.raised)) if got.raised else ""
    assert KEY not in shown
    assert "127.0.0.1" in str(got.raised)


def test_a_read_heals_and_what_went_wrong_on_the_way_is_counted() -> None:
    got = play(slot, raw(502, ""), raw(429, ""), raw(200, "<html>"), result(12))
    assert got.value == 12
    assert [type(error) for error in got.errors] == [Unreachable, RateLimited, Garbled]
    assert [request["id"] for request in got.requests] == [1, 2, 3, 4]


MISSING: list[tuple[Callable[[Rpc], Awaitable[Any]], Any]] = [
    (lambda rpc: rpc.latest_blockhash(), {"blockhash": HASH}),
    (lambda rpc: rpc.latest_blockhash(), {"blockhash": "no hash", "lastValidBlockHeight": 1}),
    (lambda rpc: rpc.latest_blockhash(), {"blockhash": HASH, "lastValidBlockHeight": "1"}),
    (lambda rpc: rpc.accounts(keys(2)), [image()]),
    (lambda rpc: rpc.accounts(keys(1)), {"0": image()}),
    (lambda rpc: rpc.accounts(keys(1)), [{**image(), "data": ["AQID", "base58"]}]),
    (lambda rpc: rpc.accounts(keys(1)), [{**image(), "data": ["A*D", "base64"]}]),
    (lambda rpc: rpc.accounts(keys(1)), [{**image(), "data": "AQID"}]),
    (lambda rpc: rpc.accounts(keys(1)), [{**image(), "lamports": "5"}]),
    (lambda rpc: rpc.accounts(keys(1)), [{**image(), "owner": "nobody"}]),
    (lambda rpc: rpc.accounts(keys(1)), [{"lamports": 5}]),
    (lambda rpc: rpc.signature_statuses(["a"]), [{"slot": 5}]),
    (lambda rpc: rpc.signature_statuses(["a"]), [{"slot": 5, "err": None, "confirmationStatus": "perhaps"}]),
    (lambda rpc: rpc.simulate(TRANSACTION), {"logs": []}),
]


@pytest.mark.parametrize(("ask", "value"), MISSING)
def test_a_missing_or_wrong_field_is_never_a_partial_value(
    ask: Callable[[Rpc], Awaitable[Any]], value: Any
) -> None:
    got = play(ask, at_slot(1, value), attempts=1)
    assert isinstance(got.raised, Garbled)
    assert got.value is None


def test_nobody_listening_is_not_sent() -> None:
    async def run() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{held.getsockname()[1]}/{KEY}"
            async with aiohttp.ClientSession() as session:
                await Rpc(session, url, rng=Hurried(), attempts=2).slot()

    with pytest.raises(NotSent) as refused:
        asyncio.run(run())
    assert KEY not in "".join(traceback.format_exception(refused.value))


def test_a_url_that_is_none_is_refused_without_showing_it() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            await Rpc(session, f"{KEY}/slot", rng=Hurried()).slot()

    with pytest.raises(Refused) as refused:
        asyncio.run(run())
    assert KEY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("reply", [hang, drip])
def test_silence_and_a_slow_drip_end_at_the_deadline(reply: Reply) -> None:
    began = time.monotonic()
    got = play(slot, reply, timeout_s=0.2)
    assert type(got.raised) is Unreachable
    assert 0.1 < time.monotonic() - began < 1.0
    assert 2 <= len(got.requests) <= 4


def test_retry_after_is_waited_for_when_the_deadline_allows() -> None:
    began = time.monotonic()
    got = play(slot, raw(429, "", {"Retry-After": "0.3"}), result(5), timeout_s=5)
    assert got.value == 5
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "1e99"}, 3600.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({}, None),
    ],
)
def test_retry_after_reaches_the_caller_in_seconds(headers: dict[str, str], after: float | None) -> None:
    got = play(slot, raw(429, "", headers), attempts=1)
    assert isinstance(got.raised, RateLimited)
    assert got.raised.retry_after == after


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    began = time.monotonic()
    got = play(slot, raw(429, "", {"Retry-After": "60"}), timeout_s=5)
    assert isinstance(got.raised, RateLimited)
    assert len(got.requests) == 1
    assert time.monotonic() - began < 2


def test_what_a_server_echoes_is_scrubbed_and_shortened() -> None:
    echo = {"code": -32602, "message": f"bad key {KEY}\n\x1b[31m" + "x" * 500}
    got = play(slot, failure(echo))
    assert KEY not in str(got.raised)
    assert "bad key ***" in str(got.raised)
    assert "\n" not in str(got.raised)
    assert "\x1b" not in str(got.raised)
    assert len(str(got.raised)) < 300


def test_an_unknown_history_cursor_is_refused_with_its_code() -> None:
    lost = failure({"code": -32020, "message": "Filter transaction not found"})
    got = play(lambda rpc: rpc.signatures_for_address(OWNER, until=SIGNATURE), lost)
    assert isinstance(got.raised, Refused)
    assert got.raised.code == -32020


# Sending


def test_a_transaction_is_sent_as_base64_and_answers_with_its_own_signature() -> None:
    own = signature(TRANSACTION)
    got = play(lambda rpc: rpc.send_transaction(TRANSACTION, skip_preflight=True), result(own))
    assert got.value == own
    coded, options = got.requests[0]["params"]
    assert base64.b64decode(coded) == TRANSACTION
    assert options["skipPreflight"] is True


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (raw(502, ""), Unreachable),
        (raw(429, ""), RateLimited),
        (raw(200, "<html>"), Garbled),
        (result(SIGNATURE), Garbled),
        (hang_up, Unreachable),
        (failure({"code": -32016, "message": "behind"}), Stale),
    ],
)
def test_a_send_is_never_repeated(reply: Reply, kind: type[OutsideError]) -> None:
    got = play(lambda rpc: rpc.send_transaction(TRANSACTION), reply)
    assert type(got.raised) is kind
    assert len(got.requests) == 1


def test_a_failed_preflight_says_why() -> None:
    error = {
        "code": -32002,
        "message": "Transaction simulation failed",
        "data": {"err": {"InstructionError": [0, {"Custom": 34}]}, "logs": []},
    }
    got = play(lambda rpc: rpc.send_transaction(TRANSACTION), failure(error))
    assert isinstance(got.raised, Refused)
    assert got.raised.code == -32002
    assert '{"Custom":34}' in str(got.raised)
