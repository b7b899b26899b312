"""Actions become transactions: limits of packet, bundle and program, checked on the signed bytes."""

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.sysvar import RENT
from solders.transaction import VersionedTransaction

from bmv.app.world import World, WorldOptions
from bmv.chain.jito import TIP_ACCOUNTS
from bmv.chain.message import AddressTable
from bmv.chain.transaction import sign, sign_all
from bmv.errors import InvariantBroken
from bmv.events import Execute
from bmv.keys.signer import InProcessSigner
from bmv.model import Cancel, Placement, Side
from bmv.services.accounts import WalletAccounts, market_keys
from bmv.services.building import (
    CRANK_EVENTS,
    Run,
    Step,
    Work,
    change_steps,
    crank_parts,
    crank_steps,
    events_of,
    own_crank_step,
    prepare_steps,
    settle_steps,
)
from bmv.services.packing import (
    MAX_BUNDLE,
    BundleDraft,
    Group,
    TablesOf,
    no_tables,
    pack_bundles,
    pack_transactions,
)
from bmv.units import BaseLots, Lamports, Ticks
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.openbook_v1.bodies import ConsumeEvents, ReplaceOrders
from bmv.venue.openbook_v1.calls import parse
from bmv.venue.openbook_v1.codec import QueueEvent, decode_market
from bmv.venue.openbook_v1.instructions import ORDER_BYTES
from bmv.venue.token import TOKEN_PROGRAM
from tests.services.living_world import START_MS, StillClock, accounts_of, image

WORLD = World(WorldOptions(wallets=4), StillClock(), idle_slots_told=False)
MARKET_IMAGE = image(WORLD, WORLD.market)
assert MARKET_IMAGE is not None
MARKET = market_keys(WORLD.market, OPENBOOK_V1, decode_market(MARKET_IMAGE.data))
WALLETS = accounts_of(WORLD)
SIGNER = InProcessSigner(WORLD.keypairs)
TIP = (TIP_ACCOUNTS[3], Lamports(10_000))
PAID = (TIP_ACCOUNTS[3], 10_000)
KEY = Pubkey.from_bytes(bytes([7]) * 32)
UNTIL = START_MS // 1000 + 20
TRANSFER = b"\x02\0\0\0"
REPLACE = b"\0\x14\0\0\0"
SYSTEM, COMPUTE_BUDGET = bytes(32), "ComputeBudget111111111111111111111111111111"

sides = st.sampled_from(list(Side))
cancels = st.lists(st.tuples(sides, st.integers(1, 128), st.booleans()), max_size=32)
places = st.lists(st.tuples(sides, st.integers(1, 10**6), st.integers(1, 10**6)), max_size=16)
changes = st.lists(st.tuples(cancels, places), min_size=1, max_size=4)


Leaving = list[tuple[Side, int, bool]]
Coming = list[tuple[Side, int, int]]


def change(ticket: int, leaving: Leaving, coming: Coming) -> Execute:
    """Make one wallet's change out of drawn numbers."""
    return Execute(
        ticket,
        ticket,
        tuple(
            Cancel(ticket, side, Ticks(price), price << 64 | 7, price if named else 0)
            for side, price, named in leaving
        ),
        tuple(
            Placement(ticket, side, 1, Ticks(price), BaseLots(size), number % 128 + 1)
            for number, (side, price, size) in enumerate(coming)
        ),
    )


def wire(bundle: BundleDraft) -> list[bytes]:
    """Build and sign a bundle as the dispatcher does."""
    return [
        sign(
            draft.message(draft.units, TIP if draft is bundle.drafts[-1] else None, bytes(32)),
            SIGNER,
        )
        for draft in bundle.drafts
    ]


def instructions_of(raw: bytes) -> list[tuple[Pubkey, bytes, list[Pubkey]]]:
    """Parse a transaction with the reference library: program, data and accounts of each instruction."""
    message = VersionedTransaction.from_bytes(raw).message
    assert isinstance(message, MessageV0)
    keys = message.account_keys
    return [
        (keys[one.program_id_index], bytes(one.data), [keys[index] for index in one.accounts])
        for one in message.instructions
    ]


def tip_of(raw: bytes) -> list[tuple[Pubkey, int]]:
    """Return the transfers of a transaction to tip accounts."""
    return [
        (accounts[1], int.from_bytes(data[4:12], "little"))
        for program, data, accounts in instructions_of(raw)
        if bytes(program) == SYSTEM and data[:4] == TRANSFER and accounts[1] in TIP_ACCOUNTS
    ]


def plain(instruction: Instruction) -> tuple[Pubkey, bytes, list[Pubkey]]:
    """Return what ``instructions_of`` would say of an instruction."""
    metas = [meta.pubkey for meta in instruction.accounts]
    return instruction.program_id, bytes(instruction.data), metas


