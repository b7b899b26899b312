"""RPC, WebSocket and Block Engine fronts, asked by a real HTTP client over TCP and a UNIX socket."""

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from solders.compute_budget import set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.sandbox import ata_program, spl_token
from bmv.sandbox.account import Account
from bmv.sandbox.chain import bundle_id
from bmv.sandbox.clock import LoopClock, SimulatedLoop
from bmv.sandbox.genesis import TIP_ACCOUNTS
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.sandbox.transaction import parse
from bmv.sandbox.wire import base58_decode, base58_encode, token_amount
from tests.sandbox.little_world import SOL, START_MS, Client, World, b64, pay, served, tip

PROCESSED = {"commitment": "processed"}
SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "getTransaction.json"
DATA_KEY = bytes([9]) * 32
MINT = bytes([8]) * 32


def ask(world: World, scenario: Callable[[Client], Awaitable[None]]) -> None:
    """Run ``scenario`` against a server of ``world`` on loopback."""

    async def run() -> None:
        async with served(world) as client:
            await scenario(client)

    asyncio.run(run())


def furnished() -> World:
    """Return a world with a data account, a mint and a holding of alice's."""
    world = World()
    alice = bytes(world.alice.pubkey())
    mint = spl_token.MINT.pack(1, alice, 5_000, 3, 1, 0, bytes(32))
    holding = spl_token.ACCOUNT.pack(MINT, alice, 1_250, 0, bytes(32), 1, 0, 0, 0, 0, bytes(32))
    world.chain.genesis(
        {
            DATA_KEY: Account(rent_exempt_lamports(300), bytes(range(256)) + bytes(44), bytes([7]) * 32),
            MINT: Account(rent_exempt_lamports(82), mint, spl_token.PROGRAM_ID),
            ata_program.address(alice, MINT): Account(
                rent_exempt_lamports(165), holding, spl_token.PROGRAM_ID
            ),
        }
    )
    return world


def key(raw: bytes) -> str:
    return str(Pubkey(raw))


def test_slots_heights_and_blockhashes_follow_the_commitment() -> None:
    world = World()
    world.pass_slots(100)

    async def scenario(client: Client) -> None:
        slots = [
            await client.rpc("getSlot", {"commitment": name})
            for name in ("processed", "confirmed", "finalized")
        ]
        assert slots[0] == world.chain.slot
        assert slots[0] - 2 <= slots[1] < slots[0]
        assert slots[0] - 33 <= slots[2] <= slots[0] - 32
        assert await client.rpc("getSlot") == slots[2]
        height = await client.rpc("getBlockHeight", PROCESSED)
        latest = await client.rpc("getLatestBlockhash", PROCESSED)
        assert latest["value"]["lastValidBlockHeight"] == height + 150
        assert latest["context"] == {"apiVersion": "4.0.2", "slot": slots[0]}
        valid = await client.rpc("isBlockhashValid", latest["value"]["blockhash"], PROCESSED)
        assert valid["value"] is True
        info = await client.rpc("getEpochInfo", PROCESSED)
        assert (info["absoluteSlot"], info["blockHeight"]) == (slots[0], height)
        assert await client.rpc("getBlockTime", slots[0]) == (START_MS + 40_000) // 1000
        assert await client.rpc("getHealth") == "ok"
        assert (await client.rpc("getSlot", {"commitment": "max"}))["code"] == -32602

    ask(world, scenario)


