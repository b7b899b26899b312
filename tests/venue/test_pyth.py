"""Pyth's accounts: addresses against published ones, bytes laid out by hand, and what is no price."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from bmv.errors import BadBytes
from bmv.venue.pyth import EUR_USD, RECEIVER_OF, SOL_USD, decode_price_update, price_account


def image(
    price: int = 14_747_893_407, *, level: bytes = b"\1", feed: bytes = SOL_USD, exponent: int = -8
) -> bytes:
    """Lay out an account field by field, as the receiver's documentation lists them."""
    data = bytes.fromhex("22f123639d7ef4cd") + bytes(32) + level + feed
    data += struct.pack("<q", price) + struct.pack("<Q", 7_800_000) + struct.pack("<i", exponent)
    data += struct.pack("<qq", 1_714_746_101, 1_714_746_100) + struct.pack("<qQ", 1, 2)
    return (data + struct.pack("<Q", 138_881_186)).ljust(134, b"\0")


def test_both_push_programs_keep_the_feeds_where_pyth_says() -> None:
    current, upgraded = RECEIVER_OF
    known = {
        (current, SOL_USD): "7UVimffxr9ow1uXYxsr4LHAcV58mLzhmwaeKvJ1pjLiE",
        (upgraded, SOL_USD): "7AviUf9nL62mcxNbQGKm4nKDQnPjswo6c5MX4D57HmyE",
        (current, EUR_USD): "Fu76ChamBDjE8UuGLV6GP2AcPPSU6gjhkNhAyuoPm7ny",
    }
    for (push, feed), address in known.items():
        assert price_account(push, feed) == Pubkey.from_string(address)


def test_a_fully_verified_price_is_read_in_millionths() -> None:
    update = decode_price_update(image(), SOL_USD)
    assert (update.micros, update.uncertainty) == (147_478_934, 78_000)
    assert (update.published, int(update.posted)) == (1_714_746_101, 138_881_186)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (image(level=b"\0\5")[:134], "partly"),
        (image(level=b"\2"), "level 2"),
        (image(feed=EUR_USD), "another feed"),
        (image(0), "price of 0"),
        (image(-5), "price of -5"),
        (image(exponent=3), "exponent"),
        (image(exponent=-40), "exponent"),
        (image()[:133], "133 bytes"),
        (bytes(134), "another kind"),
    ],
)
def test_what_is_no_sound_price_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(BadBytes, match=word):
        decode_price_update(data, SOL_USD)


@given(st.binary(min_size=134, max_size=134))
def test_random_bytes_are_never_a_price(data: bytes) -> None:
    with pytest.raises(BadBytes):
        decode_price_update(data, SOL_USD)
