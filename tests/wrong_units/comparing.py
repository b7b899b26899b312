"""Wrong and right comparisons of units; every line that must not type-check says so.

Comparing for equality is not refused: any two values may be asked whether they are the same.
"""

from bmv.units import BaseLots, Lamports, Millis, Slot, Ticks

money, slot, price, size = Lamports(1), Slot(1), Ticks(1), BaseLots(1)

assert money < slot  # error
assert price >= size  # error
assert price > 5  # error
assert slot <= Millis(5)  # error
wrong: Ticks = max(price, size)  # error
wrong_too: list[Ticks] = sorted([price, size])  # error

right: bool = money < Lamports(2)
also_right: bool = price == Ticks(1)
largest: Ticks = max(price, Ticks(2))
