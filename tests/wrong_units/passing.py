"""Wrong and right units handed over; every line that must not type-check says so."""

from bmv.model import Fill, ForeignBook, Level, Side
from bmv.units import (
    BaseAtoms,
    BaseLots,
    BlockHeight,
    Lamports,
    QuoteLots,
    Slot,
    Ticks,
    atoms_to_lots,
    lots_to_atoms,
    lots_to_lamports,
    notional,
    notional_lots,
)

price, size, money = Ticks(5), BaseLots(7), Lamports(9)


def bid(at: Ticks) -> Lamports:
    """Want a price."""
    return notional(at, size, 10)


bid(money)  # error
bid(5)  # error
notional(size, price, 10)  # error
notional_lots(price, BaseAtoms(3))  # error
lots_to_lamports(money, 10)  # error
lots_to_atoms(BaseAtoms(3), 10)  # error
atoms_to_lots(size, 10)  # error
Level(Side.BID, 1, money, size)  # error
Level(Side.BID, 1, price, price)  # error
ForeignBook(best_bid=size)  # error
Ticks(size)  # error
Lamports(1.5)  # error
height: BlockHeight = Slot(3)  # error
paid: Lamports = notional_lots(price, size)  # error
prices: list[Ticks] = [size]  # error

right: Lamports = bid(price)
also_right: QuoteLots = notional_lots(price, size)
there_and_back: BaseLots = atoms_to_lots(lots_to_atoms(size, 10), 10)
plain: int = int(price) * int(size)
fills: list[Fill] = []
