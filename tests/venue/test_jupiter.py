"""Which answers of a swap service may be signed: the lawful, all of them, and nothing else, however bent."""

import base64
import contextlib
import random
import struct
from collections import Counter
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bmv.chain.jupiter import parse_build
from bmv.errors import BadBytes
from bmv.sandbox.jupiter_hostile import HOSTILE, THIEF
from bmv.venue.jupiter import EVENT_AUTHORITY, JUPITER, Build, decode_route, unlawful
from bmv.venue.token import WRAPPED_SOL
from tests.sandbox.swap_desk import OURS, Desk

DESKS = {sells: Desk(sells=sells) for sells in (True, False)}
ANSWERS = {sells: desk.answer() for sells, desk in DESKS.items()}
WRONG_SHAPE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def judged(answer: Any, desk: Desk) -> str | None:
    """Return what is wrong with an answer, its shape included."""
    try:
        build = parse_build(answer)
    except WRONG_SHAPE as error:
        return f"shape: {error}"
    return unlawful(build, desk.order, desk.known())


@pytest.mark.parametrize("sells", [True, False])
@pytest.mark.parametrize("cleanup", [True, False])
def test_a_lawful_answer_passes_with_and_without_what_usually_stands_around_it(
    sells: bool, cleanup: bool
) -> None:
    desk, answer = DESKS[sells], DESKS[sells].answer()
    if cleanup:
        wrapped = desk.order.source if sells else desk.order.destination
        metas = [(wrapped, False, True), (desk.order.taker, False, True), (desk.order.taker, True, False)]
        answer["cleanupInstruction"] = {
            "programId": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "accounts": [
                {"pubkey": str(key), "isSigner": signs, "isWritable": writes} for key, signs, writes in metas
            ],
            "data": base64.b64encode(b"\x09").decode(),
        }
        answer["setupInstructions"] = []
    assert judged(answer, desk) is None


def test_an_account_of_ours_has_no_place_in_a_swap() -> None:
    answer = DESKS[True].answer()
    answer["swapInstruction"]["accounts"][-1]["pubkey"] = str(min(OURS, key=bytes))
    assert "business" in (judged(answer, DESKS[True]) or "")


def test_the_shared_form_of_the_instruction_is_read_at_its_own_places() -> None:
    desk, answer = DESKS[True], DESKS[True].answer()
    swap = answer["swapInstruction"]
    data = base64.b64decode(swap["data"])
    tag = bytes.fromhex("d19853937cfed8e9")
    swap["data"] = base64.b64encode(tag + b"\7" + data[8:]).decode()
    metas = swap["accounts"]
    program = {"pubkey": str(EVENT_AUTHORITY), "isSigner": False, "isWritable": False}
    swap["accounts"] = [
        program, metas[0], metas[1], program, program, metas[2], metas[3], metas[4], metas[5], metas[6],
        metas[8], metas[9], *metas[10:],
    ]  # fmt: skip
    assert judged(answer, desk) is None
    swap["accounts"][5] = {"pubkey": THIEF, "isSigner": False, "isWritable": True}
    assert judged(answer, desk) == "what it brings goes elsewhere"