def flat(work: Sequence[Work]) -> list[Step]:
    """Return the instructions a change would be if nothing had to be cut."""
    steps: list[Step] = []
    for one in work:
        rest: Run | None = one if isinstance(one, Run) else None
        steps += [] if isinstance(one, Run) else [one]
        while rest is not None:
            steps.append(rest.part(0, 8))
            rest = rest.after(8)
    return steps


def one_by_one(
    instructions: list[tuple[Pubkey, bytes, list[Pubkey]]],
) -> list[tuple[Pubkey, bytes, list[Pubkey]]]:
    """Take instructions of several orders apart, so that it does not matter where they were cut."""
    parts = []
    for program, data, accounts in instructions:
        if program == OPENBOOK_V1 and data[:5] == REPLACE:
            orders = [data[at : at + ORDER_BYTES] for at in range(13, len(data), ORDER_BYTES)]
            assert int.from_bytes(data[5:13], "little") == len(orders) <= 8
            parts += [(program, order, accounts) for order in orders]
        else:
            parts.append((program, data, accounts))
    return parts


def check_bundles(groups: list[Group], bundles: list[BundleDraft]) -> None:
    """Check every promise of packing on the signed bytes."""
    tickets = [ticket for bundle in bundles for ticket in bundle.tickets]
    assert tickets == [group.ticket for group in groups]
    by_ticket = {group.ticket: group for group in groups}
    for bundle in bundles:
        raws = wire(bundle)
        assert 1 <= len(raws) <= MAX_BUNDLE
        carried = []
        for number, raw in enumerate(raws):
            assert len(raw) <= 1_232
            found = instructions_of(raw)
            assert len(found) <= 64
            assert str(found[0][0]) == COMPUTE_BUDGET
            assert int.from_bytes(found[0][1][1:5], "little") <= 1_400_000
            is_last = number == len(raws) - 1
            assert tip_of(raw) == ([PAID] if is_last else [])
            carried += found[1:-1] if is_last else found[1:]
        wanted = [plain(s.instruction) for ticket in bundle.tickets for s in flat(by_ticket[ticket].work)]
        assert one_by_one(carried) == one_by_one(wanted)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_changes_of_any_shape_stay_whole_in_order_and_within_every_limit(
    drawn: list[tuple[Leaving, Coming]],
) -> None:
    groups = []
    for number, (leaving, coming) in enumerate(drawn):
        steps = change_steps(change(number, leaving, coming), WALLETS[number], MARKET, WORLD.spec, UNTIL)
        if steps:
            groups.append(Group(number, steps))
    check_bundles(groups, pack_bundles(groups, TIP))


@pytest.mark.parametrize("first", Side)
def test_cancels_come_before_placements_and_the_side_of_the_first_placement_before_the_other(
    first: Side,
) -> None:
    other = first.opposite
    action = change(
        0,
        [(Side.ASK, 5, True), (Side.BID, 6, False)],
        [(first, 12_100, 1), (other, 11_900, 1), (first, 12_200, 1)],
    )
    steps = flat(change_steps(action, WALLETS[0], MARKET, WORLD.spec, UNTIL))
    tags = [bytes(step.instruction.data)[1] for step in steps]
    payers = [WALLETS[0].quote in [meta.pubkey for meta in step.instruction.accounts] for step in steps]
    assert len(steps) == 4
    assert tags[2] == tags[3]
    assert payers[2:] == [first is Side.BID, first is Side.ASK]


def test_placements_die_after_the_time_they_are_given() -> None:
    steps = flat(change_steps(change(0, [], [(Side.BID, 11_900, 1)]), WALLETS[0], MARKET, WORLD.spec, UNTIL))
    assert UNTIL.to_bytes(8, "little") in bytes(steps[0].instruction.data)


def test_a_change_that_needs_more_than_one_bundle_is_refused() -> None:
    steps = [step for wallet in WALLETS[:1] for _ in range(300) for step in settle_steps(wallet, MARKET)]
    with pytest.raises(InvariantBroken, match="a bundle takes 5"):
        pack_bundles([Group(1, steps)], TIP)


def test_steps_of_one_kind_fit_together_with_those_of_others() -> None:
    groups = [
        Group(number, prepare_steps(wallet, MARKET, Lamports(10**9), Lamports(10**7)))
        for number, wallet in enumerate(WALLETS)
    ]
    groups += [Group(number + 10, settle_steps(wallet, MARKET)) for number, wallet in enumerate(WALLETS)]
    check_bundles(groups, pack_bundles(groups, TIP))


def event(owner: int, is_fill: bool, seq: int) -> QueueEvent:
    """Make a waiting event of one of many owners."""
    return QueueEvent(seq, seq, 1 if is_fill else 2, 0, 0, 0, 0, 0, 0, bytes([owner + 1]) * 32, 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=90))
