"""P against a slow model that recounts every trade in exact fractions, and each rule by an example."""

from copy import deepcopy
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings, load
from bmv.core.decay import FINE
from bmv.core.price import PriceReading, PriceTracker
from bmv.model import ForeignBook, Side, Trade
from bmv.units import BaseLots, Millis, Ticks

LOT = 1_000_000
FULL = 5_000
"""Quote lots in REF_NOTIONAL (5 SOL) at 1,000,000 lamports each."""
AGE = 6 * 3_600_000
HOUR = 3_600_000
EMPTY = ForeignBook()
SETTINGS = Settings()


def trade(at: int, price: int, size: int) -> Trade:
    return Trade(0, Millis(at), Ticks(price), BaseLots(size), Side.BID, False)


def read(
    tracker: PriceTracker,
    now: int,
    book: ForeignBook = EMPTY,
    *,
    bid: int | None = None,
    ask: int | None = None,
    pivot: int | None = None,
    settings: Settings = SETTINGS,
) -> PriceReading:
    reading = tracker.reading(
        Millis(now),
        book,
        settings,
        walk=(bid is not None) - (ask is not None),
        pivot_fine=pivot,
    )
    assert reading is not None
    return reading


def firm(bid: int | None, ask: int | None) -> ForeignBook:
    wrap = [None if price is None else Ticks(price) for price in (bid, ask)]
    return ForeignBook(wrap[0], wrap[1], wrap[0], wrap[1])