def test_the_amounts_are_those_of_published_instructions() -> None:
    assert str(EVENT_AUTHORITY) == "D8cy77BBepLMngZx6ZukaTff5hCt1HrWyKk3Hnd9oitf"
    body = struct.pack("<QQHHH", 100_000_000, 17_057_460, 30, 0, 0) + bytes(8)
    route = decode_route(bytes.fromhex("bb64facc31c4af14") + body)
    assert (route.spends, route.quoted, route.slippage_bps) == (100_000_000, 17_057_460, 30)
    assert route.at_least == 17_057_460 * 9_970 // 10_000
    for data in (b"", bytes(60), bytes.fromhex("bb64facc31c4af14") + body[:20]):
        with pytest.raises(BadBytes):
            decode_route(data)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything in a JSON value, containers included."""
    found = [path] if path else []
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, child in children:
        found += leaves(child, (*path, name))
    return found


def mangle(answer: Any, draw: random.Random) -> None:
    """Change one thing somewhere: a value, a byte, a place, a key, a whole trick."""
    path = draw.choice(leaves(answer))
    parent = answer
    for name in path[:-1]:
        parent = parent[name]
    old = parent[path[-1]]
    kind = draw.randrange(8)
    if kind == 0:
        # A trick needs the place it changes, which another one may have taken away.
        with contextlib.suppress(*WRONG_SHAPE, struct.error):
            draw.choice(HOSTILE)(answer)
    elif kind == 1 and isinstance(parent, list):
        parent.insert(draw.randrange(len(parent) + 1), old)
    elif kind == 2:
        parent.pop(path[-1])
    elif isinstance(old, bool):
        parent[path[-1]] = not old
    elif isinstance(old, int):
        parent[path[-1]] = draw.choice(
            [0, -1, old + 1, old * 2, 2**64, 2**16 - 1, str(old), float(old), True]
        )
    elif isinstance(old, str) and old.isdigit():
        parent[path[-1]] = str(draw.choice([0, 1, int(old) * 2, int(old) // 2, int(old) + 1, 2**64, -5]))
    elif isinstance(old, str) and path[-1] == "data":
        data = bytearray(base64.b64decode(old)) or bytearray(1)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        parent[path[-1]] = base64.b64encode(bytes(data)).decode()
    elif isinstance(old, str):
        keys = [
            THIEF,
            str(min(OURS, key=bytes)),
            str(JUPITER),
            str(WRAPPED_SOL),
            "",
            old[:-1],
            *_keys(answer),
        ]
        parent[path[-1]] = draw.choice(keys)
    elif isinstance(old, list):
        draw.shuffle(old)
    else:
        parent[path[-1]] = draw.choice([None, [], {}, 0, "x"])


def _keys(answer: Any) -> list[str]:
    swap = answer.get("swapInstruction") if isinstance(answer, dict) else None
    accounts = swap.get("accounts") if isinstance(swap, dict) else None
    metas = accounts if isinstance(accounts, list) else []
    return [
        meta["pubkey"] for meta in metas if isinstance(meta, dict) and isinstance(meta.get("pubkey"), str)
    ]


def harmless(build: Build, desk: Desk) -> bool:
    """Judge an accepted answer by itself, on the bytes that would be signed and nothing the answer says."""
    honest = parse_build(ANSWERS[desk is DESKS[True]]).swap
    data, keys = bytes(build.swap.data), [meta.pubkey for meta in build.swap.accounts]
    spends, quoted, slippage, *fees = struct.unpack_from("<QQHHH", data, 8)
    signers = {meta.pubkey for meta in build.swap.accounts if meta.is_signer}
    places = [index for index in range(10) if index != 7]
    second = keys[7] in (JUPITER, desk.order.destination)
    return (
        build.swap.program_id == JUPITER
        and data[:8] == bytes(honest.data)[:8]
        and spends == desk.order.amount
        and quoted * (10_000 - slippage) // 10_000 >= desk.order.at_least
        and not any(fees)
        and signers <= {desk.order.taker}
        and [keys[index] for index in places] == [honest.accounts[index].pubkey for index in places]
        and second
        and OURS.isdisjoint(keys)
        and Pubkey.from_string(THIEF) not in keys[:10]
    )


def attack(number: int, seed: int) -> Counter[str]:
    """Judge so many mangled answers; return how often each reason was given, the accepted under ''."""
    draw = random.Random(seed)
    reasons: Counter[str] = Counter()
    fresh = {sells: desk.answer for sells, desk in DESKS.items()}
    for _ in range(number):
        sells = draw.random() < 0.5
        desk, answer = DESKS[sells], fresh[sells]()
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            mangle(answer, draw)
        reason = judged(answer, desk)
        reasons[(reason or "").split(":")[0]] += 1
        if reason is None:
            assert harmless(parse_build(answer), desk), answer
    return reasons


def test_of_mangled_answers_nothing_unlawful_is_signed() -> None:
    reasons = attack(1_500, 1)
    assert len(reasons) > 20
    assert reasons["shape"] > 100
    # What does not touch the swap is harmless: most of what stands in words only.
    assert 0 < reasons[""] < 600
