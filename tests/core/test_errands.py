"""What the treasury's wallet does: one thing at a time, never twice, and what it leaves in the books."""

from itertools import pairwise
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.errands import errand
from bmv.core.limits import approve
from bmv.core.state import InFlight
from bmv.events import (
    AnyAction,
    BundleResolved,
    Collect,
    Convert,
    Converted,
    Fund,
    MarketSeen,
    OracleSeen,
    Report,
    Tick,
    TreasurySeen,
)
from bmv.model import Conversion, Direction, ForeignBook, Outcome, Rule
from bmv.units import Lamports, MicroUsd, Slot, Ticks, UsdPerSol
from tests.core.belongings import SOL, later, quoting_state, settings, wallet

USD = 1_000_000
HOUR = 3_600_000
BOOK = ForeignBook(Ticks(11_950), Ticks(12_050), Ticks(11_950), Ticks(12_050), 1, 1)
BUY = Conversion(Rule.DAMPER, Direction.BUY_SOL, MicroUsd(900 * USD), Lamports(10 * SOL), "why")


K = TypeVar("K", Convert, Fund, Collect)


class Desk:
    """An engine with a treasury, and a clock."""

    def __init__(self, usdc: int = 5_000, sol: int = 0, **keys: object) -> None:
        self.settings: Settings = settings(**keys)
        self.state = quoting_state([wallet(0), wallet(1, sol=60 * SOL)], book=BOOK)
        self.ms = 0
        self.slot = 100
        held = TreasurySeen(at=later(0), sol=Lamports(sol * SOL), usdc=MicroUsd(usdc * USD), acts=True)
        decide(self.state, held, self.settings)
        # What quotes the wallets place is another matter.
        self.state.in_flight.clear()

    def tick(self, wait: int, sol_usd: int | None = None) -> list[AnyAction]:
        """Let time pass, tell what a SOL costs, and return what is asked for."""
        self.ms += wait
        at = later(self.ms)
        self.state.seen_at = at
        actions: list[AnyAction] = []
        if sol_usd is not None:
            actions += self.told(OracleSeen(at=at, sol_usd=UsdPerSol(sol_usd * USD)))
        self.slot += 1
        self.ms += 6_000
        self.state.seen_at = later(self.ms)
        return [*actions, *self.told(Tick(at=later(self.ms), slot=Slot(self.slot)))]

    def told(self, event: object) -> list[AnyAction]:
        """Tell the engine something and return the treasury's part of the answer."""
        _, approved = decide(self.state, event, self.settings)  # type: ignore[arg-type]
        kept = (Convert, Fund, Collect, Report)
        return [action for action in approved.actions if isinstance(action, kept)]

    def resolved(self, ticket: int, outcome: Outcome) -> list[AnyAction]:
        """End a bundle."""
        return self.told(
            BundleResolved(
                at=later(self.ms), bundle_id="b", tickets=(ticket,), outcome=outcome, slot=Slot(self.slot)
            )
        )

    def read(self) -> list[AnyAction]:
        """Show the chain again, nothing new in it."""
        self.slot += 1
        return self.told(MarketSeen(at=later(self.ms), slot=Slot(self.slot), book=BOOK))

    def fallen(self) -> Convert:
        """Let SOL fall, so that the damper asks for a conversion, and return it."""
        self.tick(0, 100)
        return the(Convert, self.tick(24 * HOUR, 90))


def the(kind: type[K], actions: list[AnyAction]) -> K:
    """Return the one action of a kind."""
    (found,) = [action for action in actions if isinstance(action, kind)]
    return found


def none(kind: type[Convert | Fund], actions: list[AnyAction]) -> bool:
    """Say whether nothing of a kind is asked for."""
    return not any(isinstance(action, kind) for action in actions)


def test_a_conversion_is_asked_for_once_and_not_again_before_it_is_known_what_it_brought() -> None:
    desk = Desk()
    convert = desk.fallen()
    assert (convert.conversion.rule, convert.conversion.direction) == (Rule.DAMPER, Direction.BUY_SOL)
    assert none(Convert, desk.tick(HOUR, 88))
    desk.resolved(convert.ticket, Outcome.LANDED)
    desk.read()
    # It has landed and was seen, but what it brought is not read back yet.
    assert none(Convert, desk.tick(HOUR, 88))
    told = desk.told(
        Converted(at=later(desk.ms), ticket=convert.ticket, sol=Lamports(9 * SOL), usdc=MicroUsd(-900 * USD))
    )
    (report,) = [action for action in told if isinstance(action, Report)]
    assert (report.name, report.fields["sol"], report.fields["usdc"]) == (
        "FIAT_INJECTION", 9 * SOL, 900 * USD,
    )  # fmt: skip
    assert the(Convert, desk.read()).ticket != convert.ticket
    assert convert.ticket not in desk.state.in_flight


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.EXPIRED])
def test_what_came_to_nothing_is_tried_again_later_and_later_and_harms_no_wallet(outcome: Outcome) -> None:
    desk = Desk()
    convert, waited = desk.fallen(), []
    for _ in range(4):
        desk.resolved(convert.ticket, outcome)
        desk.read()
        failed_at = desk.ms
        tries = (desk.tick(4_000, 90) for _ in range(500))
        again = next(the(Convert, actions) for actions in tries if not none(Convert, actions))
        assert again.ticket != convert.ticket
        waited.append(desk.ms - failed_at)
        convert = again
    assert 60_000 <= waited[0] <= 80_000
    assert all(after > 1.7 * before for before, after in pairwise(waited))
    assert desk.state.guards.failures.cycles == 0
    assert not desk.state.failed