def test_a_crank_covers_a_front_of_the_queue_with_all_its_owners_and_never_13_fills(
    waiting: list[tuple[int, bool]],
) -> None:
    front = [event(owner, is_fill, seq) for seq, (owner, is_fill) in enumerate(waiting)]
    parts = list(crank_parts(front))
    assert [one for part in parts for one in part] == front
    steps = crank_steps(parts[0] if parts else (), WALLETS[0].owner, MARKET)
    if not front:
        assert steps == []
        return
    limits = [int.from_bytes(bytes(step.instruction.data)[5:7], "little") for step in steps]
    covered = sum(limits)
    assert 1 <= covered <= min(len(front), CRANK_EVENTS)
    assert all(1 <= limit <= 12 for limit in limits)
    for step in steps:
        named = {bytes(meta.pubkey) for meta in step.instruction.accounts}
        assert {one.owner for one in front[:covered]} <= named
    check_bundles([Group(1, steps)], pack_bundles([Group(1, steps)], TIP))
    if covered < len(front) and covered < CRANK_EVENTS:
        assert front[covered].owner not in {one.owner for one in front[:covered]}


@settings(max_examples=60, deadline=None)
@given(changes, st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=90))
def test_no_instruction_has_a_limit_of_0_and_cranks_name_each_account_once_in_the_programs_order(
    drawn: list[tuple[Leaving, Coming]], waiting: list[tuple[int, bool]]
) -> None:
    front = [event(owner, is_fill, seq) for seq, (owner, is_fill) in enumerate(waiting)]
    steps = [step for part in crank_parts(front) for step in crank_steps(part, KEY, MARKET)]
    for number, (leaving, coming) in enumerate(drawn):
        action = change(number, leaving, coming)
        steps += flat(change_steps(action, WALLETS[number], MARKET, WORLD.spec, UNTIL))
    accounts = [wallet.open_orders for wallet in WALLETS[: len(drawn)]]
    steps.append(own_crank_step([*accounts, accounts[0]], 7, KEY, MARKET))
    for call in [parse(step.instruction) for step in steps]:
        if isinstance(call.body, ReplaceOrders):
            assert all(order.limit >= 1 for order in call.body.orders)
        elif isinstance(call.body, ConsumeEvents):
            assert call.body.limit >= 1
            # As the program compares keys: four little-endian words.
            words = [struct.unpack("<4Q", bytes(key)) for key in call.open_orders]
            assert words == sorted(set(words))


def test_the_compute_limit_of_a_transaction_is_that_of_its_steps() -> None:
    rng = random.Random(4)
    steps = [
        Step.of(WALLETS[0].owner, step.instruction, rng.randint(1_000, 300_000))
        for wallet in WALLETS[:1]
        for _ in range(12)
        for step in settle_steps(wallet, MARKET)
    ]
    (bundle,) = pack_bundles([Group(1, steps)], TIP)
    assert sum(draft.units - 450 for draft in bundle.drafts) == sum(step.units for step in steps)
    assert all(draft.units <= 1_400_000 for draft in bundle.drafts)


def test_an_order_that_gives_its_id_to_a_placement_needs_no_cancel_of_its_own() -> None:
    leaving: Leaving = [(Side.BID, 1, True), (Side.BID, 2, True), (Side.BID, 77, True)]
    action = change(0, leaving, [(Side.BID, 11_900, 1), (Side.BID, 11_800, 1)])
    steps = flat(change_steps(action, WALLETS[0], MARKET, WORLD.spec, UNTIL))
    cancel, replace = (bytes(step.instruction.data) for step in steps)
    assert list(struct.unpack("<Q", cancel[5:13])) == [77]
    assert replace[:5] == REPLACE
    assert len(steps[1].instruction.accounts) == 12


MANY_KEYS = [Keypair.from_seed(number.to_bytes(32, "big")) for number in range(100)]
MANY = [WalletAccounts.of(keypair.pubkey(), MARKET) for keypair in MANY_KEYS]
MANY_SIGNER = InProcessSigner(MANY_KEYS)
SHARED = [
    MARKET.market,
    MARKET.request_queue,
    MARKET.event_queue,
    MARKET.bids,
    MARKET.asks,
    MARKET.base_vault,
    MARKET.quote_vault,
    TOKEN_PROGRAM,
    RENT,
]


def table_of(wallets: Sequence[WalletAccounts]) -> TablesOf:
    """Return one lookup table for the market and these wallets."""
    own = [key for wallet in wallets for key in (wallet.open_orders, wallet.base, wallet.quote)]
    table = AddressTable(bytes(KEY), [bytes(key) for key in [*SHARED, *own]])
    return lambda _: (table,)


