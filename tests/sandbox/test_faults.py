"""Every fault on its own: what a client sees of it, and that it is counted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.errors import BadInput
from bmv.sandbox.faults import RATES, STANDARD, Faults
from tests.sandbox.little_world import SOL, Client, World, b64, pay, served, tip

PROCESSED = {"commitment": "processed"}


def suffer(faults: Faults, scenario: Callable[[World, Client], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World()
        async with served(world, faults) as client:
            await scenario(world, client)

    asyncio.run(run())


def always(kind: str) -> Faults:
    return Faults({kind: 1.0}, seed=1)


async def send_bundle(world: World, client: Client) -> str:
    raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL), tip(world.alice)])
    name = await client.jito("sendBundle", [b64(raw)], {"encoding": "base64"})
    assert isinstance(name, str)
    return name


def test_no_plan_means_no_fault() -> None:
    faults = Faults.load("none", 1)
    assert not any(faults.strikes(kind) for kind in RATES for _ in range(1000))
    assert set(faults.injected.values()) == {0}


def test_the_standard_plan_strikes_every_kind_about_as_often_as_it_says() -> None:
    faults = Faults.load("standard", 1)
    for kind, rate in STANDARD.items():
        struck = sum(faults.strikes(kind) for _ in range(40_000))
        assert struck == faults.injected[kind]
        assert rate * 0.5 < struck / 40_000 < rate * 1.5


@given(st.integers(), st.sampled_from(sorted(RATES)))
def test_one_seed_strikes_the_same_and_kinds_do_not_disturb_each_other(seed: int, other: str) -> None:
    alone, crowded = Faults({"ws_lost": 0.5}, seed), Faults({"ws_lost": 0.5, other: 0.5}, seed)
    first = [alone.strikes("ws_lost") for _ in range(30)]
    second = []
    for _ in range(30):
        if other != "ws_lost":
            crowded.strikes(other)
        second.append(crowded.strikes("ws_lost"))
    assert first == second


def test_a_file_names_rates_in_toml_or_json(tmp_path: Path) -> None:
    toml, plain = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text("bundle_dropped = 1\nlag_slots = 9\n")
    plain.write_text(json.dumps({"bundle_dropped": 1, "lag_slots": 9}))
    for path in (toml, plain):
        faults = Faults.load(str(path), 1)
        assert (faults.rates, faults.lag_slots) == ({"bundle_dropped": 1.0}, 9)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("bundle_droped = 0.1", "bundle_droped"),
        ("bundle_dropped = 1.5", "bundle_dropped"),
        ("bundle_dropped = -0.1", "bundle_dropped"),
        ("bundle_dropped = nan", "bundle_dropped"),
        ("bundle_dropped = true", "bundle_dropped"),
        ('bundle_dropped = "often"', "bundle_dropped"),
        ("lag_slots = 0", "lag_slots"),
        ("lag_slots = 17", "lag_slots"),
        ("lag_slots = true", "lag_slots"),
        ("not toml", "faults"),
    ],
)
def test_a_wrong_file_is_refused_by_field(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        Faults.load(str(path), 1)
    assert caught.value.field == field


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(BadInput, match="none, standard"):
        Faults.load("nowhere.toml", 1)


def test_a_dropped_bundle_has_an_id_and_is_never_seen() -> None:
    faults = always("bundle_dropped")

    async def scenario(world: World, client: Client) -> None:
        name = await send_bundle(world, client)
        world.pass_slots(10)
        inflight = await client.jito("getInflightBundleStatuses", [name])
        assert inflight["value"][0]["status"] == "Invalid"
        assert world.lamports(world.bob) == 100 * SOL

    suffer(faults, scenario)
    assert faults.injected["bundle_dropped"] == 1


def test_a_bundle_without_an_answer_lands_all_the_same() -> None:
    faults = always("jito_unreachable")

    async def scenario(world: World, client: Client) -> None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await send_bundle(world, client)
        world.pass_slots(5)
        assert world.lamports(world.bob) == 101 * SOL

    suffer(faults, scenario)
    assert faults.injected["jito_unreachable"] == 1


def test_the_block_engine_limits_with_a_null_id_and_sometimes_with_html() -> None:
    async def scenario(world: World, client: Client) -> None:
        body = {"jsonrpc": "2.0", "id": 9, "method": "getTipAccounts", "params": []}
        answers = [await client.post("/api/v1/getTipAccounts", body) for _ in range(4)]
        assert [status for status, _ in answers] == [429] * 4
        assert answers[0][1] == {
            "jsonrpc": "2.0",
            "error": {
                "code": -32097,
                "message": "Network congested. Endpoint is globally rate limited.",
                "data": None,
            },
            "id": None,
        }
        assert answers[3][1].startswith("<html>")

    suffer(always("jito_rate_limited"), scenario)


def test_the_node_limits_and_fails_over_http() -> None:
    body = {"jsonrpc": "2.0", "id": 9, "method": "getHealth"}

    async def limited(world: World, client: Client) -> None:
        async with client.session.post(client.server.http_url, json=body) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")

    async def unavailable(world: World, client: Client) -> None:
        status, text = await client.post("/", body)
        assert status == 503
        assert text.startswith("<html>")

    suffer(always("rpc_rate_limited"), limited)
    suffer(always("rpc_unreachable"), unavailable)


def test_a_lagging_read_is_the_state_of_an_older_slot_and_says_so() -> None:
    faults = always("rpc_stale")

    async def scenario(world: World, client: Client) -> None:
        world.pass_slots(20)
        signature = world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), SOL)]))
        world.pass_slots(2)
        slot = world.chain.slot
        answer = await client.rpc("getBalance", str(world.bob.pubkey()), PROCESSED)
        assert answer["value"] == 100 * SOL
        assert slot - 5 <= answer["context"]["slot"] <= slot - 4
        assert (await client.rpc("getSignatureStatuses", [signature]))["value"] == [None]
        enough = PROCESSED | {"minContextSlot": slot}
        assert (await client.rpc("getBalance", str(world.bob.pubkey()), enough))["code"] == -32016
        world.pass_slots(10)
        answer = await client.rpc("getBalance", str(world.bob.pubkey()), PROCESSED)
        assert answer["value"] == 101 * SOL

    suffer(faults, scenario)
    assert faults.injected["rpc_stale"] == 4


async def hear(world: World, client: Client, payments: int) -> list[Any]:
    """Return the balances told to a subscriber over ``payments`` of one lamport each."""
    heard: list[Any] = []
    async with client.session.ws_connect(client.server.ws_url) as socket:
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "accountSubscribe",
            "params": [str(world.bob.pubkey()), {"encoding": "base64", "commitment": "processed"}],
        }
        await socket.send_json(request)
        await socket.receive_json()
        for number in range(payments):
            world.run(pay(world.alice, world.bob.pubkey(), number + 1))
        await socket.send_json({"jsonrpc": "2.0", "id": 2, "method": "nothing"})
        async for message in socket:
            told = json.loads(message.data)
            if "error" in told:
                break
            heard.append(told["params"]["result"]["value"]["lamports"] - 100 * SOL)
        else:
            heard.append("cut off")
    return heard


def test_lost_notifications_never_come() -> None:
    async def scenario(world: World, client: Client) -> None:
        assert await hear(world, client, 3) == []

    suffer(always("ws_lost"), scenario)


def test_reordered_notifications_change_places() -> None:
    async def scenario(world: World, client: Client) -> None:
        assert await hear(world, client, 4) == [3, 1, 10, 6]

    suffer(always("ws_reordered"), scenario)


def test_a_broken_connection_ends_the_subscription() -> None:
    async def scenario(world: World, client: Client) -> None:
        assert await hear(world, client, 2) == ["cut off"]

    suffer(always("ws_disconnected"), scenario)


def test_a_bundle_that_is_refused_lands_all_the_same() -> None:
    async def scenario(world: World, client: Client) -> None:
        raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL), tip(world.alice)])
        answer = await client.jito("sendBundle", [b64(raw)], {"encoding": "base64"})
        assert answer["message"] == "Bundle simulation failed"
        world.pass_slots(5)
        assert world.lamports(world.bob) == 101 * SOL

    suffer(always("jito_refused"), scenario)


def test_a_late_bundle_lands_before_its_blockhash_expires_and_not_at_once() -> None:
    async def scenario(world: World, client: Client) -> None:
        waited = []
        for number in range(12):
            raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL), tip(world.alice, 1_000 + number)])
            before = world.lamports(world.bob)
            await client.jito("sendBundle", [b64(raw)], {"encoding": "base64"})
            slots = 0
            while world.lamports(world.bob) == before and slots < 170:
                world.pass_slots()
                slots += 1
            waited.append(slots)
        assert max(waited) < 170
        assert max(waited) > 100
        assert len(set(waited)) > 6

    suffer(always("bundle_late"), scenario)


@pytest.mark.parametrize("kind", ["jito_garbled", "rpc_garbled"])
def test_a_garbled_answer_is_half_of_one_or_html(kind: str) -> None:
    async def scenario(world: World, client: Client) -> None:
        path = "/" if kind.startswith("rpc") else "/api/v1/bundles"
        bodies = []
        for number in range(2):
            raw = world.sign([pay(world.alice, world.bob.pubkey(), SOL), tip(world.alice, 1_000 + number)])
            params: list[Any] = [[b64(raw)], {"encoding": "base64"}] if kind.startswith("jito") else []
            method = "getSlot" if kind.startswith("rpc") else "sendBundle"
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with client.session.post(client.server.http_url + path, json=body) as response:
                bodies.append(await response.text())
        with pytest.raises(json.JSONDecodeError):
            json.loads(bodies[0])
        assert bodies[1].startswith("<html>")

    suffer(always(kind), scenario)


def test_faults_end_when_the_plan_says_so(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("ws_lost = 1.0\nuntil_s = 60\n")
    faults = Faults.load(str(plan), 1)
    seconds = 0.0
    faults.elapsed_s = lambda: seconds
    assert faults.strikes("ws_lost")
    seconds = 59.9
    assert faults.strikes("ws_lost")
    seconds = 60.0
    assert not faults.strikes("ws_lost")
    plan.write_text("until_s = -1\n")
    with pytest.raises(BadInput, match="until_s"):
        Faults.load(str(plan), 1)
