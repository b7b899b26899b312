"""A chain with dollars, a pool and a taker, the swap service's front, and what a taker knows itself."""

import copy
from decimal import Decimal
from typing import Any

import orjson
from solders.pubkey import Pubkey

from bmv.sandbox import jupiter_program
from bmv.sandbox.chain import Chain
from bmv.sandbox.dollar_genesis import Purse, found_dollars, table_addresses, table_key
from bmv.sandbox.faults import Faults
from bmv.sandbox.jupiter_front import JupiterFront
from bmv.sandbox.market_genesis import seeded_keypair
from bmv.units import BlockHeight, Bps
from bmv.venue.jupiter import USDC, Surroundings, SwapOrder
from bmv.venue.token import WRAPPED_SOL

START_MS = 1_767_225_600_000
PRICE = Decimal(150)
TAKER = seeded_keypair(1, "treasury", 0)
OURS = frozenset(seeded_keypair(1, "engine", index).pubkey() for index in range(4))


class Still:
    """A price that stands still."""

    def price_at(self, _ms: int) -> Decimal:
        """Return the price there is."""
        return PRICE

    def next_step(self, _ms: int) -> int | None:
        """Return that it never moves."""
        return None

    def activity_at(self, _ms: int) -> float:
        """Return an ordinary hour."""
        return 1.0


class Desk:
    """The front of one chain at one moment; ``sells`` says which way the taker swaps."""

    def __init__(self, *, sells: bool = True, rates: dict[str, float] | None = None) -> None:
        self.now = START_MS + 400_000
        self.chain = Chain(start_ms=START_MS, seed=1, now=lambda: self.now)
        program = jupiter_program.JupiterProgram(Still().price_at)
        self.chain.programs[jupiter_program.PROGRAM_ID] = program.process
        self.chain.genesis(found_dollars(1, bytes(TAKER.pubkey()), Purse()))
        self.faults = Faults(rates or {}, 1)
        self.front = JupiterFront(self.chain, Still(), self.faults, 1)
        mints = (WRAPPED_SOL, USDC) if sells else (USDC, WRAPPED_SOL)
        amount, fair = (10**10, 1_500 * 10**6) if sells else (1_500 * 10**6, 10**10)
        self.order = SwapOrder(TAKER.pubkey(), *mints, amount, fair * 985 // 1_000, Bps(50))

    @property
    def query(self) -> dict[str, str]:
        """Return what a client asks for."""
        order = self.order
        return {
            "inputMint": str(order.input_mint),
            "outputMint": str(order.output_mint),
            "amount": str(order.amount),
            "taker": str(order.taker),
            "slippageBps": "50",
            "wrapAndUnwrapSol": "false",
        }

    def answer(self) -> Any:
        """Return the service's answer as JSON."""
        status, _, body = self.front.answer(self.query)
        assert status == 200, body
        return copy.deepcopy(orjson.loads(body))

    def known(self) -> Surroundings:
        """Return what the taker knows without the service."""
        tables = {Pubkey(table_key(1)): [Pubkey(key) for key in table_addresses()]}
        return Surroundings(tables, BlockHeight(self.chain.block_height()), self.now // 1000, OURS)
