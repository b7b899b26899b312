"""Typed integers for money, prices and time, and the legal conversions between them.

Rules of this file
- At run time every unit is a plain ``int``: no wrapper, no cost, safe in msgspec and numpy.
- For the type checker every unit is its own class: ``Ticks + BaseLots`` does not type-check.
- The functions at the end are the dimensional analysis: what may be multiplied with what.
- The plain integer of a unit is ``int(x)``; ``+x`` is the same without a call, for what runs once an order.

| unit | meaning |
|---|---|
| Ticks | price: quote lots per base lot |
| BaseLots / QuoteLots | quantity in lots of the market |
| BaseAtoms / Lamports | raw integers of the token and of (wrapped) SOL |
| Slot / BlockHeight | chain time |
| Millis | wall or virtual time in milliseconds since 1970 |
| Bps | 1/10,000 |
| MicroUsd | money in millionths of a US dollar; an atom of USDC |
| UsdPerSol | price of a SOL in millionths of a US dollar |
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self, overload

    class _Unit:
        """What every unit can do: add and compare with itself, scale by plain integers."""

        def __init__(self, value: int | Self = 0) -> None: ...
        def __int__(self) -> int: ...
        def __index__(self) -> int: ...
        def __bool__(self) -> bool: ...
        def __hash__(self) -> int: ...
        def __eq__(self, other: object) -> bool: ...
        def __lt__(self, other: Self) -> bool: ...
        def __le__(self, other: Self) -> bool: ...
        def __gt__(self, other: Self) -> bool: ...
        def __ge__(self, other: Self) -> bool: ...
        def __add__(self, other: Self) -> Self: ...
        def __sub__(self, other: Self) -> Self: ...
        def __mod__(self, other: int) -> Self: ...
        def __neg__(self) -> Self: ...
        def __pos__(self) -> int: ...
        def __abs__(self) -> Self: ...
        def __mul__(self, other: int) -> Self: ...
        def __rmul__(self, other: int) -> Self: ...
        @overload
        def __floordiv__(self, other: int) -> Self: ...
        @overload
        def __floordiv__(self, other: Self) -> int: ...
        def __floordiv__(self, other: int | Self) -> int | Self: ...

    class Ticks(_Unit): ...

    class BaseLots(_Unit): ...

    class QuoteLots(_Unit): ...

    class BaseAtoms(_Unit): ...

    class Lamports(_Unit): ...

    class Slot(_Unit): ...

    class BlockHeight(_Unit): ...

    class Millis(_Unit): ...

    class Bps(_Unit): ...

    class MicroUsd(_Unit): ...

    class UsdPerSol(_Unit): ...
else:
    Ticks = BaseLots = QuoteLots = BaseAtoms = Lamports = Slot = BlockHeight = Millis = Bps = int
    MicroUsd = UsdPerSol = int

LAMPORTS_PER_SOL = 1_000_000_000
MICROS_PER_USD = 1_000_000


def notional_lots(price: Ticks, size: BaseLots) -> QuoteLots:
    """Multiply a price by a quantity; ticks are quote lots per base lot."""
    return QuoteLots(+price * +size)


def lots_to_lamports(quote: QuoteLots, quote_lot_size: int) -> Lamports:
    """Turn quote lots into lamports; ``quote_lot_size`` is lamports per quote lot."""
    return Lamports(int(quote) * quote_lot_size)


def notional(price: Ticks, size: BaseLots, quote_lot_size: int) -> Lamports:
    """Return what ``size`` costs at ``price``, in lamports, fees not counted."""
    return Lamports(+price * +size * quote_lot_size)


def lots_to_atoms(base: BaseLots, base_lot_size: int) -> BaseAtoms:
    """Turn base lots into atoms; ``base_lot_size`` is atoms per base lot."""
    return BaseAtoms(int(base) * base_lot_size)


def atoms_to_lots(base: BaseAtoms, base_lot_size: int) -> BaseLots:
    """Return the whole lots in ``base`` atoms (the rest is dust)."""
    return BaseLots(int(base) // base_lot_size)


def usd_value(amount: Lamports, sol_usd: UsdPerSol) -> MicroUsd:
    """Return what lamports are worth in millionths of a dollar, rounded down."""
    return MicroUsd(int(amount) * int(sol_usd) // LAMPORTS_PER_SOL)


def lamports_worth(amount: MicroUsd, sol_usd: UsdPerSol) -> Lamports:
    """Return how many lamports cost ``amount``, rounded down."""
    return Lamports(int(amount) * LAMPORTS_PER_SOL // int(sol_usd))
