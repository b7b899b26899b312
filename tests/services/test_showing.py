"""What the page is shown, where no engine runs."""

from bmv.model import Side
from tests.bench.page import ORDERS_EACH, WALLETS, moving


def test_every_order_is_shown_and_each_look_tells_what_has_become_of_the_price() -> None:
    source = moving()
    first, second = source.view(), source.view()
    assert len(first.ladder) == WALLETS * ORDERS_EACH
    assert {rung.side for rung in first.ladder} == {side.name.lower() for side in Side}
    assert first.price != second.price
