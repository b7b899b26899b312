"""Answers of a swap service that has been taken over: each an honest answer with one thing changed in it.

Every one of them would cost the taker money, or could; none of them must ever be signed.
"""

import base64
import copy
import struct
from collections.abc import Callable

from solders.pubkey import Pubkey

from bmv.sandbox.wire import Json

THIEF = "2vxsx9bLUxGNcXMN5bQXKzPnQ3vYkZD5S8rT7o7YzCwh"
SYSTEM = "11111111111111111111111111111111"
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
_AMOUNT_AT, _QUOTED_AT, _SLIPPAGE_AT, _FEE_AT = 8, 16, 24, 26


def _call(program: str, accounts: list[tuple[str, bool]], data: bytes) -> Json:
    metas = [{"pubkey": key, "isSigner": signs, "isWritable": True} for key, signs in accounts]
    return {"programId": program, "accounts": metas, "data": base64.b64encode(data).decode()}


def _taker(answer: Json) -> str:
    return str(answer["swapInstruction"]["accounts"][0]["pubkey"])


def _payment(answer: Json) -> Json:
    accounts = [(_taker(answer), True), (THIEF, False)]
    return _call(SYSTEM, accounts, struct.pack("<IQ", 2, 1_000_000_000))


def extra_transfer(answer: Json) -> None:
    """Pay somebody before the swap."""
    answer["setupInstructions"].append(_payment(answer))


def later_transfer(answer: Json) -> None:
    """Pay somebody after the swap."""
    answer["otherInstructions"].append(_payment(answer))


def cleanup_to_a_thief(answer: Json) -> None:
    """Close the wrapped account into another wallet."""
    wrapped = answer["swapInstruction"]["accounts"][1]["pubkey"]
    accounts = [(wrapped, False), (THIEF, False), (_taker(answer), True)]
    answer["cleanupInstruction"] = _call(TOKEN, accounts, b"\x09")


def a_tip(answer: Json) -> None:
    """Ask for a tip."""
    answer["tipInstruction"] = _payment(answer)


def other_destination(answer: Json) -> None:
    """Send what is bought to somebody else's account."""
    answer["swapInstruction"]["accounts"][2]["pubkey"] = THIEF


def hidden_destination(answer: Json) -> None:
    """Name somebody else's account as the second destination."""
    answer["swapInstruction"]["accounts"][7]["pubkey"] = THIEF


def other_source(answer: Json) -> None:
    """Spend from an account that is not the taker's for it."""
    answer["swapInstruction"]["accounts"][1]["pubkey"] = THIEF


def other_mint(answer: Json) -> None:
    """Buy another token than was asked for, in the instruction alone."""
    answer["swapInstruction"]["accounts"][4]["pubkey"] = THIEF


def other_mint_in_words(answer: Json) -> None:
    """Buy another token than was asked for, in words alone."""
    answer["outputMint"] = THIEF


def other_token_program(answer: Json) -> None:
    """Move the tokens by a program that only looks like the token program."""
    answer["swapInstruction"]["accounts"][5]["pubkey"] = THIEF


def account_for_a_thief(answer: Json) -> None:
    """Have the taker pay for somebody else's token account."""
    answer["setupInstructions"][0]["accounts"][2]["pubkey"] = THIEF


def other_program(answer: Json) -> None:
    """Call a program that only looks like the swap's."""
    answer["swapInstruction"]["programId"] = THIEF


def other_instruction(answer: Json) -> None:
    """Call another function of the program."""
    _rewrite(answer, 0, "<Q", 12_345)


def larger_amount(answer: Json) -> None:
    """Spend twice of what was asked for."""
    _rewrite(answer, _AMOUNT_AT, "<Q", 2 * int(answer["inAmount"]))


def no_guarantee(answer: Json) -> None:
    """Let the swap bring next to nothing."""
    _rewrite(answer, _SLIPPAGE_AT, "<H", 9_999)


def low_quote(answer: Json) -> None:
    """Hold the program to a tenth of the amount that is told."""
    _rewrite(answer, _QUOTED_AT, "<Q", int(answer["outAmount"]) // 10)


def a_fee(answer: Json) -> None:
    """Take a fee of one percent."""
    _rewrite(answer, _FEE_AT, "<H", 100)


def absurd_compute_price(answer: Json) -> None:
    """Burn the taker's SOL as priority fee."""
    data = b"\x03" + struct.pack("<Q", 10**12)
    answer["computeBudgetInstructions"] = [_call(COMPUTE_BUDGET, [], data)]


def absurd_compute_limit(answer: Json) -> None:
    """Ask for more compute than a transaction can have."""
    data = b"\x02" + struct.pack("<I", 2**32 - 1)
    answer["computeBudgetInstructions"] = [_call(COMPUTE_BUDGET, [], data)]


def huge_accounts_list(answer: Json) -> None:
    """Name more accounts than any transaction can."""
    accounts = answer["swapInstruction"]["accounts"]
    accounts += [copy.deepcopy(accounts[-1]) for _ in range(150)]


def expired_blockhash(answer: Json) -> None:
    """Be of yesterday."""
    answer["blockhashWithMetadata"]["lastValidBlockHeight"] = 1


def old_answer(answer: Json) -> None:
    """Be of an hour ago, with a blockhash that is said to hold."""
    answer["blockhashWithMetadata"]["fetchedAt"]["secs_since_epoch"] -= 3_600


def another_signer(answer: Json) -> None:
    """Want another signature beside the taker's."""
    answer["swapInstruction"]["accounts"][-1]["isSigner"] = True


def lying_table(answer: Json) -> None:
    """Say that a lookup table holds something else than it does."""
    for addresses in answer["addressesByLookupTableAddress"].values():
        addresses[0], addresses[1] = addresses[1], addresses[0]


def unknown_table(answer: Json) -> None:
    """Name a lookup table that is not on the chain."""
    answer["addressesByLookupTableAddress"][THIEF] = [THIEF]


def many_tables(answer: Json) -> None:
    """Name more lookup tables than any transaction needs."""
    for number in range(12):
        key = str(Pubkey(bytes([100 + number]) * 32))
        answer["addressesByLookupTableAddress"][key] = [THIEF]


def bad_price(answer: Json) -> None:
    """Offer five percent less than the price, in words and data alike."""
    out = int(answer["outAmount"]) * 95 // 100
    answer["outAmount"] = str(out)
    answer["otherAmountThreshold"] = str(out * (10_000 - answer["slippageBps"]) // 10_000)
    _rewrite(answer, _QUOTED_AT, "<Q", out)


def _rewrite(answer: Json, at: int, form: str, value: int) -> None:
    data = bytearray(base64.b64decode(answer["swapInstruction"]["data"]))
    struct.pack_into(form, data, at, value)
    answer["swapInstruction"]["data"] = base64.b64encode(data).decode()


HOSTILE: tuple[Callable[[Json], None], ...] = (
    extra_transfer,
    later_transfer,
    cleanup_to_a_thief,
    a_tip,
    other_destination,
    hidden_destination,
    other_source,
    other_mint,
    other_mint_in_words,
    other_token_program,
    account_for_a_thief,
    other_program,
    other_instruction,
    larger_amount,
    no_guarantee,
    low_quote,
    a_fee,
    absurd_compute_price,
    absurd_compute_limit,
    huge_accounts_list,
    expired_blockhash,
    old_answer,
    another_signer,
    lying_table,
    unknown_table,
    many_tables,
    bad_price,
)
"""Everything a hostile service tries, in turn."""
