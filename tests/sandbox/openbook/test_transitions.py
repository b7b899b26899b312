"""Replay what the compiled OpenBook program did, step by step, and compare every account's bytes."""

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from bmv.sandbox import spl_token
from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError
from bmv.sandbox.openbook.market import token_balance
from bmv.sandbox.openbook.program import process

RECORDINGS = Path(__file__).parents[2] / "golden" / "transitions"
Row = dict[str, Any]
Changes = dict[str, str | int | None]


def key_of(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))


def image(stored: Row) -> Account:
    return Account(
        stored["lamports"], zlib.decompress(base64.b64decode(stored["zdata"])), key_of(stored["owner"])
    )


def digest(account: Account) -> str | int | None:
    if not account.lamports:
        return None
    if account.owner == spl_token.PROGRAM_ID:
        return token_balance(account)
    return hashlib.sha256(account.data).hexdigest()[:16]


class Recording:
    """The accounts of one recorded market, and the steps done to it."""

    def __init__(self, path: Path) -> None:
        self.rows: Iterator[Row] = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        head = next(self.rows)
        self.program = key_of(head["program"])
        self.keys = {name: key_of(text) for name, text in head["keys"].items()}
        self.accounts = {name: Account() for name in self.keys}
        self.stateless = set(self.keys)
        for name, stored in head["accounts"].items():
            self.keys[name] = key_of(stored["pubkey"])
            self.accounts[name] = image(stored)

    def create(self, row: Row) -> None:
        account = self.accounts[row["create"]]
        account.lamports, account.owner = row["lamports"], key_of(row["owner"])
        account.data = bytearray(row["space"])

    def step(self, row: Row) -> tuple[str, int | None, Changes]:
        """Run one step; return outcome, error code, and the digest of every account that changed."""
        names = dict.fromkeys(name for name, _ in row["accounts"] if name not in self.stateless)
        before = {name: (self.accounts[name].lamports, bytes(self.accounts[name].data)) for name in names}
        outcome, code = "ok", None
        try:
            process(self._invocation(row))
        except ProgramError as failure:
            outcome, code = failure.kind, failure.code if failure.kind == "code" else None
            for name, (lamports, data) in before.items():
                self.accounts[name].lamports = lamports
                self.accounts[name].data[:] = data
        changes: Changes = {}
        for name, (lamports, data) in before.items():
            account = self.accounts[name]
            if account.data != data or account.lamports != lamports:
                changes[name] = digest(account)
                if not account.lamports:
                    self.accounts[name] = Account()
        return outcome, code, changes

    def _invocation(self, row: Row) -> Invocation:
        refs = [
            AccountRef(self.keys[name], self.accounts[name], "s" in flags, "w" in flags)
            for name, flags in row["accounts"]
        ]
        return Invocation(self.program, refs, bytes.fromhex(row["data"]), row["t"])


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("minimum_chaos", 13_767),
        ("minimum_full_book", 6_836),
        ("medium_m6_chaos", 9_140),
        ("default_maker", 6_722),
    ],
)
def test_every_recorded_step_leaves_the_same_bytes(name: str, steps: int) -> None:
    recording = Recording(RECORDINGS / f"{name}.jsonl.gz")
    done, end = 0, {}
    for row in recording.rows:
        if "end" in row:
            end = row["end"]
        elif "create" in row:
            recording.create(row)
        else:
            assert recording.step(row) == (row["out"], row.get("code"), row["after"]), (done, row)
            done += 1
    assert done == steps
    for account_name, stored in end.items():
        account, expected = recording.accounts[account_name], image(stored)
        assert (account.lamports, account.data) == (expected.lamports, expected.data), account_name