def test_accounts_read_as_the_samples_show_them() -> None:
    world = furnished()

    async def scenario(client: Client) -> None:
        missing = key(bytes([1]) * 32)
        answer = await client.rpc("getMultipleAccounts", [key(DATA_KEY), missing], PROCESSED)
        assert answer["value"][1] is None
        assert answer["value"][0] == {
            "data": [b64(bytes(range(256)) + bytes(44)), "base64"],
            "executable": False,
            "lamports": 6960 * 428,
            "owner": key(bytes([7]) * 32),
            "rentEpoch": 2**64 - 1,
            "space": 300,
        }
        part = {"encoding": "base64", "dataSlice": {"offset": 250, "length": 10}}
        answer = await client.rpc("getAccountInfo", key(DATA_KEY), part)
        assert answer["value"]["data"][0] == b64(bytes([250, 251, 252, 253, 254, 255, 0, 0, 0, 0]))
        assert answer["value"]["space"] == 300
        assert (await client.rpc("getAccountInfo", key(DATA_KEY)))["code"] == -32600  # too long for base58
        assert (await client.rpc("getBalance", str(world.alice.pubkey())))["value"] == 100 * SOL
        assert await client.rpc("getMinimumBalanceForRentExemption", 165) == 2_039_280

    ask(world, scenario)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getAccountInfo", ["short"], -32602),
        ("getAccountInfo", [], -32602),
        ("getAccountInfo", [5], -32602),
        ("getMultipleAccounts", [["11111111111111111111111111111111"] * 101], -32602),
        ("getAccountInfo", ["11111111111111111111111111111111", {"minContextSlot": 10**12}], -32016),
        ("getAccountInfo", ["11111111111111111111111111111111", {"encoding": "jsonParsed"}], -32602),
        ("getSignatureStatuses", [["x"] * 257], -32602),
        ("getSignaturesForAddress", ["11111111111111111111111111111111", {"limit": 1001}], -32602),
        ("getSignaturesForAddress", ["11111111111111111111111111111111", {"before": "x"}], -32020),
        ("sendTransaction", ["!!!"], -32602),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}], -32602),
        ("sendTransaction", ["AAAA", {"encoding": "hex"}], -32602),
        ("mineBlock", [], -32601),
    ],
)
def test_a_bad_request_gets_the_nodes_own_code(method: str, params: list[Any], code: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.rpc(method, *params))["code"] == code

    ask(World(), scenario)


def test_a_minimum_context_slot_ahead_of_the_node_says_where_it_is() -> None:
    world = World()

    async def scenario(client: Client) -> None:
        options = PROCESSED | {"minContextSlot": world.chain.slot + 1}
        error = await client.rpc("getBalance", str(world.alice.pubkey()), options)
        assert error["data"] == {"contextSlot": world.chain.slot}

    ask(world, scenario)


def test_a_batch_is_answered_in_order_and_junk_is_a_parse_error() -> None:
    async def scenario(client: Client) -> None:
        calls = [{"jsonrpc": "2.0", "id": n, "method": "getHealth"} for n in (3, 1)] + [7]
        status, answers = await client.post("/rpc", calls)
        assert status == 200
        assert [answer["id"] for answer in answers] == [3, 1, None]
        assert answers[2]["error"]["code"] == -32600
        async with client.session.post(client.server.http_url, data=b"{") as response:
            assert (await response.json())["error"]["code"] == -32700

    ask(World(), scenario)


def test_tokens_are_found_by_owner_mint_and_filter() -> None:
    world = furnished()
    alice = str(world.alice.pubkey())
    holding = key(ata_program.address(bytes(world.alice.pubkey()), MINT))

    async def scenario(client: Client) -> None:
        base64_option = {"encoding": "base64"}
        by_mint = await client.rpc("getTokenAccountsByOwner", alice, {"mint": key(MINT)}, base64_option)
        by_program = await client.rpc(
            "getTokenAccountsByOwner", alice, {"programId": key(spl_token.PROGRAM_ID)}, base64_option
        )
        assert [one["pubkey"] for one in by_mint["value"]] == [holding]
        assert by_program["value"] == by_mint["value"]
        filters = [{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": alice}}]
        found = await client.rpc(
            "getProgramAccounts", key(spl_token.PROGRAM_ID), base64_option | {"filters": filters}
        )
        assert found == by_mint["value"]
        filters[1] = {"memcmp": {"offset": 0, "bytes": b64(b"nothing"), "encoding": "base64"}}
        found = await client.rpc("getProgramAccounts", key(spl_token.PROGRAM_ID), {"filters": filters})
        assert found == []
        balance = await client.rpc("getTokenAccountBalance", holding)
        assert balance["value"] == {
            "amount": "1250", "decimals": 3, "uiAmount": 1.25, "uiAmountString": "1.25",
        }  # fmt: skip
        supply = await client.rpc("getTokenSupply", key(MINT))
        assert supply["value"]["amount"] == "5000"
        assert (await client.rpc("getTokenAccountBalance", key(DATA_KEY)))["code"] == -32602

    ask(world, scenario)


def test_a_sent_transaction_goes_from_processed_to_finalized() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL)])
    blockhash_option = {"encoding": "base64"}

    async def scenario(client: Client) -> None:
        signature = await client.rpc("sendTransaction", b64(raw), blockhash_option)
        assert signature == parse(raw).signature
        assert (await client.rpc("getSignatureStatuses", [signature]))["value"] == [None]
        landed_at = world.chain.clock.at_or_after(world.chain.slot + 1)
        seen = []
        for _ in range(40):
            world.pass_slots()
            status = (await client.rpc("getSignatureStatuses", [signature]))["value"][0]
            if status and status["confirmationStatus"] not in seen:
                seen.append(status["confirmationStatus"])
        assert seen == ["processed", "confirmed", "finalized"]
        assert status == {
            "slot": landed_at, "confirmations": None, "err": None, "status": {"Ok": None},
            "confirmationStatus": "finalized",
        }  # fmt: skip

    ask(world, scenario)


