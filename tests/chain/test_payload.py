"""Long texts taken out of JSON: whatever the JSON, what is read from it stays the same."""

import base64
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.chain.payload import LONG, REMEMBERED_ACCOUNTS, Payloads, set_aside

KEY = Pubkey(bytes(31) + b"\1")
LONG_TEXTS = st.binary(min_size=LONG, max_size=3 * LONG).map(lambda raw: base64.b64encode(raw).decode())
TEXTS = st.text(max_size=20) | LONG_TEXTS | st.text('a"\\\n', min_size=LONG, max_size=2 * LONG)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def put_back(value: object, texts: list[str]) -> object:
    """Return a value with every text that was set aside in its place again."""
    if isinstance(value, dict):
        return {put_back(name, texts): put_back(inner, texts) for name, inner in value.items()}
    if isinstance(value, list):
        return [put_back(inner, texts) for inner in value]
    if isinstance(value, str) and value.startswith("#") and value[1:].isdigit():
        return texts[int(value[1:])]
    return value


@given(value=VALUES, spaced=st.booleans())
def test_what_was_set_aside_put_back_is_the_whole_answer(value: object, spaced: bool) -> None:
    body = json.dumps(value, indent=1 if spaced else None).encode()
    rest, texts = set_aside(body)
    assert put_back(orjson.loads(rest), texts) == value
    assert all(len(text) >= LONG for text in texts)


def test_a_long_text_of_base64_leaves_a_short_answer() -> None:
    coded = base64.b64encode(bytes(10_000)).decode()
    rest, texts = set_aside(json.dumps({"data": [coded, "base64"]}).encode())
    assert rest == b'{"data": ["#0", "base64"]}'
    assert texts == [coded]


def test_an_answer_cut_off_in_a_long_text_stays_cut_off() -> None:
    body = json.dumps({"data": ["A" * 5_000, "base64"]}).encode()[:3_000]
    assert set_aside(body) == (body, [])


@given(raw=st.binary(max_size=3 * LONG))
def test_data_are_decoded_alike_in_the_answer_or_set_aside(raw: bytes) -> None:
    coded = base64.b64encode(raw).decode()
    assert Payloads().data(KEY, coded, []) == raw
    assert Payloads().data(KEY, "#0", [coded]) == raw


def test_the_same_text_is_the_same_data_and_another_text_is_not() -> None:
    payloads, texts = Payloads(), [base64.b64encode(bytes([n]) * LONG).decode() for n in range(2)]
    first = payloads.data(KEY, "#0", texts)
    assert payloads.data(KEY, "#0", ["".join(list(texts[0]))]) is first
    assert payloads.data(KEY, "#1", texts) == b"\1" * LONG
    assert payloads.data(KEY, "#0", texts) == b"\0" * LONG


def test_what_is_remembered_is_bounded() -> None:
    payloads = Payloads()
    for number in range(REMEMBERED_ACCOUNTS + 2):
        payloads.data(Pubkey(number.to_bytes(32, "big")), "AAAA", [])
    assert len(payloads._last) == 2


@pytest.mark.parametrize("coded", ["#0", "#x", "#", "#-2", "A A="])
def test_what_names_no_text_or_is_no_base64_is_refused(coded: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        Payloads().data(KEY, coded, [])


def test_a_long_text_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        Payloads().data(KEY, "#0", ["A" * 1_001 + "!" * 3])
