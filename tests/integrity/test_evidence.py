"""What a suspicion consists of: without one of the musts there is none."""

import numpy as np
import polars as pl
import pytest

from bmv.integrity import evidence
from bmv.integrity.evidence import FLAG_ABOVE, Group
from bmv.integrity.reading import tape_of
from bmv.integrity.scan import Findings, scan

Trade = tuple[str, str, float]
CROWD: list[Trade] = [
    (f"stranger{number}", f"person{number % 17}", 3.0 * 2 ** (number % 9)) for number in range(60)
]
RING: list[Trade] = [("a", "b", 10.0), ("b", "c", 10.0), ("c", "a", 10.0)]


def searched(*trades: Trade, crowd: bool = True) -> Findings:
    everything = [*trades, *(CROWD if crowd else [])]
    columns = list(zip(*everything, strict=True))
    table = pl.DataFrame({"seller": columns[0], "buyer": columns[1], "size": columns[2]})
    return scan(tape_of(table.with_columns(price=pl.lit(1.0)).with_row_index("seq"), "test"))


def only(findings: Findings) -> Group:
    (group,) = findings.groups
    return group


def part(group: Group, name: str) -> float:
    return next(one.value for one in group.parts if one.name == name)


def test_a_ring_is_told_with_its_parts() -> None:
    group = only(searched(*RING * 3))
    assert (group.kind, group.accounts, group.flagged) == ("ring", ("a", "b", "c"), True)
    assert [one.name for one in group.parts] == ["closed", "returned", "repeated", "alike", "rhythm", "order"]
    assert all(part(group, name) == 1 for name in ("closed", "returned", "alike", "rhythm", "order"))
    assert list(group.rows) == list(range(9))


def test_trades_with_the_whole_market_are_no_ring() -> None:
    meets = [("a", f"person{number}", 7.0) for number in range(12)]
    group = only(searched(*RING * 3, *meets))
    assert part(group, "closed") < FLAG_ABOVE
    assert not group.flagged


def test_what_does_not_come_back_is_no_ring() -> None:
    group = only(searched(*[("a", "b", 10.0)] * 9, ("b", "a", 10.0)))
    assert part(group, "returned") == pytest.approx(0.2)
    assert not group.flagged


@pytest.mark.parametrize(("trades", "flagged"), [(4, False), (5, True)])
def test_four_trades_are_never_enough(trades: int, flagged: bool) -> None:
    back_and_forth = [("a", "b", 10.0), ("b", "a", 10.0)] * 3
    assert only(searched(*back_and_forth[:trades])).flagged is flagged


def test_one_trade_with_oneself_is_enough() -> None:
    group = only(searched(("a", "a", 1.0)))
    assert (group.kind, group.score, list(group.rows)) == ("self", 1.0, [0])


def test_the_few_people_of_a_small_market_are_no_ring() -> None:
    # A maker and three takers who buy and sell: everybody there is.
    takers = [("maker", f"taker{k}", 5.0) for k in range(3)] + [(f"taker{k}", "maker", 5.0) for k in range(3)]
    assert not searched(*takers * 6, crowd=False).flagged


def test_a_maker_and_the_one_who_trades_most_with_him_are_no_pair() -> None:
    regular = [("maker", "regular", 5.0), ("regular", "maker", 5.0)] * 10
    others = [("maker", f"once{k}", 5.0) for k in range(30)]
    assert not searched(*regular, *others).flagged


def test_where_nobody_else_trades_all_habits_must_speak() -> None:
    to_and_fro = [("a", "b", 5.0), ("b", "a", 5.0)] * 5
    group = only(searched(*to_and_fro, crowd=False))
    assert group.flagged
    assert group.parts[0].says == "nobody else trades here, so all of this must speak: rhythm, order, even"
    bunches = [("a", "b", 5.0)] * 5 + [("b", "a", 5.0)] * 5
    assert part(only(searched(*bunches, crowd=False)), "closed") == 0


def test_prices_that_move_for_one_of_them_are_trade() -> None:
    sellers, buyers = np.array([0, 1] * 5), np.array([1, 0] * 5)
    # 0 sells at the ask and buys at the bid; then both sell higher each time; then nothing moves.
    assert evidence.even(sellers, buyers, np.array([1.01, 1.0] * 5)).value < 0.2
    assert evidence.even(sellers, buyers, 1.01 ** np.arange(10.0)).value == pytest.approx(1)
    assert evidence.even(sellers, buyers, np.ones(10)).value == 1


def test_habits_alone_do_not_make_a_suspicion() -> None:
    never = evidence.score(
        (evidence.repeated(3), evidence.closed(0.1, 0.1)), (evidence.rhythm(np.arange(9.0)),)
    )
    assert never == 0


def test_every_part_and_score_is_between_0_and_1() -> None:
    rng = np.random.default_rng(4)
    people = [f"p{k}" for k in range(6)]
    for _ in range(50):
        trades = [(*rng.choice(people, 2, replace=False), float(rng.lognormal(0, 2))) for _ in range(20)]
        for group in searched(*trades).groups:
            assert all(0 <= one.value <= 1 for one in group.parts)
            assert 0 <= group.score <= 1
