"""The simulated chain: time, blockhashes, fees, rollback, bundles, history."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bmv.sandbox.account import Account, Invocation, ProgramError
from bmv.sandbox.blockhash import SlotClock
from bmv.sandbox.chain import bundle_id
from bmv.sandbox.ledger import SlotReport, UnknownCursor
from bmv.sandbox.transaction import Rejected, Undecodable, parse
from tests.sandbox.little_world import SOL, START_MS, World, keypair, pay, tip

PROGRAM = bytes(range(32))


def with_program(body: Callable[[Invocation], None]) -> World:
    world = World()
    world.chain.programs[PROGRAM] = body
    return world


def call(*keys: tuple[bytes, bool]) -> Instruction:
    metas = [AccountMeta(Pubkey(key), False, writable) for key, writable in keys]
    return Instruction(Pubkey(PROGRAM), b"", metas)


@given(st.integers(0, 2**32), st.integers(0, 5000))
def test_height_counts_the_slots_that_have_a_block(seed: int, start: int) -> None:
    clock = SlotClock(START_MS, 400, seed, start)
    for slot in range(start + 1, start + 60):
        assert clock.height(slot) - clock.height(slot - 1) == int(not clock.is_skipped(slot))
    assert any(clock.is_skipped(slot) for slot in range(start, start + 20))


def test_a_slot_without_a_block_is_never_the_newest() -> None:
    world = World()
    seen = set()
    for _ in range(50):
        world.pass_slots()
        assert not world.chain.clock.is_skipped(world.chain.slot)
        seen.add(world.chain.slot)
    assert len(seen) in (47, 48)


def test_two_chains_of_one_seed_give_the_same_hashes_and_another_seed_does_not() -> None:
    assert World(seed=1).chain.latest_blockhash() == World(seed=1).chain.latest_blockhash()
    assert World(seed=1).chain.latest_blockhash() != World(seed=2).chain.latest_blockhash()


def test_a_transaction_lands_in_the_next_slot_and_pays_its_fee() -> None:
    world = World()
    signature = world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), SOL)]))
    assert world.chain.next_due_ms() == START_MS + 400
    assert world.chain.run_due() == []
    world.pass_slots()
    landed = world.chain.ledger.get(signature)
    assert landed is not None
    assert landed.outcome.err is None
    assert world.lamports(world.bob) == 101 * SOL
    assert world.lamports(world.alice) == 99 * SOL - 5000
    assert world.chain.burnt_lamports == 5000


def test_the_priority_fee_is_price_times_limit_rounded_up() -> None:
    world = World()
    budget = [set_compute_unit_limit(1001), set_compute_unit_price(1500)]
    assert world.run(*budget, pay(world.alice, world.bob.pubkey(), 1)) is None
    assert world.chain.burnt_lamports == 5000 + 2


def test_a_failing_transaction_pays_and_changes_nothing_else() -> None:
    world = World()
    error = world.run(
        pay(world.alice, world.bob.pubkey(), SOL), pay(world.alice, world.bob.pubkey(), 999 * SOL)
    )
    assert error == {"InstructionError": [1, {"Custom": 1}]}
    assert world.lamports(world.alice) == 100 * SOL - 5000
    assert world.lamports(world.bob) == 100 * SOL
    assert world.is_balanced()


def test_an_expired_blockhash_never_lands() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), 1)])
    blockhash, last_height = world.chain.latest_blockhash()
    while world.chain.block_height() < last_height:
        assert world.chain.is_blockhash_valid(blockhash)
        world.pass_slots()
    world.pass_slots(2)
    assert not world.chain.is_blockhash_valid(blockhash)
    signature = world.chain.submit_transaction(raw)
    world.pass_slots(2)
    assert signature not in world.chain.ledger
    assert world.chain.burnt_lamports == 0


def test_a_blockhash_nobody_handed_out_is_not_found() -> None:
    world = World()
    signature = world.chain.submit_transaction(
        world.sign([pay(world.alice, world.bob.pubkey(), 1)], blockhash=str(world.bob.pubkey()))
    )
    world.pass_slots(2)
    assert signature not in world.chain.ledger


def test_the_same_transaction_lands_once() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), 1)])
    world.chain.submit_transaction(raw)
    world.chain.submit_transaction(raw)
    world.pass_slots()
    world.chain.submit_transaction(raw)
    world.pass_slots(3)
    assert world.chain.ledger.count == 1
    with pytest.raises(Rejected) as caught:
        world.chain.simulate(parse(raw))
    assert caught.value.error == "AlreadyProcessed"


def test_a_wrong_signature_is_refused() -> None:
    world = World()
    raw = bytearray(world.sign([pay(world.alice, world.bob.pubkey(), 1)]))
    raw[10] ^= 1
    with pytest.raises(Rejected) as caught:
        world.chain.submit_transaction(bytes(raw))
    assert caught.value.error == "SignatureFailure"


@pytest.mark.parametrize("legacy", [False, True])
def test_both_message_versions_are_read(legacy: bool) -> None:
    world = World()
    tx = parse(world.sign([pay(world.alice, world.bob.pubkey(), 1)], legacy=legacy))
    assert tx.version == (None if legacy else 0)
    assert tx.writable == (True, True, False)


@pytest.mark.parametrize("cut", [0, 1, 64, 120])
def test_truncated_bytes_are_undecodable(cut: int) -> None:
    world = World()
    with pytest.raises(Undecodable):
        parse(world.sign([pay(world.alice, world.bob.pubkey(), 1)])[:cut])


def test_trailing_bytes_and_too_many_bytes_are_undecodable() -> None:
    world = World()
    raw = world.sign([pay(world.alice, world.bob.pubkey(), 1)])
    with pytest.raises(Undecodable, match="trailing"):
        parse(raw + b"\0")
    with pytest.raises(Undecodable, match="1233 bytes"):
        parse(raw + bytes(1233 - len(raw)))


def test_more_than_64_instructions_are_refused() -> None:
    world = World()
    parse(world.sign([call()] * 64))
    with pytest.raises(Rejected, match="65 instructions"):
        parse(world.sign([call()] * 65))


def test_an_account_may_not_be_left_below_rent() -> None:
    world = World()
    poor = keypair(50).pubkey()
    assert world.run(pay(world.alice, poor, 890_879)) == {"InsufficientFundsForRent": {"account_index": 1}}
    assert world.run(pay(world.alice, poor, 890_880)) is None
    assert world.lamports(poor) == 890_880


def test_an_emptied_account_is_gone() -> None:
    world = World()
    everything = pay(world.bob, world.alice.pubkey(), 100 * SOL)
    assert world.run(everything, signers=[world.alice, world.bob]) is None
    assert world.chain.account(bytes(world.bob.pubkey())) is None
    assert world.is_balanced()


def test_a_payer_without_money_never_lands() -> None:
    world = World()
    pauper = keypair(51)
    signature = world.chain.submit_transaction(world.sign([pay(pauper, world.bob.pubkey(), 1)], pauper))
    world.pass_slots(2)
    assert signature not in world.chain.ledger


def test_a_program_may_not_write_a_read_only_account() -> None:
    def write(invocation: Invocation) -> None:
        invocation.accounts[0].account.data.append(1)

    bob = bytes(keypair(2).pubkey())
    assert with_program(write).run(call((bob, False))) == {"InstructionError": [0, "ReadonlyDataModified"]}


def test_a_program_may_not_make_lamports() -> None:
    def mint(invocation: Invocation) -> None:
        invocation.accounts[0].account.lamports += 1

    world = with_program(mint)
    bob = bytes(world.bob.pubkey())
    assert world.run(call((bob, True))) == {"InstructionError": [0, "UnbalancedInstruction"]}
    assert world.is_balanced()


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ProgramError("code", 7), {"Custom": 7}),
        (ProgramError("invalid", why="MissingRequiredSignature"), "MissingRequiredSignature"),
        (ProgramError("invalid", why="anything else"), "InvalidArgument"),
        (ProgramError("aborted"), "ProgramFailedToComplete"),
    ],
)
def test_the_ways_a_program_fails_have_names(failure: ProgramError, error: object) -> None:
    def fail(invocation: Invocation) -> None:
        invocation.accounts[0].account.lamports = 0
        raise failure

    world = with_program(fail)
    assert world.run(call((bytes(world.bob.pubkey()), True))) == {"InstructionError": [0, error]}
    assert world.lamports(world.bob) == 100 * SOL


def test_a_program_sees_the_time_of_its_slot_and_who_signed() -> None:
    seen: list[Invocation] = []
    world = with_program(seen.append)
    world.pass_slots(10)
    world.run(call((bytes(world.alice.pubkey()), False), (bytes(world.bob.pubkey()), False)))
    slot = world.chain.ledger.of_address(PROGRAM, world.chain.slot, 1)[0].slot
    assert seen[0].unix_timestamp == world.chain.block_time(slot)
    assert [ref.is_signer for ref in seen[0].accounts] == [True, False]
    assert [ref.is_writable for ref in seen[0].accounts] == [True, False]


def test_one_account_named_twice_is_one_object() -> None:
    seen: list[Invocation] = []
    world = with_program(seen.append)
    bob = bytes(world.bob.pubkey())
    world.run(call((bob, True), (bob, True)))
    assert seen[0].accounts[0].account is seen[0].accounts[1].account


def test_a_bundle_lands_whole_in_one_slot() -> None:
    world = World()
    # bob can pay only with what the first transaction of the bundle gives him
    first = world.sign([pay(world.alice, world.bob.pubkey(), 50 * SOL), tip(world.alice)])
    second = world.sign([pay(world.bob, world.carol.pubkey(), 140 * SOL)], world.bob)
    name = world.chain.submit_bundle([first, second])
    world.pass_slots(4)
    bundle = world.chain.bundles[name]
    assert bundle.state == "Landed"
    slots = {world.chain.ledger.get(tx.signature).slot for tx in bundle.transactions}  # type: ignore[union-attr]
    assert slots == {bundle.slot}
    assert world.lamports(world.carol) == 240 * SOL
    assert world.is_balanced()


def test_a_bundle_that_fails_costs_nothing_at_all() -> None:
    world = World()
    before = {key: account.lamports for key, account in world.chain.bank.accounts.items()}
    first = world.sign([pay(world.alice, world.bob.pubkey(), SOL), tip(world.alice)])
    second = world.sign([pay(world.bob, world.carol.pubkey(), 999 * SOL)], world.bob)
    name = world.chain.submit_bundle([first, second])
    world.pass_slots(5)
    assert world.chain.bundles[name].state == "Failed"
    assert {key: account.lamports for key, account in world.chain.bank.accounts.items()} == before
    assert world.chain.burnt_lamports == 0
    assert world.chain.ledger.count == 0


def test_a_bundle_needs_a_tip_and_at_most_five_transactions() -> None:
    world = World()
    with pytest.raises(Rejected, match="tip account"):
        world.chain.submit_bundle([world.sign([tip(world.alice, 999)])])
    raws = [world.sign([tip(world.alice, 1000 + extra)]) for extra in range(6)]
    with pytest.raises(Rejected, match="maximum number"):
        world.chain.submit_bundle(raws)
    with pytest.raises(Rejected, match="duplicate"):
        world.chain.submit_bundle([raws[0], raws[0]])
    assert world.chain.submit_bundle(raws[:5]) == bundle_id([parse(raw).signature for raw in raws[:5]])


def test_a_bundle_sent_to_two_regions_lands_once() -> None:
    world = World()
    raw = world.sign([tip(world.alice)])
    assert world.chain.submit_bundle([raw]) == world.chain.submit_bundle([raw])
    world.pass_slots(5)
    assert world.chain.ledger.count == 1
    with pytest.raises(Rejected, match="already processed"):
        world.chain.submit_bundle([raw])


def test_the_bundle_id_is_the_one_of_the_published_example() -> None:
    signatures = [
        "3bC2M9fiACSjkTXZDgeNAuQ4ScTsdKGwR42ytFdhUvikqTmBheUxfsR1fDVsM5ADCMMspuwGkdm1uKbU246x5aE3",
        "8t9hKYEYNbLvNqiSzP96S13XF1C2f1ro271Kdf7bkZ6EpjPLuDff1ywRy4gfaGSTubsM2FeYGDoT64ZwPm1cQUt",
    ]
    assert bundle_id(signatures) == "892b79ed49138bfb3aa5441f0df6e06ef34f9ee8f3976c15b323605bae0cf51d"


def test_bundles_land_one_to_three_slots_later() -> None:
    world = World()
    delays = set()
    for extra in range(40):
        sent = world.chain.slot
        name = world.chain.submit_bundle([world.sign([tip(world.alice, 1000 + extra)])])
        world.pass_slots(6)
        delays.add((world.chain.bundles[name].slot or 0) - sent)
    assert {1, 2, 3} <= delays <= {1, 2, 3, 4}  # 4: the slot it was due in had no block


def test_a_bundle_is_forgotten_after_five_minutes() -> None:
    world = World()
    name = world.chain.submit_bundle([world.sign([tip(world.alice)])])
    world.pass_slots(700)
    assert world.chain.bundle(name) is not None
    world.pass_slots(100)
    assert world.chain.bundle(name) is None


def test_listeners_hear_of_each_executed_slot_in_order() -> None:
    world = World()
    reports: list[SlotReport] = []
    world.chain.listeners.append(reports.append)
    for lamports in (1, 2):
        world.chain.submit_transaction(world.sign([pay(world.alice, world.bob.pubkey(), lamports)]))
    world.pass_slots(100)
    assert len(reports) == 1
    assert reports[0].changed_keys == [bytes(world.alice.pubkey()), bytes(world.bob.pubkey())]
    assert [landed.index for landed in reports[0].transactions] == [0, 1]


def test_a_listener_may_send_from_within_a_report() -> None:
    world = World()

    def answer(report: SlotReport) -> None:
        if world.chain.ledger.count < 3:
            world.chain.submit_transaction(
                world.sign([pay(world.alice, world.bob.pubkey(), world.chain.ledger.count)])
            )

    world.chain.listeners.append(answer)
    world.run(pay(world.alice, world.bob.pubkey(), 77))
    world.pass_slots(5)
    world.pass_slots(5)
    assert world.chain.ledger.count == 3


def test_the_recent_past_can_be_read() -> None:
    world = World()
    before = world.chain.slot
    world.run(pay(world.alice, world.bob.pubkey(), SOL))
    bob = bytes(world.bob.pubkey())
    old, new = world.chain.bank.account(bob, before), world.chain.bank.account(bob, world.chain.slot)
    assert (old and old.lamports, new and new.lamports) == (100 * SOL, 101 * SOL)


def test_history_is_newest_first_and_pages() -> None:
    world = World()
    for lamports in range(1, 8):
        world.run(pay(world.alice, world.bob.pubkey(), lamports))
    bob = bytes(world.bob.pubkey())
    everything = [landed.tx.signature for landed in world.chain.ledger.of_address(bob, world.chain.slot, 100)]
    assert len(everything) == 7
    page = world.chain.ledger.of_address(bob, world.chain.slot, 2, before=everything[1])
    assert [landed.tx.signature for landed in page] == everything[2:4]
    page = world.chain.ledger.of_address(bob, world.chain.slot, 100, until=everything[2])
    assert [landed.tx.signature for landed in page] == everything[:2]
    with pytest.raises(UnknownCursor):
        world.chain.ledger.of_address(bob, world.chain.slot, 100, until="unknown")


def test_old_records_are_forgotten() -> None:
    world = World(keep_slots=50)
    for lamports in range(1, 60):
        world.run(pay(world.alice, world.bob.pubkey(), lamports))
    records = world.chain.ledger.of_address(bytes(world.bob.pubkey()), world.chain.slot, 1000)
    assert 20 < len(records) < 30
    assert all(record.slot >= records[0].slot - 50 for record in records)
    assert world.chain.ledger.count == 59


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 120 * SOL)), max_size=12))
def test_no_lamport_appears_or_vanishes(payments: list[tuple[int, int, int]]) -> None:
    world = World()
    wallets = [world.alice, world.bob, world.carol]
    for source, destination, lamports in payments:
        payer = wallets[source]
        instructions = [pay(payer, wallets[destination].pubkey(), lamports), tip(payer)]
        raw = world.sign(instructions, payer)
        if lamports % 2:
            world.chain.submit_transaction(raw)
        else:
            world.chain.submit_bundle([raw])
        world.pass_slots(lamports % 3)
        assert world.is_balanced()
    world.pass_slots(5)
    assert world.is_balanced()
    assert all(account.lamports > 0 for account in world.chain.bank.accounts.values())


def test_a_read_account_is_never_changed_later() -> None:
    world = World()
    held = world.chain.account(bytes(world.bob.pubkey()))
    assert isinstance(held, Account)
    world.run(pay(world.alice, world.bob.pubkey(), SOL))
    assert held.lamports == 100 * SOL
