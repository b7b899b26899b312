"""Whatever address a person gives, it is named for what it is; only plain OpenBook v1 markets are taken."""

import csv
import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.venue.market import OPENBOOK_V2, SERUM_V3, SYSTEM_PROGRAM, MarketKind, closed_reason, detect
from bmv.venue.openbook_v1.addresses import OPENBOOK_V1
from bmv.venue.token import TOKEN_PROGRAM

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "accounts"
ADDRESS, OTHER = Pubkey.new_unique(), Pubkey.new_unique()
FLAGS = struct.Struct("<Q")
PLAIN, PERMISSIONED, CRANKED, DISABLED, CLOSED = 3, 0x203, 0x603, 131, 259


def market(flags: int = PLAIN, *, own: Pubkey = ADDRESS, size: int = 388) -> bytes:
    """Lay out a market's account by hand: flags, its own address, lot sizes."""
    data = bytearray(size)
    data[:5], data[-7:] = b"serum", b"padding"
    FLAGS.pack_into(data, 5, flags)
    data[13:45] = bytes(own)
    FLAGS.pack_into(data, 349, 1_000)
    FLAGS.pack_into(data, 357, 10)
    return bytes(data)


def part(flags: int, size: int) -> bytes:
    return b"serum" + FLAGS.pack(flags) + bytes(size - 20) + b"padding"


@pytest.mark.parametrize(
    ("owner", "data", "kind", "words"),
    [
        (OPENBOOK_V1, market(), MarketKind.OPENBOOK_V1, "is an OpenBook v1 market"),
        (OPENBOOK_V1, market(PERMISSIONED, size=1476), MarketKind.PERMISSIONED, "must sign"),
        (OPENBOOK_V1, market(CRANKED, size=1476), MarketKind.PERMISSIONED, "not support"),
        (OPENBOOK_V1, market(DISABLED), MarketKind.DISABLED, "disabled"),
        (OPENBOOK_V1, market(CLOSED), MarketKind.CLOSED, "closed"),
        (SERUM_V3, market(), MarketKind.SERUM_V3, "Serum v3"),
        (OPENBOOK_V2, bytes.fromhex("dbbed53700e3c69a") + bytes(840), MarketKind.OPENBOOK_V2, "v1 only"),
        (OPENBOOK_V2, bytes.fromhex("482ce18db2826139") + bytes(90_944), MarketKind.NO_MARKET, "book side"),
        (OTHER, market(), MarketKind.FOREIGN, "unknown program"),
        (OPENBOOK_V1, market(own=OTHER), MarketKind.NO_MARKET, "a copy of"),
        (OPENBOOK_V1, market(size=396), MarketKind.NO_MARKET, "broken"),
        (OPENBOOK_V1, part(5, 3228), MarketKind.NO_MARKET, "an OpenOrders account of market"),
        (OPENBOOK_V1, part(33, 14_524), MarketKind.NO_MARKET, "a book of bids"),
        (OPENBOOK_V1, part(17, 11_308), MarketKind.NO_MARKET, "an event queue"),
        (SYSTEM_PROGRAM, b"", MarketKind.NO_MARKET, "a wallet"),
        (TOKEN_PROGRAM, bytes(82), MarketKind.NO_MARKET, "a token's mint"),
        (TOKEN_PROGRAM, bytes(165), MarketKind.NO_MARKET, "a token account"),
        (OTHER, bytes(500), MarketKind.NO_MARKET, str(OTHER)),
        (None, b"", MarketKind.NO_MARKET, "nothing exists"),
    ],
)
def test_what_is_there_is_named(owner: Pubkey | None, data: bytes, kind: MarketKind, words: str) -> None:
    found = detect(ADDRESS, owner, data)
    assert (found.kind, found.is_supported) == (kind, kind is MarketKind.OPENBOOK_V1)
    assert words in found.message
    assert str(ADDRESS) in found.message


@given(st.sampled_from([OPENBOOK_V1, OPENBOOK_V2, SERUM_V3, TOKEN_PROGRAM, OTHER]), st.binary(max_size=500))
def test_no_bytes_make_detection_raise_and_none_of_them_is_a_market(owner: Pubkey, data: bytes) -> None:
    assert not detect(ADDRESS, owner, data).is_supported


@given(st.integers(0, 387), st.integers(1, 255))
def test_a_market_with_one_byte_changed_never_makes_detection_raise(at: int, change: int) -> None:
    data = bytearray(market())
    data[at] ^= change
    found = detect(ADDRESS, OPENBOOK_V1, bytes(data))
    assert found.message


@pytest.mark.parametrize(
    ("flags", "words"),
    [(PLAIN, ""), (PERMISSIONED, ""), (DISABLED, "disabled"), (CLOSED, "closed"), (1, "closed")],
)
def test_a_market_says_why_it_takes_no_orders(flags: int, words: str) -> None:
    reason = closed_reason(market(flags))
    assert words in reason
    assert bool(reason) is bool(words)


def test_bytes_without_a_frame_are_no_reason_at_all() -> None:
    with pytest.raises(BadBytes):
        closed_reason(bytes(388))


def test_real_accounts_are_named_for_what_they_are() -> None:
    if not DATA.is_dir():
        pytest.skip("the recorded accounts (shared/data/accounts) are not here")
    with (DATA / "INDEX.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pubkey"] and row["program"]]
    kinds: dict[str, set[MarketKind]] = {}
    for row in rows:
        data = gzip.decompress((DATA / f"{row['name']}.bin.gz").read_bytes())
        found = detect(Pubkey.from_string(row["pubkey"]), Pubkey.from_string(row["program"]), data)
        kinds.setdefault(f"{row['role']} {row['program'][:4]}", set()).add(found.kind)
    assert kinds.pop("market 9xQe") == {MarketKind.SERUM_V3}
    assert kinds.pop("market srmq", {MarketKind.OPENBOOK_V1}) == {MarketKind.OPENBOOK_V1}
    assert set().union(*kinds.values()) == {MarketKind.NO_MARKET}
