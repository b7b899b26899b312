"""Wrong and right arithmetic of units; every line that must not type-check says so."""

from bmv.units import BaseAtoms, BaseLots, Bps, Lamports, Millis, QuoteLots, Slot, Ticks

price, size, money = Ticks(5), BaseLots(7), Lamports(9)
slot, moment = Slot(1), Millis(2)

price + size  # error
price - money  # error
money + 1  # error
1 + money  # error
price * size  # error
size * price  # error
price * 1.5  # error
money / 2  # error
money // size  # error
moment + slot  # error
BaseLots(1) + BaseAtoms(1)  # error
QuoteLots(1) + Lamports(1)  # error
Bps(1) * Lamports(1)  # error
sum([price, price])  # error

fine_sum: Ticks = price + price
fine_difference: Lamports = money - Lamports(1)
scaled: BaseLots = size * 3
scaled_too: BaseLots = 3 * size
how_often: int = money // Lamports(2)
half: Lamports = money // 2
total: Lamports = sum([money, money], Lamports(0))
