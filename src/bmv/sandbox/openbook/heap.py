"""The program's memory: 32 KiB handed out from the top and never given back.

It runs out in two places. ConsumeEvents aborts at its 13th or 14th Fill: every Fill logs two events, each
through a kilobyte of buffer. Prune aborts where one side gives more than 64 orders and the other more than
32. Sizes are those of the compiled program's runtime structures; what is too small to matter is left out.
"""

from bmv.sandbox.account import AccountRef
from bmv.sandbox.openbook.failure import panicked

_SIZE = 32 * 1024
_RESERVED = 8
_ACCOUNT_INFO = 48
_SHARED_LAMPORTS = 32
_SHARED_DATA = 40


class Heap:
    """A bump allocator as the program finds it once its accounts are unpacked."""

    __slots__ = ("_top",)

    def __init__(self, accounts: list[AccountRef]) -> None:
        distinct = len({ref.key for ref in accounts})
        self._top = _SIZE - _ACCOUNT_INFO * len(accounts) - (_SHARED_LAMPORTS + _SHARED_DATA) * distinct

    def grow(self, items: int, size: int) -> None:
        """Hand out what a list takes that doubles its room until ``items`` of ``size`` bytes fit."""
        room = 4 if items else 0
        while room:
            self.take(room * size)
            room = room * 2 if room < items else 0

    def take(self, size: int) -> None:
        """Hand out ``size`` bytes; panics when none are left."""
        self._top -= size
        if self._top < _RESERVED:
            raise panicked("out of memory")
