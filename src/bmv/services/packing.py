"""Steps -> transactions -> bundles, as few as fit.

A group is what must land together (one wallet's change). Its steps go into as few transactions as the packet
size allows, never into two bundles; small groups share a bundle. The last transaction of a bundle carries the
tip, so room for it is kept in every transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bmv.chain.transaction import Tip, fits
from bmv.errors import InvariantBroken
from bmv.services.building import Step

MAX_BUNDLE = 5
MAX_UNITS = 1_400_000


@dataclass(slots=True)
class Draft:
    """One transaction before it has a blockhash."""

    payer: Pubkey
    instructions: list[Instruction] = field(default_factory=list)
    units: int = 450


@dataclass(frozen=True, slots=True)
class Group:
    """The steps of one ticket."""

    ticket: int
    steps: Sequence[Step]


@dataclass(slots=True)
class BundleDraft:
    """The transactions of one bundle and the tickets they serve."""

    tickets: list[int] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)


def pack_transactions(steps: Sequence[Step], tip: Tip) -> list[Draft]:
    """Fill transactions greedily, in order; raise InvariantBroken for a step that fits none."""
    drafts: list[Draft] = []
    for step in steps:
        last = drafts[-1] if drafts and drafts[-1].payer == step.payer else None
        if last is None or not _joins(last, step, tip):
            last = Draft(step.payer)
            drafts.append(last)
            if not _joins(last, step, tip):
                raise InvariantBroken("one instruction alone is larger than a transaction")
        last.instructions.append(step.instruction)
        last.units += step.units
    return drafts


def _joins(draft: Draft, step: Step, tip: Tip) -> bool:
    units = draft.units + step.units
    return units <= MAX_UNITS and fits(draft.payer, [*draft.instructions, step.instruction], units, tip)


def pack_bundles(groups: Sequence[Group], tip: Tip) -> list[BundleDraft]:
    """Put groups into bundles of at most five transactions, in order; a group is never split.

    Raises InvariantBroken for a group that needs more than one bundle: the plan bounds a wallet's change.
    """
    bundles: list[BundleDraft] = []
    for group in groups:
        drafts = pack_transactions(group.steps, tip)
        if len(drafts) > MAX_BUNDLE:
            raise InvariantBroken(
                f"ticket {group.ticket} needs {len(drafts)} transactions; a bundle takes {MAX_BUNDLE}"
            )
        if not bundles or len(bundles[-1].drafts) + len(drafts) > MAX_BUNDLE:
            bundles.append(BundleDraft())
        bundles[-1].tickets.append(group.ticket)
        bundles[-1].drafts += drafts
    return bundles