def rebuilt(number: int, bids: int, asks: int) -> Group:
    """Replace every order of a wallet: each placement takes over an id."""
    sides = [Side.BID] * bids + [Side.ASK] * asks
    action = Execute(
        number,
        number,
        tuple(Cancel(number, side, Ticks(9), 9 << 64 | n, n + 1) for n, side in enumerate(sides)),
        tuple(
            Placement(number, side, 1, Ticks(1_000 + n), BaseLots(5), n + 1) for n, side in enumerate(sides)
        ),
    )
    steps = change_steps(action, MANY[number], MARKET, WORLD.spec, UNTIL)
    return Group(number, steps, (MANY[number].open_orders,), events_of(action))


def own_crank(groups: Sequence[Group], payer: Pubkey) -> list[Step]:
    """End a bundle with a crank of its own events."""
    accounts = [account for group in groups for account in group.touched]
    return [own_crank_step(accounts, sum(group.events for group in groups), payer, MARKET)]


def sizes(bundle: BundleDraft) -> list[int]:
    """Return the bytes of each signed transaction of a bundle."""
    messages = [
        draft.message(draft.units, TIP if draft is bundle.drafts[-1] else None, bytes(32))
        for draft in bundle.drafts
    ]
    return [len(raw) for raw in sign_all(messages, MANY_SIGNER)]


@pytest.mark.parametrize("bids", range(33))
def test_32_orders_of_a_wallet_take_two_transactions_with_a_table_and_three_without(bids: int) -> None:
    group = rebuilt(0, bids, 32 - bids)
    assert len(pack_transactions(group.work, table_of(MANY[:80]))) == 2
    assert len(pack_transactions(group.work, no_tables)) == 3
    for tables_of, most in ((table_of(MANY[:80]), 3), (no_tables, 4)):
        (bundle,) = pack_bundles([group], TIP, tables_of, own_crank)
        assert len(bundle.drafts) <= most
        assert max(sizes(bundle)) <= 1_232


@pytest.mark.parametrize("bids", [0, 7, 16, 26, 32])
def test_3200_orders_of_100_wallets_take_50_bundles_with_their_cranks_and_tips(bids: int) -> None:
    first, second = table_of(MANY[:80]), table_of(MANY[80:])
    in_first = {wallet.owner for wallet in MANY[:80]}
    groups = [rebuilt(number, bids, 32 - bids) for number in range(100)]
    bundles = pack_bundles(
        groups, TIP, lambda payer: first(payer) if payer in in_first else second(payer), own_crank
    )
    assert len(bundles) == 50
    assert sum(len(bundle.drafts) for bundle in bundles) == 250
    assert [ticket for bundle in bundles for ticket in bundle.tickets] == list(range(100))
    for bundle in bundles:
        assert max(sizes(bundle)) <= 1_232
        crank = bundle.drafts[-1].steps[-1].instruction
        assert bytes(crank.data)[1] == 3
        assert {MANY[ticket].open_orders for ticket in bundle.tickets} <= {m.pubkey for m in crank.accounts}


@pytest.mark.parametrize("tables_of", [no_tables, table_of(MANY[:80])])
@pytest.mark.parametrize("wallets", [1, 2])
def test_a_part_of_the_queue_is_cranked_before_what_a_bundle_pushes_however_many_it_names(
    tables_of: TablesOf, wallets: int
) -> None:
    (part, _) = crank_parts([event(n % 40, is_fill=False, seq=n) for n in range(16)] + [event(40, False, 16)])
    groups = [rebuilt(number, 8, 8) for number in range(wallets)]

    def crank(own: Sequence[Group], payer: Pubkey) -> list[Step]:
        return [*crank_steps(part, payer, MARKET), *own_crank(own, payer)]

    (bundle,) = pack_bundles(groups, TIP, tables_of, crank)
    tags = [bytes(step.instruction.data)[1] for step in bundle.drafts[-1].steps]
    assert tags[-3:] == [3, 3, 3]
    assert max(sizes(bundle)) <= 1_232


def test_a_small_change_its_crank_and_the_tip_are_one_transaction() -> None:
    (bundle,) = pack_bundles([rebuilt(0, 2, 1)], TIP, crank_of=own_crank)
    (draft,) = bundle.drafts
    assert [bytes(step.instruction.data)[1] for step in draft.steps] == [20, 20, 3]


def test_a_tip_that_does_not_fit_takes_work_with_it_into_one_more_transaction() -> None:
    steps = change_steps(
        change(0, [], [(Side.BID, 1_000 + n, 1) for n in range(11)]), WALLETS[0], MARKET, WORLD.spec, UNTIL
    )
    assert len(pack_transactions(steps, no_tables)) == 1
    groups = [Group(1, steps)]
    bundles = pack_bundles(groups, TIP)
    assert [len(bundle.drafts) for bundle in bundles] == [2]
    check_bundles(groups, bundles)