class SlowModel:
    """Sources 1 and 3 without a book, recomputed from the list of trades each time."""

    def __init__(self, last: Fraction) -> None:
        self.last = last
        self.live: list[tuple[int, int, Fraction]] = []

    def counted(self) -> list[tuple[int, int, Fraction]]:
        """Return (time, price, notional that counts), newest first, worth FULL at most."""
        room, parts = Fraction(FULL), list[tuple[int, int, Fraction]]()
        for at, price, size in reversed(self.live):
            part = min(room, price * size)
            room -= part
            parts.append((at, price, part))
        return parts

    def read(self, now: int) -> Fraction:
        while self.live and self.live[0][0] < now - AGE:
            parts = self.counted()
            total, (_, price, part) = sum(part for *_, part in parts), parts[-1]
            if part:
                self.last = (part * price + (FULL - total) * self.last) / (part + FULL - total)
            self.live.pop(0)
        priced = [(price, part) for _, price, part in self.counted() if part]
        traded = sum((part for _, part in priced), Fraction(0))
        volume = sum((part / price for price, part in priced), Fraction(0))
        blend = traded / volume * traded if volume else Fraction(0)
        seen = (blend + (FULL - traded) * self.last) / FULL
        if traded == FULL:
            self.last = seen
        return seen


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 400, 60_000, HOUR, 2 * HOUR, 5 * HOUR, 7 * HOUR]),
            st.lists(st.tuples(st.integers(92, 108), st.integers(1, 60)), max_size=4),
        ),
        max_size=30,
    )
)
def test_trades_count_blend_and_fold_as_defined(
    steps: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    tracker, model = PriceTracker(LOT, 100 * FINE), SlowModel(Fraction(100))
    now = 10**12
    for wait, trades in steps:
        now += wait
        tracker.on_trades([trade(now, price, size) for price, size in trades])
        model.live += [(now, price, Fraction(size)) for price, size in trades]
        expected = model.read(now)
        reading = read(tracker, now)
        assert reading.confirmed
        assert abs(reading.price_fine - expected * FINE) <= 200


def test_the_newest_trades_worth_the_reference_make_the_price() -> None:
    tracker = PriceTracker(LOT, 50 * FINE)
    tracker.on_trades([trade(0, 50, 1_000), trade(1, 55, 1_000)])
    assert read(tracker, 2) == PriceReading(55 * FINE, "trades", True, 55 * FINE)


def test_the_oldest_trade_counts_with_the_part_that_is_needed() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    tracker.on_trades([trade(0, 100, 10**6), trade(1, 110, 25)])
    expected = Fraction(FULL, 25 + Fraction(FULL - 25 * 110, 100))
    assert read(tracker, 2).price_fine == int(expected * FINE)


def test_the_foreign_book_bounds_what_trades_say() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    tracker.on_trades([trade(0, 100, 1_000)])
    assert read(tracker, 1, firm(103, 110)).price_fine == 103 * FINE
    assert read(tracker, 2, firm(90, 97)).price_fine == 97 * FINE
    assert read(tracker, 3, firm(102, None)).price_fine == 102 * FINE
    assert read(tracker, 4).price_fine == 100 * FINE


def test_the_foreign_mid_is_used_where_both_sides_are_close() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    assert read(tracker, 1, firm(99, 101)) == PriceReading(100 * FINE, "foreign_mid", True, 100 * FINE)
    assert read(tracker, 2, firm(99, 103)).source == "last"
    assert read(tracker, 3, firm(99, None)).source == "last"


def test_the_last_mid_stays_when_the_foreign_book_is_gone() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    read(tracker, 1, firm(104, 106))
    assert read(tracker, 2) == PriceReading(105 * FINE, "last", True, 105 * FINE)


def test_one_lot_moves_next_to_nothing() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    tracker.on_trades([trade(0, 150, 1)])
    assert read(tracker, 1).price_fine == pytest.approx(101.5 * FINE, rel=1e-9)


def test_the_pivot_is_the_price_once_and_never_again() -> None:
    tracker = PriceTracker(LOT)
    assert read(tracker, 0, pivot=70 * FINE).source == "pivot"
    assert read(tracker, 1, pivot=20 * FINE) == PriceReading(70 * FINE, "last", True, 70 * FINE)


def test_with_nothing_ever_seen_there_is_no_price() -> None:
    tracker = PriceTracker(LOT)
    assert tracker.reading(Millis(0), EMPTY, SETTINGS, walk=0, pivot_fine=None) is None


def test_old_trades_come_before_the_pivot() -> None:
    tracker = PriceTracker(LOT)
    tracker.on_trades([trade(0, 40, 1)])
    assert read(tracker, 30 * HOUR, pivot=70 * FINE) == PriceReading(40 * FINE, "last", True, 40 * FINE)


def test_a_young_first_trade_is_the_price_and_stays_so_when_it_ages() -> None:
    tracker = PriceTracker(LOT)
    tracker.on_trades([trade(0, 40, 1)])
    assert read(tracker, 1).price_fine == 40 * FINE
    assert tracker.last_fine is None
    assert read(tracker, AGE + 1).price_fine == 40 * FINE


@given(st.integers(1, 49), st.integers(81, 119))
def test_a_trade_that_ages_out_does_not_move_the_price(size: int, price: int) -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    tracker.on_trades([trade(0, price, min(size, FULL // price))])
    before = read(tracker, 1).price_fine
    assert abs(read(tracker, AGE + 1).price_fine - before) <= 2


def test_a_jump_waits_for_a_second_reading_near_the_first() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    jump = firm(149, 151)
    assert read(tracker, 0, jump) == PriceReading(100 * FINE, "foreign_mid", False, 150 * FINE)
    assert not read(tracker, 29_999, jump).confirmed
    assert read(tracker, 30_000, firm(154, 156)) == PriceReading(155 * FINE, "foreign_mid", True, 155 * FINE)


def test_a_jump_that_wanders_starts_its_wait_again() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    assert not read(tracker, 0, firm(149, 151)).confirmed
    assert not read(tracker, 40_000, firm(169, 171)).confirmed
    assert not read(tracker, 60_000, firm(169, 171)).confirmed
    assert read(tracker, 70_000, firm(169, 171)).confirmed


def test_a_jump_that_comes_back_is_forgotten() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    assert not read(tracker, 0, firm(149, 151)).confirmed
    assert read(tracker, 10_000, firm(100, 102)).confirmed
    assert not read(tracker, 31_000, firm(149, 151)).confirmed
    assert tracker.last_fine == 101 * FINE


@pytest.mark.parametrize(("bid", "ask", "sign"), [(None, 101, -1), (99, None, 1)])
def test_the_price_walks_one_percent_an_hour_towards_the_empty_side(
    bid: int | None, ask: int | None, sign: int
) -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    for now in range(0, HOUR + 1, 400):
        price = read(tracker, now, bid=bid, ask=ask).price_fine
    assert price / FINE == pytest.approx(100 * (1 + sign * 0.01), rel=1e-4)


@pytest.mark.parametrize(("bid", "ask"), [(None, None), (99, 101)])
def test_the_price_does_not_walk_while_both_sides_are_alike(bid: int | None, ask: int | None) -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    for now in range(0, 5 * HOUR, HOUR):
        assert read(tracker, now, bid=bid, ask=ask).price_fine == 100 * FINE


@given(st.lists(st.integers(400, 3 * HOUR), min_size=5, max_size=120), st.booleans(), st.integers(1, 10))
def test_no_day_sees_a_walk_of_more_than_ten_percent(waits: list[int], up: bool, pace: int) -> None:
    tracker = PriceTracker(LOT, 10**6 * FINE)
    settings = load(environ={"BMV_PRICE_DRIFT_PCT_PER_H": str(pace)})
    seen = [(0, read(tracker, 0, bid=1 if up else None, ask=None if up else 9, settings=settings).price_fine)]
    for wait in waits:
        now = seen[-1][0] + wait
        reading = read(tracker, now, bid=1 if up else None, ask=None if up else 9, settings=settings)
        seen.append((now, reading.price_fine))
    for at, price in seen:
        for later, other in seen:
            if at <= later <= at + 24 * HOUR:
                assert price * 9 <= other * 10
                assert other * 10 <= price * 11


@given(st.lists(st.tuples(st.integers(400, 3 * HOUR), st.sampled_from([-1, 0, 1])), min_size=5, max_size=120))
def test_however_the_walk_turns_no_day_sees_more_than_ten_percent(steps: list[tuple[int, int]]) -> None:
    tracker, now, seen = PriceTracker(LOT, 10**6 * FINE), 0, list[tuple[int, int]]()
    for wait, walk in steps:
        now += wait
        reading = tracker.reading(Millis(now), EMPTY, SETTINGS, walk=walk, pivot_fine=None)
        assert reading is not None
        seen.append((now, reading.price_fine))
    for at, price in seen:
        assert all(
            price * 9 <= other * 10 <= price * 11 for later, other in seen if at <= later <= at + 24 * HOUR
        )


def test_a_foreign_market_stops_the_walk() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    for now in range(0, 5 * HOUR, HOUR):
        assert read(tracker, now, firm(99, 101), ask=101).price_fine == 100 * FINE
    assert read(tracker, 6 * HOUR, ask=101).price_fine == 100 * FINE


def test_a_reference_raised_while_running_does_not_bring_back_an_old_price() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    for price in (100, 110, 120, 130):
        tracker.on_trades([trade(0, price, 100)])
        read(tracker, 1)
    doubled = load(environ={"BMV_REF_NOTIONAL_SOL": "40"})
    assert read(tracker, 2, settings=doubled).price_fine == pytest.approx(130 * FINE, rel=1e-9)


def test_a_copy_goes_on_as_the_original_would() -> None:
    tracker = PriceTracker(LOT, 100 * FINE)
    for now in range(0, 30 * HOUR, HOUR):
        tracker.on_trades([trade(now, 100 + now // HOUR % 3, 10)])
        read(tracker, now, ask=101)
    copy = deepcopy(tracker)
    later = [30 * HOUR, 37 * HOUR, 38 * HOUR]
    assert [read(tracker, now, bid=1) for now in later] == [read(copy, now, bid=1) for now in later]


# What moves P, and by how much

PRICES = st.integers(50, 200)
WORTH = st.integers(1, FULL - 1)
ONE_SIDED = st.one_of(
    st.just(EMPTY),
    st.builds(lambda bid: firm(bid, None), PRICES),
    st.builds(lambda ask: firm(None, ask), PRICES),
    st.builds(lambda bid, gap: firm(bid, bid + gap), PRICES, st.integers(20, 90)),
)
BRAVE = load(environ={"BMV_MAX_PRICE_JUMP_PCT": "100", "BMV_PRICE_CONFIRM_S": "0"})


@given(PRICES, WORTH, ONE_SIDED, st.lists(st.integers(1, 2 * HOUR), min_size=1, max_size=12))
def test_a_trade_below_the_reference_moves_p_by_its_weight_and_no_more_for_ever(
    price: int, worth: int, book: ForeignBook, waits: list[int]
) -> None:
    moved, still = PriceTracker(LOT, 100 * FINE), PriceTracker(LOT, 100 * FINE)
    size = max(1, worth // price)
    moved.on_trades([trade(0, price, size)])
    weight, now = Fraction(price * size, FULL), 0
    for wait in [0, *waits]:
        now += wait
        apart = read(moved, now, book, settings=BRAVE).price_fine - read(still, now, book).price_fine
        assert abs(apart - weight * (price - 100) * FINE) <= 3


@given(
    st.lists(st.tuples(st.integers(0, 2 * HOUR), PRICES, st.integers(1, 40)), min_size=1, max_size=20),
    ONE_SIDED,
)
def test_p_stays_within_what_was_traded_and_quoted(
    trades: list[tuple[int, int, int]], book: ForeignBook
) -> None:
    tracker, now, said = PriceTracker(LOT, 100 * FINE), 0, {100}
    said |= {int(each) for each in (book.firm_bid, book.firm_ask) if each is not None}
    for wait, price, size in trades:
        now += wait
        said.add(price)
        tracker.on_trades([trade(now, price, size)])
        reading = read(tracker, now, book, settings=BRAVE)
        assert min(said) * FINE - 20 <= reading.seen_fine <= max(said) * FINE
        assert min(said) * FINE - 20 <= reading.price_fine <= max(said) * FINE


STEPS = st.lists(
    st.tuples(
        st.integers(0, 4 * HOUR),
        st.lists(st.tuples(PRICES, st.integers(1, 60)), max_size=2),
        ONE_SIDED | st.builds(lambda bid: firm(bid, bid + 1), PRICES),
        st.sampled_from([-1, 0, 1]),
        st.none() | st.integers(1, 10**12),
    ),
    max_size=25,
)


@given(STEPS, st.booleans())
def test_the_pivot_is_never_the_price_after_the_first_trade_or_price(
    steps: list[tuple[int, list[tuple[int, int]], ForeignBook, int, int | None]], by_trade: bool
) -> None:
    with_pivot, without = PriceTracker(LOT), PriceTracker(LOT)
    for tracker in (with_pivot, without):
        tracker.on_trades([trade(0, 100, 1)] if by_trade else [])
        read(tracker, 0, EMPTY if by_trade else firm(99, 101))
    now = 0
    for wait, trades, book, walk, pivot in steps:
        now += wait
        for tracker in (with_pivot, without):
            tracker.on_trades([trade(now, price, size) for price, size in trades])
        first = with_pivot.reading(Millis(now), book, SETTINGS, walk=walk, pivot_fine=pivot)
        assert first == without.reading(Millis(now), book, SETTINGS, walk=walk, pivot_fine=None)
        assert first is not None
        assert first.source != "pivot"


@given(STEPS, st.sampled_from([5, 20]), st.sampled_from([0, 30, 3_600]))
def test_a_jump_is_followed_only_after_a_second_reading_near_and_late_enough(
    steps: list[tuple[int, list[tuple[int, int]], ForeignBook, int, int | None]], most: int, apart: int
) -> None:
    settings = load(environ={"BMV_MAX_PRICE_JUMP_PCT": str(most), "BMV_PRICE_CONFIRM_S": str(apart)})
    tracker, now, waiting = PriceTracker(LOT, 100 * FINE), 0, list[tuple[int, int]]()
    before = read(tracker, 0, settings=settings).price_fine
    for wait, trades, book, _, _ in steps:
        now += wait
        tracker.on_trades([trade(now, price, size) for price, size in trades])
        reading = read(tracker, now, book, settings=settings)
        jumped = abs(reading.seen_fine - before) * 100 > before * most
        second = any(
            now - at >= apart * 1_000 and abs(reading.seen_fine - seen) * 20 <= seen for at, seen in waiting
        )
        if reading.confirmed:
            assert reading.price_fine == reading.seen_fine
            assert not jumped or second
            waiting = []
        else:
            assert reading.price_fine == before
            assert jumped
            waiting.append((now, reading.seen_fine))
        before = reading.price_fine
