"""Decisions become rows: orders with the way they ended, balances by the hour, transfers; nothing twice."""

from bmv.core.state import State, Treasury, new_state
from bmv.events import AnyAction, Collect, EventsFound, Execute, Fund, MarketSeen, Tick
from bmv.model import Cancel, Fill, ForeignBook, LiveOrder, Share, Side, WalletView
from bmv.services.chronicle import TREASURY, Chronicle
from bmv.state.rows import Batch, OrderEnd
from bmv.state.statements import HOUR_MS
from bmv.units import BaseAtoms, BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks
from tests.core.belongings import market

NOW = 1_767_225_600_000
NAMES = ("first", "second")


def order(order_id: int, size: int) -> LiveOrder:
    return LiveOrder(0, Side.BID, Ticks(5), BaseLots(size), order_id, 1)


def fill(seq: int, order_id: int, size: int) -> Fill:
    nothing = Lamports(0)
    return Fill(seq, Millis(NOW), 0, Side.BID, Ticks(5), BaseLots(size), True, nothing, nothing, order_id, 1)


def view(wallet: int, *orders: LiveOrder) -> WalletView:
    some, atoms = Lamports(10 + wallet), BaseAtoms(7)
    return WalletView(wallet, some, some, some, some, atoms, atoms, atoms, some, some, 100, True, orders)


def belief() -> State:
    return new_state(market(), len(NAMES), Millis(NOW))


def seen(*orders: LiveOrder, at: int = NOW, fills: tuple[Fill, ...] = ()) -> MarketSeen:
    return MarketSeen(
        at=Millis(at), slot=Slot(1), book=ForeignBook(), wallets=(view(0, *orders),), fills=fills
    )


def ends(batch: Batch) -> list[OrderEnd]:
    return sorted(batch.ends, key=lambda end: end.order_id)


def test_an_order_ends_filled_cancelled_or_gone_and_keeps_the_size_it_began_with() -> None:
    chronicle, state = Chronicle(NAMES, Millis(NOW)), belief()
    first = chronicle.told(seen(order(1, 9), order(2, 9), order(3, 9)), (), state)
    assert [(row.order_id, row.size, row.wallet) for row in first.orders] == [
        (n, 9, "first") for n in (1, 2, 3)
    ]
    partly = chronicle.told(seen(order(1, 4), order(2, 9), order(3, 9), fills=(fill(7, 1, 5),)), (), state)
    assert (partly.orders, partly.ends, len(partly.fills)) == ([], [], 1)
    cancels = (Cancel(0, Side.BID, Ticks(5), 2, 1),)
    chronicle.told(Tick(at=Millis(NOW), slot=Slot(1)), [Execute(1, 0, cancels, ())], state)
    last = chronicle.told(seen(at=NOW + 5, fills=(fill(8, 1, 4),)), (), state)
    assert ends(last) == [
        OrderEnd(1, NOW + 5, "filled", 9),
        OrderEnd(2, NOW + 5, "cancelled", 0),
        OrderEnd(3, NOW + 5, "gone", 0),
    ]


def test_an_order_that_nobody_saw_stand_ends_with_its_fills() -> None:
    batch = Chronicle(NAMES, Millis(NOW)).told(seen(fills=(fill(1, 4, 2), fill(2, 4, 3))), (), belief())
    assert ([row.order_id for row in batch.fills], batch.orders) == ([4, 4], [])
    assert ends(batch) == [OrderEnd(4, NOW, "filled", 5)]


def test_an_order_known_by_its_fills_alone_grows_once_it_is_seen_to_stand() -> None:
    before = Chronicle(NAMES, Millis(NOW)).told(seen(order(1, 5)), (), belief())
    later = Chronicle(NAMES, Millis(NOW + 1), before.orders, {1: 5})
    for _ in range(2):
        grown = later.told(seen(order(1, 4)), (), belief())
        assert ends(grown) == []
        before = Batch(orders=before.orders + grown.orders)
    assert [row.size for row in before.orders] == [5, 9]


def test_an_order_that_was_found_in_the_logs_ends_at_the_next_reading() -> None:
    chronicle = Chronicle(NAMES, Millis(NOW))
    chronicle.told(EventsFound(at=Millis(NOW), missed=1, complete=True, fills=(fill(1, 4, 2),)), (), belief())
    assert ends(chronicle.told(seen(), (), belief())) == [OrderEnd(4, NOW, "filled", 2)]


def test_a_new_run_ends_what_an_earlier_one_saw_standing() -> None:
    before = Chronicle(NAMES, Millis(NOW)).told(seen(order(1, 9)), (), belief())
    later = Chronicle(NAMES, Millis(NOW + 1), before.orders, {1: 5})
    after = later.told(seen(fills=(fill(9, 1, 4),)), (), belief())
    assert (after.orders, ends(after)) == ([], [OrderEnd(1, NOW, "filled", 9)])


def test_every_hour_has_one_snapshot_of_every_wallet_and_the_treasury() -> None:
    chronicle, state = Chronicle(NAMES, Millis(NOW)), belief()
    state.treasury = Treasury(Lamports(5), MicroUsd(6))
    rows = []
    for minute in range(0, 180, 7):
        if minute > 20:
            state.views = {wallet: view(wallet) for wallet in (0, 1)}
        rows += chronicle.told(Tick(at=Millis(NOW + minute * 60_000), slot=Slot(1)), (), state).balances
    hours = [NOW // HOUR_MS + hour for hour in range(3)]
    assert [(row.hour, row.wallet) for row in rows] == [
        (hour, name) for hour in hours for name in (*NAMES, TREASURY)
    ]
    assert (rows[0].gas, rows[1].gas, rows[2].gas, rows[2].usdc) == (10, 11, 5, 6)


def test_money_between_treasury_and_wallets_is_told_each_way() -> None:
    shares = (Share(0, Lamports(3)), Share(1, Lamports(4)))
    actions: list[AnyAction] = [Fund(7, shares), Collect(8, 1, Lamports(5))]
    batch = Chronicle(NAMES, Millis(NOW)).told(Tick(at=Millis(NOW), slot=Slot(1)), actions, belief())
    told = [(row.number, row.name, row.fields["source"], row.fields["target"]) for row in batch.events]
    assert told == [
        (1, "TRANSFER", TREASURY, "0"),
        (2, "TRANSFER", TREASURY, "1"),
        (3, "TRANSFER", "1", TREASURY),
    ]