def test_a_confirmed_transaction_can_be_fetched_and_listed() -> None:
    world = furnished()
    mint_to = spl_token_mint_to(world.alice, 750)

    async def scenario(client: Client) -> None:
        raw = world.sign([mint_to])
        signature = await client.rpc("sendTransaction", base58_encode(raw))
        world.pass_slots()
        confirmed = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        if world.chain.slot_at("confirmed") < world.chain.slot:
            assert await client.rpc("getTransaction", signature, confirmed) is None
        world.pass_slots(3)
        assert (await client.rpc("getTransaction", signature, {"commitment": "confirmed"}))["code"] == -32015
        found = await client.rpc("getTransaction", signature, confirmed)
        assert found["meta"]["postTokenBalances"][0]["uiTokenAmount"]["uiAmountString"] == "2"
        assert found["meta"]["preTokenBalances"][0]["uiTokenAmount"]["uiAmountString"] == "1.25"
        assert found["meta"]["fee"] == 5000
        assert found["meta"]["preBalances"][0] - found["meta"]["postBalances"][0] == 5000
        assert base58_decode(found["transaction"]["message"]["instructions"][0]["data"])[0] == 7
        coded = await client.rpc("getTransaction", signature, confirmed | {"encoding": "base64"})
        assert base64.b64decode(coded["transaction"][0]) == raw
        listed = await client.rpc("getSignaturesForAddress", key(MINT), {"commitment": "confirmed"})
        assert [(one["signature"], one["slot"]) for one in listed] == [(signature, found["slot"])]
        assert await client.rpc("getSignaturesForAddress", key(MINT)) == []  # not finalized yet

    ask(world, scenario)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded samples are not part of this checkout")
def test_a_fetched_transaction_has_every_field_of_the_recorded_one() -> None:
    world = furnished()
    sample = json.loads(SAMPLE.read_text())["result"]

    async def scenario(client: Client) -> None:
        world.run(spl_token_mint_to(world.alice, 750))
        world.pass_slots(2)
        signature = world.chain.ledger.of_address(MINT, world.chain.slot, 1)[0].tx.signature
        options = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        found = await client.rpc("getTransaction", signature, options)
        assert sample.keys() <= found.keys()
        assert sample["meta"].keys() <= found["meta"].keys()
        assert sample["transaction"].keys() <= found["transaction"].keys()
        assert sample["transaction"]["message"].keys() <= found["transaction"]["message"].keys()
        token_balance = sample["meta"]["preTokenBalances"][0]
        assert token_balance.keys() == found["meta"]["preTokenBalances"][0].keys()
        instruction = sample["transaction"]["message"]["instructions"][0]
        assert instruction.keys() == found["transaction"]["message"]["instructions"][0].keys()

    ask(world, scenario)


def spl_token_mint_to(authority: Keypair, amount: int) -> Any:
    holding = Pubkey(ata_program.address(bytes(authority.pubkey()), MINT))
    metas = [
        AccountMeta(Pubkey(MINT), False, True),
        AccountMeta(holding, False, True),
        AccountMeta(authority.pubkey(), True, False),
    ]
    return Instruction(Pubkey(spl_token.PROGRAM_ID), bytes([7]) + amount.to_bytes(8, "little"), metas)


