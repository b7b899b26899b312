"""Account data in answers: hundreds of kilobytes of base64 in a few hundred bytes of JSON.

The long texts are taken out before the JSON is parsed, and only what an account did not hold the last time is
decoded. In the place of a text stands its number behind a sign that base64 does not have; whoever sends such
a sign names another text of the same answer, or none.
"""

from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

LONG = 1024
"""Bytes of a text that is worth taking out."""
REMEMBERED_ACCOUNTS = 512
_SIGN = "#"


def set_aside(body: bytes) -> tuple[bytes, list[str]]:
    """Return JSON with a number in the place of each long text, and the texts.

    What holds a backslash stays (there a quote may be part of a text), and what is not ASCII.
    """
    parts: list[bytes] = []
    texts: list[str] = []
    kept = last = 0
    while (quote := body.find(b'"', last + 1)) >= 0:
        if quote - last > LONG and body.find(b"\\", last, quote) < 0:
            text = body[last + 1 : quote]
            if text.isascii():
                parts += body[kept : last + 1], b"%s%d" % (_SIGN.encode(), len(texts))
                texts.append(text.decode("ascii"))
                kept = quote
        last = quote
    return b"".join([*parts, body[kept:]]), texts


class Payloads:
    """What each account held last, as text and as bytes."""

    def __init__(self) -> None:
        self._last: dict[Pubkey, tuple[str, bytes]] = {}

    def data(self, key: Pubkey, coded: str, texts: Sequence[str]) -> bytes:
        """Return an account's data, ``coded`` or set aside; ValueError or IndexError where it is neither."""
        text = texts[int(coded[1:])] if coded.startswith(_SIGN) else coded
        known = self._last.get(key)
        if known is not None and known[0] == text:
            return known[1]
        if len(self._last) >= REMEMBERED_ACCOUNTS:
            self._last.clear()
        data = _decoded(text)
        self._last[key] = (text, data)
        return data


def _decoded(text: str) -> bytes:
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError as error:
        raise ValueError("not base64") from error
