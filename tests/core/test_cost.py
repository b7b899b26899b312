"""The estimate against the packing that really builds the transactions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bmv.core.cost import FEE_PER_TRANSACTION, Estimate, estimate
from bmv.core.plan import Plan, WalletPlan
from bmv.events import Execute
from bmv.model import Cancel, Placement, Side
from bmv.services.building import change_steps, events_of
from bmv.services.packing import Group, no_tables, pack_bundles
from bmv.services.signing import LAMPORTS_PER_SIGNATURE
from bmv.units import BaseLots, Lamports, Ticks
from tests.core.belongings import market
from tests.services.test_building import MARKET, TIP, UNTIL, WALLETS, own_crank, table_of

counts = st.tuples(st.integers(0, 32), st.integers(0, 32), st.integers(0, 32)).filter(
    lambda each: sum(each) > 0 and each[1] + each[2] <= 32
)


def plan_of(changes: list[tuple[int, int, int]], kept: int = 0) -> Plan:
    """Return a plan of so many cancels, bids and asks per wallet."""
    plan = Plan(kept)
    for wallet, (cancels, bids, asks) in enumerate(changes):
        change = WalletPlan(wallet)
        change.cancels = [Cancel(wallet, Side.BID, Ticks(n), n << 64, n) for n in range(1, cancels + 1)]
        sides = [Side.BID] * bids + [Side.ASK] * asks
        change.places = [
            Placement(wallet, side, 1, Ticks(n), BaseLots(n), n) for n, side in enumerate(sides, 1)
        ]
        plan.wallets.append(change)
    return plan


def group_of(change: WalletPlan) -> Group:
    """Return the real instructions of a change."""
    action = Execute(change.wallet, change.wallet, tuple(change.cancels), tuple(change.places))
    wallet = WALLETS[change.wallet]
    work = change_steps(action, wallet, MARKET, market(), UNTIL)
    return Group(change.wallet, work, (wallet.open_orders,), events_of(action))


@settings(deadline=None)
@given(st.lists(counts, max_size=len(WALLETS)), st.integers(0, 10**6), st.booleans())
def test_transactions_bundles_tips_and_fees_are_those_the_packing_makes(
    changes: list[tuple[int, int, int]], tip: int, with_table: bool
) -> None:
    plan = plan_of(changes, kept=7)
    tables_of, served = (table_of(WALLETS), range(len(WALLETS))) if with_table else (no_tables, ())
    bundles = pack_bundles([group_of(change) for change in plan.wallets], TIP, tables_of, own_crank)
    transactions = sum(len(bundle.drafts) for bundle in bundles)
    assert estimate(plan, Lamports(tip), served) == Estimate(
        kept=7,
        cancels=sum(each[0] for each in changes),
        places=sum(each[1] + each[2] for each in changes),
        transactions=transactions,
        bundles=len(bundles),
        tips=Lamports(tip * len(bundles)),
        fees=Lamports(LAMPORTS_PER_SIGNATURE * transactions),
    )


def test_a_plan_that_changes_nothing_costs_nothing() -> None:
    found = estimate(Plan(12), Lamports(10_000))
    assert (found.kept, found.transactions, found.cost) == (12, 0, Lamports(0))


def test_one_wallet_replacing_eight_bids_takes_one_transaction_and_one_tip() -> None:
    found = estimate(plan_of([(8, 8, 0)]), Lamports(10_000))
    assert (found.transactions, found.bundles) == (1, 1)
    assert found.cost == Lamports(10_000) + FEE_PER_TRANSACTION