def test_preflight_refuses_what_would_fail_and_says_why() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), 999 * SOL)])
    stale = world.sign([pay(world.alice, world.bob.pubkey(), 1)], blockhash=str(world.bob.pubkey()))

    async def scenario(client: Client) -> None:
        error = await client.rpc("sendTransaction", b64(raw), {"encoding": "base64"})
        assert error["code"] == -32002
        message = "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
        assert error["message"] == message
        assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
        error = await client.rpc("sendTransaction", b64(stale), {"encoding": "base64"})
        assert error["message"] == "Transaction simulation failed: Blockhash not found"
        assert error["data"]["err"] == "BlockhashNotFound"
        broken = bytearray(raw)
        broken[5] ^= 1
        error = await client.rpc("sendTransaction", b64(bytes(broken)), {"encoding": "base64"})
        assert error["code"] == -32003
        skipped = {"encoding": "base64", "skipPreflight": True}
        assert await client.rpc("sendTransaction", b64(raw), skipped) == parse(raw).signature
        world.pass_slots(2)
        status = await client.rpc("getSignatureStatuses", [parse(raw).signature])
        assert status["value"][0]["err"] == {"InstructionError": [0, {"Custom": 1}]}

    ask(world, scenario)


def test_simulation_changes_nothing_and_shows_accounts() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL)], blockhash=str(world.bob.pubkey()))
    bob = str(world.bob.pubkey())

    async def scenario(client: Client) -> None:
        options = {
            "encoding": "base64",
            "replaceRecentBlockhash": True,
            "accounts": {"encoding": "base64", "addresses": [bob]},
        }
        value = (await client.rpc("simulateTransaction", b64(raw), options))["value"]
        assert value["err"] is None
        assert value["unitsConsumed"] > 0
        assert value["accounts"][0]["lamports"] == 101 * SOL
        assert value["replacementBlockhash"]["blockhash"] == world.chain.latest_blockhash()[0]
        assert world.lamports(world.bob) == 100 * SOL
        value = (await client.rpc("simulateTransaction", b64(raw), {"encoding": "base64"}))["value"]
        assert value["err"] == "BlockhashNotFound"

    ask(world, scenario)


def test_reads_lag_by_their_commitment() -> None:
    world = World()
    world.pass_slots(50)
    world.run(pay(world.alice, world.bob.pubkey(), SOL))

    async def scenario(client: Client) -> None:
        balances = []
        for _ in range(35):
            finalized = await client.rpc("getBalance", str(world.bob.pubkey()))
            balances.append(finalized["value"])
            world.pass_slots()
        now = await client.rpc("getBalance", str(world.bob.pubkey()), PROCESSED)
        assert now["value"] == 101 * SOL
        assert balances[0] == 100 * SOL
        assert balances[-1] == 101 * SOL

    ask(world, scenario)


def test_fees_and_performance_come_from_what_landed() -> None:
    world = World()
    world.pass_slots(151)
    world.run(set_compute_unit_price(42), pay(world.alice, world.bob.pubkey(), 1))

    async def scenario(client: Client) -> None:
        fees = await client.rpc("getRecentPrioritizationFees", [str(world.bob.pubkey())])
        assert [fee["prioritizationFee"] for fee in fees if fee["prioritizationFee"]] == [42]
        fees = await client.rpc("getRecentPrioritizationFees", [str(world.carol.pubkey())])
        assert {fee["prioritizationFee"] for fee in fees} == {0}
        [sample] = await client.rpc("getRecentPerformanceSamples", 1)
        assert sample["samplePeriodSecs"] == 60
        assert 140 <= sample["numSlots"] <= 143
        assert sample["numTransactions"] == 1

    ask(world, scenario)


