"""What a simulated program sees: accounts, an invocation, and the ways it may fail.

A program is a plain function ``(Invocation) -> None`` that mutates the accounts it was given and raises
``ProgramError`` to fail; the chain rolls every account of the transaction back when one does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


class Account:
    """One account of the simulated chain; ``data`` is mutable, an account with no lamports is gone."""

    __slots__ = ("data", "executable", "lamports", "owner")

    def __init__(
        self,
        lamports: int = 0,
        data: bytes | bytearray = b"",
        owner: bytes = bytes(32),
        executable: bool = False,
    ) -> None:
        self.lamports = lamports
        self.data = bytearray(data)
        self.owner = owner
        self.executable = executable


@dataclass(slots=True)
class AccountRef:
    """An account as one instruction names it."""

    key: bytes
    account: Account
    is_signer: bool
    is_writable: bool


@dataclass(slots=True)
class Invocation:
    """Everything one instruction may know and touch; ``unix_timestamp`` is the clock sysvar's."""

    program_id: bytes
    accounts: list[AccountRef]
    data: bytes
    unix_timestamp: int
    logs: list[str] = field(default_factory=list)


Program = Callable[[Invocation], None]


class ProgramError(Exception):
    """How a program fails: its own ``code``, an ``invalid`` request, or ``aborted`` (assertion, panic)."""

    def __init__(self, kind: Literal["code", "invalid", "aborted"], code: int = 0, why: str = "") -> None:
        super().__init__(why or f"{kind} {code}")
        self.kind, self.code = kind, code
