"""A swap service that lies, from its answer to what is signed: nothing unlawful, and all that is lawful.

The judge of what was signed reads the transaction with solders and the lookup tables with the chain's own
truth; it shares no code with what accepts answers (``venue/jupiter.py``) and what signs (``keys/policy.py``).
"""

import base64
import random
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pytest
from msgspec.structs import replace
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bmv.app.signing import policy_of
from bmv.chain.jito import MIN_TIP, TIP_ACCOUNTS
from bmv.chain.jupiter import parse_build
from bmv.chain.layout import empty_layout
from bmv.chain.message import AddressTable
from bmv.chain.rpc import Blockhash
from bmv.chain.transaction import Tip, sign_all, tipping
from bmv.config import Settings
from bmv.keys.policy import GuardedSigner, Limits, Policy, Unlawful
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Role, Wallet
from bmv.sandbox.jupiter_hostile import HOSTILE, THIEF
from bmv.services.packing import Group, Packing
from bmv.services.paying import swap_steps
from bmv.services.signing import messages_of
from bmv.units import BlockHeight, Lamports, Slot
from bmv.venue.jupiter import USDC, unlawful
from bmv.venue.token import WRAPPED_SOL, associated_token_address
from tests.sandbox.swap_desk import OURS, TAKER, Desk
from tests.venue.test_jupiter import DESKS, WRONG_SHAPE, mangle

TIP: Tip = (TIP_ACCOUNTS[0], MIN_TIP)
UNITS = 300_000
JUPITER = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
SYSTEM, BUDGET, TOKEN, ATA = map(
    Pubkey.from_string,
    (
        "11111111111111111111111111111111",
        "ComputeBudget111111111111111111111111111111",
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
    ),
)
REASONS = {
    "extra_transfer": "its setup holds more than token accounts of ours",
    "later_transfer": "it holds further instructions",
    "cleanup_to_a_thief": "its cleanup is something else",
    "a_tip": "it pays a tip",
    "other_destination": "what it brings goes elsewhere",
    "hidden_destination": "what it brings goes elsewhere",
    "other_source": "another account is spent from",
    "other_mint": "another token is bought",
    "other_mint_in_words": "it swaps other tokens",
    "other_token_program": "another token program is called",
    "account_for_a_thief": "its setup holds more than token accounts of ours",
    "other_program": "its swap calls",
    "other_instruction": "its swap is an unknown instruction",
    "larger_amount": "its swap spends another amount",
    "no_guarantee": "its swap allows too much slippage",
    "low_quote": "its swap and its words differ",
    "a_fee": "its swap takes a fee",
    "absurd_compute_price": "micro-lamports a unit",
    "absurd_compute_limit": "its compute budget is something else",
    "huge_accounts_list": "its swap names",
    "expired_blockhash": "its blockhash has expired",
    "old_answer": "it is not of now",
    "another_signer": "somebody else would have to sign",
    "lying_table": "holds something else",
    "unknown_table": "holds something else",
    "many_tables": "lookup tables",
    "bad_price": "it guarantees less than we accept",
}
"""Every kind of lie, and the words it is refused and logged with."""


def signer() -> GuardedSigner:
    """Return a signer behind the policy, for the taker as the treasury and wallets that are not its."""
    wallets = [Wallet(key, Role.OPERATOR) for key in sorted(OURS, key=bytes)]
    wallets.append(Wallet(TAKER.pubkey(), Role.TREASURY))
    grounds = policy_of(wallets, Settings()).grounds
    spend = {str(WRAPPED_SOL): 10**18, str(USDC): 10**18}
    limits = Limits(MIN_TIP, Lamports(10**18), 10**9, spend, 100)
    return GuardedSigner(InProcessSigner([TAKER]), Policy(grounds, limits, lambda: 0.0), wallets)


class Outcome(NamedTuple):
    """Why an answer was not signed, or the transactions that were."""

    reason: str
    raws: list[bytes]