def test_a_bundle_is_pending_then_landed_in_both_status_calls() -> None:
    world = World()
    raw = world.sign([tip(world.alice, 5000)])

    async def scenario(client: Client) -> None:
        name = await client.jito("sendBundle", [b64(raw)], {"encoding": "base64"})
        assert name == bundle_id([parse(raw).signature])
        inflight = await client.jito("getInflightBundleStatuses", [name, "ff"])
        assert inflight["value"] == [
            {"bundle_id": name, "status": "Pending", "landed_slot": None},
            {"bundle_id": "ff", "status": "Invalid", "landed_slot": None},
        ]
        assert (await client.jito("getBundleStatuses", [name]))["value"] == [None]
        world.pass_slots(5)
        slot = world.chain.bundles[name].slot
        inflight = await client.jito("getInflightBundleStatuses", [name])
        assert inflight["value"][0] == {"bundle_id": name, "status": "Landed", "landed_slot": slot}
        assert (await client.jito("getBundleStatuses", [name]))["value"] == [
            {
                "bundle_id": name,
                "transactions": [parse(raw).signature],
                "slot": slot,
                "confirmation_status": "confirmed",
                "err": {"Ok": None},
            }
        ]
        async with client.session.get(client.server.http_url + "/api/v1/bundles/tip_floor") as response:
            [floor] = await response.json()
        assert floor["landed_tips_50th_percentile"] == 5e-06
        assert (await client.jito("getBundleStatuses", ["x"] * 6))["code"] == -32602

    ask(world, scenario)


def test_a_failing_bundle_is_answered_and_then_failed() -> None:
    world = World()
    raws = [world.sign([tip(world.alice)]), world.sign([pay(world.alice, world.bob.pubkey(), 999 * SOL)])]

    async def scenario(client: Client) -> None:
        name = await client.jito("sendBundle", [b64(raw) for raw in raws], {"encoding": "base64"})
        world.pass_slots(5)
        inflight = await client.jito("getInflightBundleStatuses", [name])
        assert inflight["value"][0]["status"] == "Failed"
        statuses = await client.rpc("getSignatureStatuses", [parse(raw).signature for raw in raws])
        assert statuses["value"] == [None, None]

    ask(world, scenario)


def test_the_block_engine_refuses_as_the_samples_show() -> None:
    world = World()
    raw = world.sign([tip(world.alice)])

    async def scenario(client: Client) -> None:
        async def refused(transactions: list[Any], *options: Any) -> str:
            body = {"jsonrpc": "2.0", "id": 1, "method": "sendBundle", "params": [transactions, *options]}
            status, answer = await client.post("/api/v1/bundles", body)
            assert status == 400
            assert answer["error"]["code"] == -32602
            assert answer["error"]["data"] is None
            assert answer["id"] == 1
            return str(answer["error"]["message"])

        untipped = b64(world.sign([pay(world.alice, world.bob.pubkey(), 1)]))
        assert "write lock at least one tip account" in await refused([untipped], {"encoding": "base64"})
        assert "base58" in await refused([b64(raw)])  # base64 sent without saying so
        assert "deserialize" in await refused(["AAAA"], {"encoding": "base64"})
        await refused([5], {"encoding": "base64"})
        world.chain.submit_bundle([raw])
        world.pass_slots(5)
        message = await refused([b64(raw)], {"encoding": "base64"})
        assert message == "bundle contains an already processed transaction"
        assert await client.jito("getTipAccounts") == [key(account) for account in TIP_ACCOUNTS]

    ask(world, scenario)


def test_a_single_transaction_may_go_as_a_bundle_of_one() -> None:
    world = World()
    raw = world.sign([tip(world.alice)])

    async def scenario(client: Client) -> None:
        params = [b64(raw), {"encoding": "base64"}]
        body = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": params}
        url = client.server.http_url + "/api/v1/transactions?bundleOnly=true"
        async with client.session.post(url, json=body) as response:
            assert response.headers["x-bundle-id"] == bundle_id([parse(raw).signature])
            assert (await response.json())["result"] == parse(raw).signature
        world.pass_slots(5)
        assert parse(raw).signature in world.chain.ledger

    ask(world, scenario)


