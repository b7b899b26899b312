"""A node that lies about a swap: whatever it says of trial or lookup tables, nothing bad is handed over.

The treasury is the real one; the swap service is honest and only the node's words are bent.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from solders.pubkey import Pubkey
from structlog.testing import capture_logs

from bmv.chain.jupiter import parse_build
from bmv.chain.rpc import AccountImage, AccountsAt, HeightAt, Simulation
from bmv.core.oracle import Oracle
from bmv.core.state import State
from bmv.events import BundleResolved, Convert
from bmv.model import Conversion, Direction, Rule
from bmv.services.accounts import TreasuryAccounts
from bmv.services.treasury import Treasury
from bmv.units import BlockHeight, Lamports, MicroUsd, Millis, Slot, UsdPerSol
from bmv.venue.lookup_table import LOOKUP_TABLE_PROGRAM
from bmv.venue.system import SYSTEM_PROGRAM
from bmv.venue.token import TOKEN_PROGRAM
from tests.core.belongings import quoting_state, settings, wallet
from tests.sandbox.swap_desk import OURS, TAKER, Desk

SOL = 10**9
"""The desk sells 10 SOL at 150 dollars."""
CONVERSION = Conversion(Rule.UPPER, Direction.SELL_SOL, MicroUsd(1_500 * 10**6), Lamports(10 * SOL), "")


@dataclass
class Node:
    """What a node says: honest unless a field was bent."""

    desk: Desk
    err: object = None
    units: int = 80_000
    after_sol: int = -10 * SOL
    after_usdc: int = 1_499 * 10**6
    missing: bool = False
    table: bytes | None = None
    height: int | None = None
    asked: list[str] = field(default_factory=list)

    def _image(self, key: Pubkey) -> AccountImage | None:
        account = self.desk.chain.account(bytes(key))
        if account is None:
            return None
        owner, data = Pubkey(account.owner), bytes(account.data)
        if owner == LOOKUP_TABLE_PROGRAM and self.table is not None:
            data = self.table
        return AccountImage(Lamports(account.lamports), owner, data)

    async def accounts(self, keys: Sequence[Pubkey], **_: Any) -> AccountsAt:
        return AccountsAt(Slot(2_000), [self._image(key) for key in keys])

    async def block_height(self, *_: Any) -> HeightAt:
        height = self.desk.chain.block_height() if self.height is None else self.height
        return HeightAt(Slot(2_000), BlockHeight(height))

    async def simulate(self, _raw: bytes, watched: Sequence[Pubkey] = ()) -> Simulation:
        plain, dollars = (self._image(key) for key in watched)
        had = int(plain.lamports) if plain else 0
        owner = AccountImage(Lamports(had + self.after_sol), SYSTEM_PROGRAM, b"")
        data = bytearray(dollars.data) if dollars else bytearray(165)
        amount = int.from_bytes(data[64:72], "little") + self.after_usdc
        data[64:72] = amount.to_bytes(8, "little")
        tokens = AccountImage(Lamports(2_039_280), TOKEN_PROGRAM, bytes(data))
        shown: list[AccountImage | None] = [] if self.missing else [owner, tokens]
        return Simulation(Slot(2_000), self.err, [], self.units, shown)


class Service:
    """An honest swap service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def build(self, *_: Any) -> Any:
        return parse_build(self._desk.answer())


def tried(node: Node, price: int = 150) -> tuple[bool, set[str]]:
    """Let the treasury convert; return whether it handed a swap over, and the reasons it logged."""
    desk, told = node.desk, list[BundleResolved]()
    state: State = quoting_state([wallet(0)])
    at = Millis(desk.now)
    state.oracle = Oracle(UsdPerSol(price * 10**6), at)
    chosen = settings()

    class Clock:
        def now(self) -> Millis:
            return at

    treasury = Treasury(
        TreasuryAccounts.of(TAKER.pubkey()),
        Service(desk),  # type: ignore[arg-type]
        node,  # type: ignore[arg-type]
        OURS,
        lambda: chosen,
        lambda: state,
        Clock(),  # type: ignore[arg-type]
        told.append,  # type: ignore[arg-type]
    )
    handed: list[Convert] = []
    treasury.hand_over = lambda action, _: handed.append(action)

    async def one() -> None:
        treasury.convert(Convert(1, CONVERSION))
        serving = asyncio.create_task(treasury.run())
        while not handed and not told:
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    with capture_logs() as logs, pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmv.services.treasury.AGAIN_S", 0)
        asyncio.run(one())
    assert bool(handed) is not bool(told)
    return bool(handed), {entry["reason"] for entry in logs if entry["event"] == "swap_refused"}


def test_an_honest_node_lets_an_honest_swap_pass() -> None:
    assert tried(Node(Desk())) == (True, set())


@pytest.mark.parametrize(
    ("bent", "reason"),
    [
        ({"err": {"InstructionError": [4, "Custom"]}}, "it fails when tried"),
        ({"after_sol": -20 * SOL}, "it takes more than asked, or brings less"),
        ({"after_usdc": 1_000 * 10**6}, "it takes more than asked, or brings less"),
        ({"after_usdc": 0}, "it takes more than asked, or brings less"),
        ({"units": 1_000_001}, "it is said to use more than it may"),
        ({"missing": True}, "it takes more than asked, or brings less"),
        ({"table": bytes(56)}, "the lookup table"),
        ({"table": b""}, "the lookup table"),
        ({"height": 2**40}, "its blockhash has expired"),
    ],
)
def test_what_a_lying_node_says_only_ever_refuses(bent: dict[str, Any], reason: str) -> None:
    passed, reasons = tried(Node(Desk(), **bent))
    assert not passed
    assert any(reason in each for each in reasons), reasons


@pytest.mark.parametrize("price", [100, 140, 160, 300])
def test_an_oracle_that_lies_stops_the_conversion(price: int) -> None:
    passed, reasons = tried(Node(Desk()), price)
    assert not passed
    assert reasons