def carried_out(answer: Any, desk: Desk, guard: GuardedSigner) -> Outcome:
    """Do with an answer what the treasury and the dispatcher do with it, up to the signature."""
    try:
        build = parse_build(answer)
    except WRONG_SHAPE as error:
        return Outcome(f"shape: {type(error).__name__}", [])
    known = desk.known()
    reason = unlawful(build, desk.order, known)
    if reason:
        return Outcome(reason, [])
    steps = swap_steps(desk.order, build.swap, UNITS)
    tables = [
        AddressTable(bytes(key), [bytes(one) for one in held])
        for key, held in known.tables.items()
        if key in build.tables
    ]
    pieces = [*(step.piece for step in steps), tipping(desk.order.taker, TIP)]
    if empty_layout(desk.order.taker, tables).after(shape for shape, _ in pieces).over > 0:
        return Outcome("larger than a transaction", [])
    packing = Packing(TIP, lambda _: tables)
    packing.add(Group(1, steps))
    (bundle,) = packing.ended()
    blockhash = Blockhash(str(Pubkey(bytes(range(32)))), BlockHeight(10**9), Slot(1))
    try:
        return Outcome("", list(sign_all(messages_of(bundle, TIP, blockhash), guard)))
    except Unlawful as error:
        return Outcome(f"signer: {error.rule}", [])


def calls(message: MessageV0, desk: Desk) -> Iterator[tuple[Pubkey, list[Pubkey], bytes]]:
    """Yield each instruction of a message: program, accounts, data; tables as the chain has them."""
    known = desk.known().tables
    keys = list(message.account_keys)
    for looked in message.address_table_lookups:
        keys += [known[looked.account_key][at] for at in bytes(looked.writable_indexes)]
    for looked in message.address_table_lookups:
        keys += [known[looked.account_key][at] for at in bytes(looked.readonly_indexes)]
    for call in message.instructions:
        yield keys[call.program_id_index], [keys[at] for at in bytes(call.accounts)], bytes(call.data)


def judge(raws: list[bytes], desk: Desk) -> None:
    """Fail where what was signed does anything but the swap that was asked for."""
    order, swaps = desk.order, 0
    own = {
        mint: associated_token_address(order.taker, mint) for mint in (order.input_mint, order.output_mint)
    }
    wrapped, paid = own[WRAPPED_SOL], 0
    for raw in raws:
        message = VersionedTransaction.from_bytes(raw).message
        assert isinstance(message, MessageV0)
        assert message.header.num_required_signatures == 1
        assert message.account_keys[0] == order.taker
        for program, accounts, data in calls(message, desk):
            if program == SYSTEM:
                tag, lamports = struct.unpack("<IQ", data)
                assert (tag, accounts[0]) == (2, order.taker)
                if accounts[1] == wrapped:
                    assert lamports == order.amount
                    assert order.input_mint == WRAPPED_SOL
                else:
                    assert str(accounts[1]) in map(str, TIP_ACCOUNTS)
                    paid += lamports
            elif program == BUDGET:
                assert data[0] == 2, "a limit, and no price"
            elif program == ATA:
                assert (accounts[0], accounts[2]) == (order.taker, order.taker)
            elif program == TOKEN:
                assert data in (b"\x11", b"\x09")
                assert accounts[0] == wrapped
                assert data == b"\x11" or accounts[1:] == [order.taker, order.taker]
            else:
                assert program == JUPITER
                swaps += 1
                _judge_swap(accounts, data, desk)
    assert (swaps, paid) == (1, int(MIN_TIP))


def _judge_swap(accounts: list[Pubkey], data: bytes, desk: Desk) -> None:
    order = desk.order
    shared = data[:8] == bytes.fromhex("d19853937cfed8e9")
    assert shared or data[:8] == bytes.fromhex("bb64facc31c4af14")
    spends, quoted, slippage, fee, positive = struct.unpack_from("<QQHHH", data, 9 if shared else 8)
    assert (spends, fee, positive) == (order.amount, 0, 0)
    assert quoted * (10_000 - slippage) // 10_000 >= order.at_least
    at = (1, 2, 5, 6, 7, 8, 9) if shared else (0, 1, 2, 3, 4, 5, 6)
    source, destination = (
        associated_token_address(order.taker, mint) for mint in (order.input_mint, order.output_mint)
    )
    named = [accounts[place] for place in at]
    assert named == [order.taker, source, destination, order.input_mint, order.output_mint, TOKEN, TOKEN]
    if not shared:
        assert accounts[7] in (JUPITER, destination)
    assert OURS.isdisjoint(accounts)