class Listener:
    """A WebSocket client that keeps what it is told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def call(self, method: str, *params: Any) -> Any:
        await self.socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = await self.next()
        return answer.get("result", answer.get("error"))

    async def next(self) -> Any:
        return await asyncio.wait_for(self.socket.receive_json(), 5)

    async def is_quiet(self) -> bool:
        return bool((await self.call("nothing"))["code"] == -32601)


def listen(world: World, scenario: Callable[[Listener], Awaitable[None]], path: str = "/ws") -> None:
    async def run() -> None:
        async with served(world) as client:
            url = client.server.ws_url.removesuffix("/ws") + path
            async with client.session.ws_connect(url) as socket:
                await scenario(Listener(socket))

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_an_account_subscriber_hears_of_changes_until_it_unsubscribes(path: str) -> None:
    world = World()
    bob = str(world.bob.pubkey())

    async def scenario(listener: Listener) -> None:
        subscription = await listener.call("accountSubscribe", bob, {"encoding": "base64"} | PROCESSED)
        world.run(pay(world.alice, world.bob.pubkey(), SOL))
        told = await listener.next()
        landed = world.chain.ledger.of_address(bytes(world.bob.pubkey()), world.chain.slot, 1)[0]
        assert told["method"] == "accountNotification"
        assert told["params"]["subscription"] == subscription
        assert told["params"]["result"]["context"]["slot"] == landed.slot
        assert told["params"]["result"]["value"]["lamports"] == 101 * SOL
        world.run(pay(world.alice, world.carol.pubkey(), SOL))
        assert await listener.is_quiet()
        assert await listener.call("accountUnsubscribe", subscription) is True
        assert (await listener.call("accountUnsubscribe", subscription))["code"] == -32602
        world.run(pay(world.alice, world.bob.pubkey(), SOL))
        assert await listener.is_quiet()

    listen(world, scenario, path)


def test_a_data_slice_holds_for_notifications_and_a_gone_account_has_no_lamports() -> None:
    world = furnished()
    holding = key(ata_program.address(bytes(world.alice.pubkey()), MINT))

    async def scenario(listener: Listener) -> None:
        part = PROCESSED | {"encoding": "base64", "dataSlice": {"offset": 64, "length": 8}}
        await listener.call("accountSubscribe", holding, part)
        world.run(spl_token_mint_to(world.alice, 750))
        told = await listener.next()
        value = told["params"]["result"]["value"]
        assert int.from_bytes(base64.b64decode(value["data"][0]), "little") == 2000
        await listener.call("accountSubscribe", str(world.bob.pubkey()), part)
        world.run(pay(world.bob, world.alice.pubkey(), 100 * SOL), signers=[world.alice, world.bob])
        told = await listener.next()
        assert told["params"]["result"]["value"]["lamports"] == 0

    listen(world, scenario)


def test_logs_and_signatures_are_told_to_those_who_asked() -> None:
    world = World()

    async def scenario(listener: Listener) -> None:
        mentions = {"mentions": [str(world.bob.pubkey())]}
        logs = await listener.call("logsSubscribe", mentions, PROCESSED)
        raw = world.sign([pay(world.alice, world.bob.pubkey(), 999 * SOL)])
        signature = world.chain.submit_transaction(raw)
        waiting = await listener.call("signatureSubscribe", signature, PROCESSED)
        world.pass_slots(2)
        told = [await listener.next(), await listener.next()]
        error = {"InstructionError": [0, {"Custom": 1}]}
        assert [one["params"]["subscription"] for one in told] == [logs, waiting]
        assert told[0]["params"]["result"]["value"]["signature"] == signature
        assert told[0]["params"]["result"]["value"]["err"] == error
        assert told[0]["params"]["result"]["value"]["logs"][0].endswith("invoke [1]")
        assert told[1]["params"]["result"]["value"] == {"err": error}
        assert (await listener.call("signatureUnsubscribe", waiting))["code"] == -32602  # told once, gone
        world.run(pay(world.alice, world.carol.pubkey(), 1))
        assert await listener.is_quiet()
        both = {"mentions": [str(world.bob.pubkey()), str(world.alice.pubkey())]}
        assert (await listener.call("logsSubscribe", both))["code"] == -32602

    listen(world, scenario)


@pytest.mark.parametrize("level", ["confirmed", "finalized"])
def test_a_subscriber_at_a_slower_commitment_hears_when_a_read_would_show_it(level: Any) -> None:
    world = World()
    world.pass_slots(50)

    async def scenario(listener: Listener) -> None:
        options = {"encoding": "base64", "commitment": level}
        await listener.call("accountSubscribe", str(world.bob.pubkey()), options)
        signature = world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), SOL)]))
        landing = await listener.call("signatureSubscribe", signature, options)
        while world.chain.ledger.count == 0:
            world.pass_slots()
        [landed] = world.chain.ledger.of_address(bytes(world.bob.pubkey()), world.chain.slot, 1)
        world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), 7 * SOL)]))
        while world.chain.slot_at(level) < landed.slot:
            assert await listener.is_quiet()
            world.pass_slots()
        told = await listener.next()
        assert told["params"]["result"]["context"]["slot"] == landed.slot
        assert told["params"]["result"]["value"]["lamports"] == 101 * SOL
        assert (await listener.next())["params"]["subscription"] == landing

    listen(world, scenario)


def test_a_signature_that_has_landed_already_is_told_at_once() -> None:
    world = World()
    signature = world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), 1)]))
    world.pass_slots(2)

    async def scenario(listener: Listener) -> None:
        subscription = await listener.call("signatureSubscribe", signature, PROCESSED)
        told = await listener.next()
        assert told["params"]["subscription"] == subscription
        assert told["params"]["result"]["value"] == {"err": None}

    listen(world, scenario)


def test_a_slot_with_changes_is_announced_once() -> None:
    world = World()

    async def scenario(listener: Listener) -> None:
        await listener.call("slotSubscribe")
        world.run(pay(world.alice, world.bob.pubkey(), SOL))
        seen = [(await listener.next())["params"]["result"]]
        while seen[-1]["slot"] < world.chain.ledger.of_address(bytes(32), world.chain.slot, 1)[0].slot:
            seen.append((await listener.next())["params"]["result"])
        assert [one["slot"] for one in seen] == sorted({one["slot"] for one in seen})
        assert seen[-1]["parent"] < seen[-1]["slot"]

    listen(world, scenario)


def virtual_run(folder: Path) -> list[Any]:
    """Serve ten minutes of virtual time over a UNIX socket and return everything a listener heard."""
    loop = SimulatedLoop(None)
    clock = LoopClock(loop, START_MS)

    async def run() -> list[Any]:
        world = World()
        world.chain.now = lambda: int(clock.now())
        heard: list[Any] = []
        async with (
            served(world, unix_path=folder / "sandbox.sock") as client,
            client.session.ws_connect(client.server.ws_url) as socket,
        ):
            listener = Listener(socket)
            await listener.call("slotSubscribe")
            options = {"encoding": "base64", "commitment": "confirmed"}
            await listener.call("accountSubscribe", str(world.bob.pubkey()), options)
            for minute in range(30):
                raw = world.sign([pay(world.alice, world.bob.pubkey(), minute + 1), tip(world.alice)])
                await client.jito("sendBundle", [b64(raw)], {"encoding": "base64"})
                heard += [(loop.time(), await listener.next()) for _ in range(50)]
        return heard

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def test_a_virtual_run_over_a_unix_socket_repeats_exactly(tmp_path: Path) -> None:
    first, second = virtual_run(tmp_path), virtual_run(tmp_path)
    assert first == second
    told = [message for _, message in first]
    assert len([one for one in told if one.get("method") == "accountNotification"]) == 30
    slots = [one["params"]["result"]["slot"] for one in told if one.get("method") == "slotNotification"]
    assert slots == sorted(set(slots))


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\1", bytes(range(256)), b"\xff" * 80])
def test_base58_comes_back(data: bytes) -> None:
    assert base58_decode(base58_encode(data)) == data


def test_base58_agrees_with_public_keys() -> None:
    for number in range(20):
        raw = bytes([0] * (number % 4)) + bytes([number + 1]) * (32 - number % 4)
        assert base58_encode(raw) == str(Pubkey(raw))


def test_token_amounts_are_shown_without_trailing_zeros() -> None:
    shown = [token_amount(amount, 9)["uiAmountString"] for amount in (0, 100, 10**9, 1_500_000_000)]
    assert shown == ["0", "0.0000001", "1", "1.5"]
    assert token_amount(100, 0)["uiAmountString"] == "100"


def test_the_clock_sysvar_shows_the_slot_and_time_it_is_read_at() -> None:
    world = World()

    async def run() -> None:
        async with served(world) as client:
            for _ in range(3):
                world.pass_slots(7)
                options = {"encoding": "base64", "commitment": "confirmed"}
                got = await client.rpc(
                    "getAccountInfo", "SysvarC1ock11111111111111111111111111111111", options
                )
                slot = got["context"]["slot"]
                data = base64.b64decode(got["value"]["data"][0])
                assert struct.unpack("<QqQQq", data)[::4] == (slot, world.chain.block_time(slot))

    asyncio.run(run())
