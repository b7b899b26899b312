"""What a crashed run leaves behind: accounts of our wallets that no later run works with."""

import asyncio
from collections.abc import Sequence

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.app import reporting
from bmv.core.ledger import Part
from bmv.model import Side
from bmv.sandbox.people.floor import Floor, Trader
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.units import Lamports
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.instructions import NewOrder, init_open_orders
from bmv.venue.openbook_v1.layouts import OPEN_ORDERS_SIZE
from bmv.venue.system import create_account_with_seed
from bmv.venue.token import TOKEN_ACCOUNT_SIZE, TOKEN_PROGRAM, initialize_account
from tests.services.living_world import Living

OPEN_ORDERS_RENT = rent_exempt_lamports(OPEN_ORDERS_SIZE)
TOKEN_RENT = rent_exempt_lamports(TOKEN_ACCOUNT_SIZE)


class Crashed(Trader):
    """A wallet of ours that trades through an account no later run knows."""

    def __init__(self, it: Living, keypair: Keypair, seed: str) -> None:
        super().__init__(Floor(it.world.chain, it.world.spec, it.world.reference), keypair)
        self._open_orders = Pubkey.create_with_seed(self.wallet, seed, OPENBOOK_V1)
        self.open_orders = bytes(self._open_orders)
        made = _created(self.wallet, self._open_orders, seed, OPEN_ORDERS_SIZE, OPENBOOK_V1)
        self.send([made, init_open_orders(it.assembly.market, self._open_orders, self.wallet)])


async def leave_behind(it: Living) -> list[Pubkey]:
    """Leave an account with orders, one with free funds, and an empty token account; return them."""
    first, second = it.world.keypairs[:2]
    quoting, holding = Crashed(it, first, "crash one"), Crashed(it, second, "crash two")
    empty = Pubkey.create_with_seed(first.pubkey(), "crash three", TOKEN_PROGRAM)
    created = _created(first.pubkey(), empty, "crash three", TOKEN_ACCOUNT_SIZE, TOKEN_PROGRAM)
    mint = it.assembly.market.base_mint
    quoting.send([created, initialize_account(empty, mint, first.pubkey())])
    await asyncio.sleep(3)
    fair = quoting.floor.fair(it.world.chain.now())
    quoting.send(quoting.place(Side.BID, _far(quoting, Side.BID, fair // 2)))
    quoting.send(quoting.place(Side.ASK, _far(quoting, Side.ASK, fair * 2)))
    holding.send(holding.place(Side.BID, _far(holding, Side.BID, fair // 2)))
    await asyncio.sleep(3)
    holding.send([holding.withdraw([1, 2])])
    await asyncio.sleep(3)
    holding.send([holding.crank([holding.open_orders], 2)])
    await asyncio.sleep(3)
    assert len(quoting.resting(Side.BID)) == len(quoting.resting(Side.ASK)) == 2
    assert holding.resting(Side.BID) == []
    return [Pubkey(quoting.open_orders), Pubkey(holding.open_orders), empty]


async def run_and_search(it: Living, seconds: float) -> bool:
    """Run the engine with its search for left-over accounts, and say whether it ended clean."""
    return await it.run_engine(seconds, {"leftovers": it.assembly.search.run})


def check_recovered(it: Living, left: Sequence[Pubkey], gifts: int = 0) -> None:
    """Check that all is back, is told, and is booked to the lamport, ``gifts`` of strangers among it."""
    assert [it.world.chain.account(bytes(key)) for key in left] == [None] * len(left)
    record = it.assembly.engine.record
    assert record.rent_reclaimed == Lamports(2 * OPEN_ORDERS_RENT + TOKEN_RENT + gifts)
    assert record.ledger is not None
    assert int(record.ledger.totals()[Part.RENT]) > 2 * OPEN_ORDERS_RENT + TOKEN_RENT + gifts
    assert reporting.books(it.assembly)["identity_residual_lamports"] == 0
    assert reporting.after_drain(it.world, it.assembly) == {"orders_live": 0, "locked": 0}


def _far(trader: Trader, side: Side, price: int) -> list[NewOrder]:
    first = 1 + 2 * side
    return [trader.post(side, number, price, 50) for number in (first, first + 1)]


def _created(owner: Pubkey, address: Pubkey, seed: str, size: int, program: Pubkey) -> Instruction:
    rent = Lamports(rent_exempt_lamports(size))
    return create_account_with_seed(owner, address, owner, seed, rent, size, program)
