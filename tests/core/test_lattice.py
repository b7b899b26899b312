"""The lattice against decimal powers and brute force."""

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decay import FINE, ONE
from bmv.core.lattice import ORIGIN, Lattice, strided
from bmv.model import TOUCH, Side
from bmv.units import Bps

SIDES = st.sampled_from(list(Side))
ANCHORS = st.integers(5 * FINE, 10**9 * FINE)
LEVELS = st.integers(4, 400)
WIDTHS = st.integers(100, 5_000)
PER_MILLE = st.integers(300, 3_000)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    return Lattice.anchored(draw(SIDES), draw(ANCHORS), Bps(draw(WIDTHS)), draw(LEVELS), Bps(500))


@given(lattices(), st.integers(-3_000, 3_000))
def test_a_point_is_the_anchor_times_a_power_of_the_ratio(lattice: Lattice, offset: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = lattice.anchor_fine * Decimal(2) ** (Decimal(offset * lattice.step) / ONE)
        assert exact - exact / 10**25 - 1 <= lattice.price_fine(ORIGIN + offset) <= exact


@given(lattices(), st.integers(-2_000, 2_000))
def test_prices_rise_with_the_index_and_bids_round_down_and_asks_up(lattice: Lattice, offset: int) -> None:
    point = ORIGIN + offset
    fine, price = lattice.price_fine(point), int(lattice.price(point))
    assert fine < lattice.price_fine(point + 1) or fine < 10**6
    if lattice.side is Side.BID:
        assert price * FINE <= fine < (price + 1) * FINE
    else:
        assert (price - 1) * FINE < fine <= price * FINE


@given(lattices(), st.integers(-500, 500), st.integers(0, 400), st.sampled_from([1, 2, 3, 64, 200]))
def test_the_prices_of_many_points_are_those_of_each(
    lattice: Lattice, start: int, length: int, stride: int
) -> None:
    points = range(ORIGIN + start, ORIGIN + start + length, stride)
    assert lattice.prices(points) == [lattice.price(point) for point in points]


def test_no_index_can_be_taken_for_the_touch() -> None:
    lattice = Lattice.anchored(Side.BID, 10**9 * FINE, Bps(50), 6_400, Bps(1))
    assert lattice.first_at(1) > 0 > TOUCH


@given(lattices(), PER_MILLE, PER_MILLE)
def test_a_zone_holds_exactly_the_points_between_its_borders(lattice: Lattice, one: int, two: int) -> None:
    low, high = (lattice.anchor_fine * edge // 1_000 for edge in sorted((one, two)))
    zone = lattice.points_in(low, high)
    around = range(zone.start - 3, zone.stop + 3)
    inside = [point for point in around if low <= lattice.price_fine(point) < high]
    assert inside == list(zone)


@given(lattices(), PER_MILLE, PER_MILLE, st.integers(1, 200))
def test_the_stride_is_the_smallest_that_fits(lattice: Lattice, one: int, two: int, share: int) -> None:
    low, high = (lattice.anchor_fine * edge // 1_000 for edge in sorted((one, two)))
    zone = lattice.points_in(low, high)
    found = lattice.fitted(zone, share)
    prices = {int(lattice.price(point)) for point in found}
    assert len(prices) <= share
    if zone:
        assert found
        stride = found.step
        assert stride & (stride - 1) == 0
        assert stride == 1 or len(strided(zone, stride // 2)) > share


@given(lattices(), PER_MILLE, st.integers(1, 60), st.integers(4, 100))
def test_the_sets_are_nested_as_the_zone_slides(
    lattice: Lattice, low_mille: int, slide: int, share: int
) -> None:
    low = lattice.anchor_fine * low_mille // 1_000
    high, move = low * 5 // 4, low * slide // 1_000
    before = lattice.fitted(lattice.points_in(low, high), share)
    after = lattice.fitted(lattice.points_in(low + move, high + move), share)
    overlap = lattice.points_in(low + move, high)
    fine, coarse = sorted((before, after), key=lambda points: points.step)
    kept = [point for point in coarse if point in overlap]
    assert set(kept) <= set(fine)


@given(ANCHORS, WIDTHS, st.integers(2, 200).map(lambda half: 2 * half), SIDES)
def test_the_nominal_zone_uses_more_than_half_of_its_share(
    anchor: int, width: int, levels: int, side: Side
) -> None:
    lattice = Lattice.anchored(side, anchor, Bps(width), levels, Bps(500))
    if side is Side.BID:
        low, high = anchor * (10_000 - width) // 10_000, anchor * 10_500 // 10_000
    else:
        low, high = anchor * 10_000 // 10_500, anchor * (10_000 + width) // 10_000
    zone = lattice.points_in(low, high)
    assert levels - 2 <= len(zone) <= levels
    assert len(strided(zone, 2)) <= levels // 2


def test_fewer_ticks_than_levels_need_no_stride() -> None:
    lattice = Lattice.anchored(Side.BID, 50 * FINE, Bps(1_500), 320, Bps(500))
    zone = lattice.points_in(42 * FINE, 50 * FINE)
    assert {int(lattice.price(point)) for point in lattice.fitted(zone, 20)} == set(range(42, 50))
