"""What every account of the program has in common: head padding, flags, tail padding.

A decoder names the flag words it accepts; anything else, or a broken frame, is ``BadBytes``.
"""

import struct
from collections.abc import Collection

from bmv.errors import BadBytes
from bmv.venue.openbook_v1.layouts import ACCOUNT_OVERHEAD, FLAGS_OFFSET, HEAD_PADDING, TAIL_PADDING

_FLAGS = struct.Struct("<Q")
_SHORTEST = ACCOUNT_OVERHEAD + _FLAGS.size


def read_flags(what: str, data: bytes) -> int:
    """Return the flag word of a well-framed account; raise BadBytes when the frame is broken."""
    if len(data) < _SHORTEST or (len(data) - ACCOUNT_OVERHEAD) % 8:
        raise BadBytes(what, f"{len(data)} bytes is not an account length")
    if not data.startswith(HEAD_PADDING):
        raise BadBytes(what, f"does not begin with {HEAD_PADDING!r}")
    if not data.endswith(TAIL_PADDING):
        raise BadBytes(what, f"does not end with {TAIL_PADDING!r}")
    flags: int = _FLAGS.unpack_from(data, FLAGS_OFFSET)[0]
    return flags


def check_flags(what: str, data: bytes, accepted: Collection[int]) -> int:
    """Return the flag word if it is one of ``accepted``; raise BadBytes otherwise."""
    flags = read_flags(what, data)
    if flags not in accepted:
        raise BadBytes(what, f"account flags {flags:#x}")
    return flags