def lawful(draw: random.Random) -> tuple[Any, Desk]:
    """Return an answer as an honest service may give it, in all the ways it may."""
    desk = Desk(sells=draw.random() < 0.5)
    amount = draw.randrange(10**6, 10**12)
    fair = amount * 150 // 1_000 if desk.order.input_mint == WRAPPED_SOL else amount * 1_000 // 150
    slippage = draw.randrange(1, 51)
    desk.order = replace(desk.order, amount=amount, at_least=fair * 985 // 1_000)
    status, _, body = desk.front.answer({**desk.query, "slippageBps": str(slippage)})
    assert status == 200
    answer = orjson.loads(body)
    swap = answer["swapInstruction"]
    if draw.random() < 0.5:
        answer["setupInstructions"] = draw.sample(answer["setupInstructions"], draw.randrange(3))
    if draw.random() < 0.5:
        wrapped = str(associated_token_address(desk.order.taker, WRAPPED_SOL))
        taker = str(desk.order.taker)
        metas = [(wrapped, False, True), (taker, False, True), (taker, True, False)]
        answer["cleanupInstruction"] = {
            "programId": str(TOKEN),
            "accounts": [{"pubkey": k, "isSigner": s, "isWritable": w} for k, s, w in metas],
            "data": base64.b64encode(b"\x09").decode(),
        }
    if draw.random() < 0.3:
        answer["addressesByLookupTableAddress"] = {}
    if draw.random() < 0.5:
        swap["accounts"][7]["pubkey"] = draw.choice([str(JUPITER), str(desk.order.destination)])
    for _ in range(draw.randrange(3)):
        pool = str(Pubkey(bytes(draw.randrange(256) for _ in range(32))))
        swap["accounts"].append({"pubkey": pool, "isSigner": False, "isWritable": draw.random() < 0.5})
    price = draw.randrange(5_000_001)
    answer["computeBudgetInstructions"][0]["data"] = base64.b64encode(
        b"\x03" + price.to_bytes(8, "little")
    ).decode()
    answer["blockhashWithMetadata"]["fetchedAt"]["secs_since_epoch"] -= draw.randrange(30)
    return answer, desk


def all_lawful_are_signed(number: int, seed: int) -> None:
    draw, guard = random.Random(seed), signer()
    for _ in range(number):
        answer, desk = lawful(draw)
        outcome = carried_out(answer, desk, guard)
        assert outcome.reason == "", (outcome.reason, answer)
        judge(outcome.raws, desk)


def attack(number: int, seed: int) -> Counter[str]:
    """Carry out so many bent answers; judge all that was signed. Return how often each reason was given."""
    draw, guard = random.Random(seed), signer()
    reasons: Counter[str] = Counter()
    for _ in range(number):
        desk = DESKS[draw.random() < 0.5]
        answer = desk.answer()
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            mangle(answer, draw)
        outcome = carried_out(answer, desk, guard)
        reasons[outcome.reason.split(":")[0]] += 1
        if outcome.raws:
            judge(outcome.raws, desk)
    return reasons


@pytest.mark.parametrize("sells", [True, False])
@pytest.mark.parametrize("trick", HOSTILE, ids=lambda trick: trick.__name__)
def test_each_lie_is_refused_in_its_own_words_before_anything_is_signed(trick: Any, sells: bool) -> None:
    desk = DESKS[sells]
    answer = desk.answer()
    trick(answer)
    outcome = carried_out(answer, desk, signer())
    assert outcome.raws == []
    assert REASONS[trick.__name__] in outcome.reason


def test_every_lawful_answer_is_signed() -> None:
    all_lawful_are_signed(500, 1)


def test_of_bent_answers_nothing_is_signed_but_the_swap_that_was_asked_for() -> None:
    reasons = attack(2_000, 1)
    assert len(reasons) > 20
    assert 0 < reasons[""] < 1_000


def test_the_judge_sees_what_it_is_there_for() -> None:
    desk = DESKS[True]
    outcome = carried_out(desk.answer(), desk, signer())
    judge(outcome.raws, desk)
    bent = replace(desk.order, amount=desk.order.amount + 1)
    honest, desk.order = desk.order, bent
    try:
        with pytest.raises(AssertionError):
            judge(outcome.raws, desk)
    finally:
        desk.order = honest
    raw = outcome.raws[0].replace(bytes(TIP_ACCOUNTS[0]), bytes(Pubkey.from_string(THIEF)))
    with pytest.raises(AssertionError):
        judge([raw], desk)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(4))
def test_of_a_hundred_thousand_bent_answers_nothing_else_is_signed(seed: int) -> None:
    reasons = attack(25_000, 100 + seed)
    assert reasons[""] > 0


@pytest.mark.fuzz
def test_of_twenty_thousand_lawful_answers_each_is_signed() -> None:
    all_lawful_are_signed(20_000, 2)