def test_sol_that_was_bought_goes_to_the_wallets_that_have_less() -> None:
    desk = Desk()
    convert = desk.fallen()
    desk.resolved(convert.ticket, Outcome.LANDED)
    desk.read()
    desk.told(Converted(at=later(desk.ms), ticket=convert.ticket, sol=Lamports(8 * SOL), usdc=MicroUsd(-1)))
    desk.told(TreasurySeen(at=later(desk.ms), sol=Lamports(8 * SOL), usdc=MicroUsd(0), acts=True))
    fund = the(Fund, desk.read())
    assert [(share.wallet, int(share.lamports), share.is_gas) for share in fund.shares] == [
        (1, 8 * SOL, False)
    ]
    desk.resolved(fund.ticket, Outcome.LANDED)
    desk.told(TreasurySeen(at=later(desk.ms), sol=Lamports(0), usdc=MicroUsd(0), acts=True))
    desk.read()
    assert desk.state.treasury.unshared == Lamports(0)
    assert none(Fund, desk.tick(1_000))


def test_a_wallet_below_half_its_gas_floor_is_topped_up_before_anything_else() -> None:
    desk = Desk(sol=3)
    poor = desk.state.views[1]
    desk.state.views[1] = msgspec.structs.replace(poor, gas=Lamports(SOL * 4 // 10))
    fund = the(Fund, desk.tick(0))
    assert [(s.wallet, int(s.lamports), s.is_gas) for s in fund.shares] == [(1, SOL * 6 // 10, True)]
    assert none(Fund, desk.tick(60_000))


def sold(desk: Desk, proceeds: int) -> None:
    """Let asks have brought in SOL, and P stand at the top of the channel."""
    desk.state.flow.proceeds = Lamports(proceeds * SOL)
    desk.state.oracle.on_price(later(desk.ms), UsdPerSol(100 * USD))


@given(st.integers(0, 30), st.integers(1, 40))
def test_to_sell_more_than_it_has_it_collects_from_the_richest_wallet(has: int, sells: int) -> None:
    desk = Desk(sol=has)
    due = Conversion(
        Rule.UPPER, Direction.SELL_SOL, MicroUsd(sells * 100 * USD), Lamports(sells * SOL), "why"
    )
    (action,) = errand(desk.state, due, desk.settings)
    if has >= sells:
        assert isinstance(action, Convert)
        assert action.conversion == due
    else:
        assert isinstance(action, Collect)
        assert (action.wallet, int(action.lamports)) == (0, (sells - has) * SOL)


def test_what_was_sold_uses_up_proceeds() -> None:
    desk = Desk(sol=50)
    sold(desk, 30)
    due = Conversion(Rule.UPPER, Direction.SELL_SOL, MicroUsd(1_000 * USD), Lamports(10 * SOL), "why")
    desk.state.in_flight[99] = InFlight(99, Convert(99, due), None, later(0), landed=Slot(100))
    told = desk.told(Converted(at=later(1), ticket=99, sol=Lamports(-10 * SOL), usdc=MicroUsd(999 * USD)))
    assert desk.state.flow.proceeds == Lamports(20 * SOL)
    assert [report.name for report in told if isinstance(report, Report)] == ["FIAT_RESERVE"]


def test_while_nothing_may_be_placed_the_treasury_sends_nothing_either() -> None:
    desk = Desk()
    desk.tick(0, 100)
    desk.state.spend(Lamports(10 * SOL), later(24 * HOUR))
    desk.ms = 24 * HOUR
    assert none(Convert, desk.tick(0, 90))
    assert not approve([Convert(1, BUY)], desk.state, desk.settings).actions
    assert desk.state.memory.asked_at is None


def test_a_treasury_that_cannot_act_is_asked_for_nothing_but_told_of() -> None:
    desk = Desk()
    decide(desk.state, TreasurySeen(at=later(0), sol=Lamports(0), usdc=MicroUsd(5_000 * USD)), desk.settings)
    desk.tick(0, 100)
    actions = desk.tick(24 * HOUR, 90)
    assert none(Convert, actions)
    assert "CONVERSION_DUE" in {report.name for report in actions if isinstance(report, Report)}


def test_a_price_that_is_not_firm_converts_nothing() -> None:
    desk = Desk()
    desk.tick(0, 100)
    desk.ms = 24 * HOUR
    desk.state.seen_at = later(desk.ms)
    desk.told(OracleSeen(at=later(desk.ms), sol_usd=UsdPerSol(90 * USD), firm=False))
    assert none(Convert, desk.tick(0))
    assert not none(Convert, desk.tick(0, 90))
