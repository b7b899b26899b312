"""The noise of the live tape: other people's suspected share of the newest volume."""

import pytest

from bmv.integrity.live import WINDOW, LiveTape
from bmv.model import Side, Trade
from bmv.units import BaseLots, Millis, Ticks


def trade(number: int, maker: str, taker: str, size: int = 10, side: Side = Side.BID) -> Trade:
    return Trade(
        number, Millis(number * 1000), Ticks(100), BaseLots(size), side, "us" in {maker, taker}, maker, taker
    )


def crowd(tape: LiveTape, start: int, count: int) -> None:
    for number in range(start, start + count):
        tape.traded(trade(number, f"maker{number % 3}", f"taker{number}", 1 + number % 50))


def test_a_ring_among_others_is_its_share_of_the_volume() -> None:
    tape = LiveTape()
    assert tape.noise() is None
    crowd(tape, 0, 50)
    assert tape.noise() == 0
    honest = sum(1 + number % 50 for number in range(50))
    for number in range(50, 62):
        # The taker buys: a sells to b, b to c, c to a.
        tape.traded(trade(number, "abc"[number % 3], "abc"[(number + 1) % 3], 25))
    assert tape.noise() == 12 * 25 / (12 * 25 + honest)
    # Sides count: buying back from the same account comes back as well, selling on and on does not.
    crowd(tape, 62, WINDOW)
    assert tape.noise() == 0


def test_two_who_are_alone_and_trade_to_and_fro_by_the_clock_are_all_noise() -> None:
    tape = LiveTape()
    for number in range(12):
        tape.traded(trade(number, "a", "b", side=Side(number % 2)))
    assert tape.noise() == pytest.approx(1)


def test_our_own_trades_and_those_of_unknown_people_are_not_judged() -> None:
    tape = LiveTape()
    for number in range(20):
        tape.traded(trade(number, "us", "regular", side=Side(number % 2)))
        tape.traded(trade(number, "someone", ""))
    assert tape.noise() is None
