"""What is said of a bundle that nobody has seen: dead once nothing of it can land, and not before."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bmv.chain.rpc import AccountImage, AccountsAt, Commitment, HeightAt, SignatureStatus, StatusesAt
from bmv.events import BundleResolved
from bmv.model import BundleCost, Outcome
from bmv.sandbox.clock import LoopClock
from bmv.sandbox.genesis import clock_data
from bmv.services.outcomes import AGAIN_EVERY_MS, Outcomes, Sent
from bmv.units import BlockHeight, Lamports, Slot
from bmv.venue.system import SYSTEM_PROGRAM
from tests.services.living_world import virtually

UNTIL, LAST_VALID = 2_000_000_000, BlockHeight(900)


@dataclass
class Node:
    """A node, or several behind one address, that say what they are told to."""

    seconds: int = UNTIL
    clock_slot: int = 500
    signatures_slot: int = 600
    height: int = 800
    height_slot: int = 500
    landed: bool = False
    knows_from: int = 0
    confirmation: Commitment = "confirmed"
    asked: list[str] = field(default_factory=list)

    async def accounts(self, _keys: object) -> AccountsAt:
        """Return the clock."""
        self.asked.append("clock")
        data = clock_data(self.clock_slot, 0, self.seconds)
        return AccountsAt(Slot(self.clock_slot), [AccountImage(Lamports(1), SYSTEM_PROGRAM, data)])

    async def block_height(self, _commitment: object) -> HeightAt:
        """Return the height."""
        self.asked.append("height")
        return HeightAt(Slot(self.height_slot), BlockHeight(self.height))

    async def signature_statuses(self, signatures: list[str], search_history: bool = False) -> StatusesAt:
        """Return what became of them all, as far as this node, or that many of them, know it."""
        self.asked.append("signatures")
        knows = self.landed and self.asked.count("signatures") > self.knows_from
        status = SignatureStatus(Slot(490), None, self.confirmation) if knows else None
        return StatusesAt(Slot(self.signatures_slot), [status] * len(signatures))


def watched(node: Node, **about: Any) -> tuple[list[Outcome], int]:
    """Return what is told of a bundle within ten seconds, and how often it was sent again."""
    told, resends = told_of(node, **about)
    return [one.outcome for one in told], resends


def told_of(node: Node, **about: Any) -> tuple[list[BundleResolved], int]:
    """Return all that is told of a bundle within ten seconds, and how often it was sent again."""

    async def scenario(clock: LoopClock) -> tuple[list[BundleResolved], int]:
        told: list[BundleResolved] = []

        async def again(_sent: Sent) -> None:
            """Take it, and lose it."""

        outcomes = Outcomes(cast(Any, node), clock, told.append, again, lambda _: node.seconds)
        sent = Sent("id", (1,), [b""], ["signature"], LAST_VALID, BundleCost(), clock.now(), **about)
        outcomes.watch(sent)
        watching = asyncio.create_task(outcomes.run())
        await asyncio.sleep(10)
        watching.cancel()
        return told, sent.resends

    return virtually(scenario)


def test_a_placement_that_the_clock_has_passed_is_dead() -> None:
    assert watched(Node(seconds=UNTIL + 1), until=UNTIL)[0] == [Outcome.EXPIRED]


def test_in_the_very_second_of_its_max_ts_a_placement_may_still_land() -> None:
    assert watched(Node(seconds=UNTIL), until=UNTIL)[0] == []


@pytest.mark.parametrize("behind", [0, 1, 100])
def test_a_node_that_does_not_know_the_slot_of_the_clock_yet_proves_nothing(behind: int) -> None:
    node = Node(seconds=UNTIL + 100, clock_slot=600 + behind)
    assert watched(node, until=UNTIL)[0] == []


@pytest.mark.parametrize(("places", "margin"), [(True, 1), (False, 32)])
def test_a_node_that_lags_behind_the_one_that_told_the_height_proves_nothing(
    places: bool, margin: int
) -> None:
    node = Node(height=int(LAST_VALID) + 1, signatures_slot=500 + margin - 1)
    until = UNTIL if places else None
    assert watched(node, until=until)[0] == []
    node.signatures_slot += 1
    assert watched(node, until=until)[0] == [Outcome.EXPIRED]


def test_with_its_death_is_told_where_it_died() -> None:
    (by_clock,), _ = told_of(Node(seconds=UNTIL + 1, clock_slot=520), until=UNTIL)
    assert by_clock.slot == 520
    (by_height,), _ = told_of(Node(height=int(LAST_VALID) + 1, height_slot=530), withdraws=True)
    assert by_height.slot == 530


def test_what_has_landed_though_a_node_on_a_dead_fork_denied_it_is_told_for_what_it_cost() -> None:
    node = Node(seconds=UNTIL + 1, landed=True, knows_from=2)
    (dead, landed), _ = told_of(node, until=UNTIL)
    assert (dead.outcome, dead.tickets) == (Outcome.EXPIRED, (1,))
    assert (landed.outcome, landed.tickets, landed.slot) == (Outcome.LANDED, (), Slot(490))


@pytest.mark.parametrize("confirmation", ["processed", "confirmed", "finalized"])
def test_a_placement_that_has_landed_is_never_called_dead(confirmation: Commitment) -> None:
    told, _ = watched(Node(seconds=UNTIL + 1, landed=True, confirmation=confirmation), until=UNTIL)
    assert told == ([] if confirmation == "processed" else [Outcome.LANDED])


def test_what_places_nothing_outlives_every_clock_and_dies_with_its_blockhash() -> None:
    node = Node(seconds=UNTIL + 1_000)
    assert watched(node, withdraws=True)[0] == []
    assert "clock" not in node.asked
    dead = Node(height=int(LAST_VALID) + 1)
    assert watched(dead, withdraws=True)[0] == [Outcome.EXPIRED]


def test_a_guess_that_the_clock_has_passed_costs_a_look_and_decides_nothing() -> None:
    async def scenario(clock: LoopClock) -> list[str]:
        node, told = Node(seconds=UNTIL - 30), list[BundleResolved]()

        async def again(_sent: Sent) -> None:
            """Take it, and lose it."""

        outcomes = Outcomes(cast(Any, node), clock, told.append, again, lambda _: UNTIL + 1)
        about = Sent("id", (1,), [b""], ["signature"], LAST_VALID, BundleCost(), clock.now(), until=UNTIL)
        outcomes.watch(about)
        watching = asyncio.create_task(outcomes.run())
        await asyncio.sleep(5)
        watching.cancel()
        assert told == []
        return node.asked

    assert "clock" in virtually(scenario)


def test_near_its_end_a_blockhash_is_watched_at_every_poll() -> None:
    far, near = Node(height=100), Node(height=int(LAST_VALID) - 5)
    watched(far, withdraws=True)
    watched(near, withdraws=True)
    assert far.asked.count("height") <= 3
    assert near.asked.count("height") >= 20


def test_cancels_are_sent_again_as_long_as_they_can_land_and_placements_a_few_times() -> None:
    assert watched(Node(), until=UNTIL)[1] == 3
    assert watched(Node(), withdraws=True)[1] == 10_000 // int(AGAIN_EVERY_MS)
