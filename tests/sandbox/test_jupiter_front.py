"""The sandbox's swap service and program: answers land on the chain as they say, or fail as they should."""

from typing import Any

import orjson
import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from bmv.chain.jupiter import parse_build
from bmv.sandbox.jupiter_program import brings
from bmv.sandbox.spl_token import NATIVE_MINT, Holding
from bmv.units import Lamports
from bmv.venue.system import transfer
from bmv.venue.token import create_associated_token_account, sync_native
from tests.sandbox.swap_desk import PRICE, TAKER, Desk


def landed(desk: Desk, instructions: list[Instruction]) -> Any:
    """Send instructions as a transaction of the taker; return its error, None where it succeeded."""
    blockhash, _ = desk.chain.latest_blockhash()
    message = MessageV0.try_compile(TAKER.pubkey(), instructions, [], Hash.from_string(blockhash))
    name = desk.chain.submit_transaction(bytes(VersionedTransaction(message, [TAKER])))
    desk.now += 2_000
    desk.chain.run_due()
    found = desk.chain.ledger.get(name)
    assert found is not None
    return found.outcome.err


def opened(desk: Desk) -> list[Instruction]:
    """Return what opens the taker's wrapped account and fills it."""
    taker, order = TAKER.pubkey(), desk.order
    wrapped = order.source if order.input_mint != order.output_mint and order.amount == 10**10 else None
    steps = [
        create_associated_token_account(taker, taker, mint) for mint in (order.input_mint, order.output_mint)
    ]
    if wrapped is not None:
        steps += [transfer(taker, wrapped, Lamports(order.amount)), sync_native(wrapped)]
    return steps


def held(desk: Desk, key: Any) -> int:
    """Return the atoms in a token account."""
    account = desk.chain.account(bytes(key))
    return Holding.read(account).amount if account is not None else 0


@pytest.mark.parametrize("sells", [True, False])
def test_a_swap_brings_what_was_quoted_and_creates_nothing(sells: bool) -> None:
    desk = Desk(sells=sells)
    before = desk.chain.total_lamports() + desk.chain.burnt_lamports
    usdc = 6_000 * 10**6
    build = parse_build(desk.answer())
    assert landed(desk, [*opened(desk), build.swap]) is None
    order = desk.order
    if sells:
        assert held(desk, order.destination) == usdc + build.brings
        assert held(desk, order.source) == 0
    else:
        assert held(desk, order.source) == usdc - order.amount
        assert held(desk, order.destination) == build.brings
    assert desk.chain.total_lamports() + desk.chain.burnt_lamports == before
    assert build.brings == brings(order.amount, NATIVE_MINT if sells else b"", PRICE)


def test_a_quote_the_pool_does_not_honour_fails_as_on_the_real_chain() -> None:
    desk = Desk(rates={"jupiter_stale": 1.0})
    desk.answer()
    build = parse_build(desk.answer())
    assert build.brings > brings(10**10, NATIVE_MINT, PRICE)
    error = landed(desk, [*opened(desk), build.swap])
    assert error == {"InstructionError": [4, {"Custom": 6001}]}


@pytest.mark.parametrize(
    ("fault", "status"),
    [("jupiter_unreachable", 503), ("jupiter_rate_limited", 429), ("jupiter_no_route", 400)],
)
def test_the_service_fails_in_the_real_services_words(fault: str, status: int) -> None:
    answered, _, body = Desk(rates={fault: 1.0}).front.answer(Desk().query)
    assert answered == status
    if status != 503:
        assert orjson.loads(body).keys() & {"error", "message"}


def test_what_is_no_question_is_refused() -> None:
    desk = Desk()
    for change in ({"amount": "x"}, {"inputMint": "11111111111111111111111111111111"}, {"taker": ""}):
        assert desk.front.answer(desk.query | change)[0] == 400
