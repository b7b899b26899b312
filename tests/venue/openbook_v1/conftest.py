"""What the venue's tests share: the golden files, the recorded accounts, and an independent tree builder."""

import base64
import gzip
import json
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "openbook_v1"
ACCOUNTS = ROOT.parent / "shared" / "data" / "accounts"

Leaf = tuple[int, bytes, int, int, int, int]
"""order id, owner, lots, client id, owner slot, fee tier"""


def load(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Read one golden file by name."""
    return load


@pytest.fixture(scope="session")
def snapshots() -> dict[str, dict[str, bytes]]:
    """Return the raw accounts of every snapshot of the small market."""
    found = load("accounts_m9.json")["snapshots"]
    return {
        moment: {name: base64.b64decode(one["data"]) for name, one in accounts.items()}
        for moment, accounts in found.items()
    }


@pytest.fixture(scope="session")
def recorded_accounts() -> dict[str, tuple[bytes, Any]]:
    """Return recorded mainnet accounts and what an independent checker read from them."""
    if not ACCOUNTS.is_dir():
        pytest.skip("the recorded accounts (shared/data/accounts) are not here")
    found = {}
    for path in sorted(ACCOUNTS.glob("*.bin.gz")):
        name = path.name.removesuffix(".bin.gz")
        expected = json.loads((ACCOUNTS / f"{name}.expected.json").read_text())
        found[name] = gzip.decompress(path.read_bytes()), expected
    return found


@pytest.fixture(scope="session")
def book_image() -> Callable[[bool, Sequence[Leaf], int, random.Random], bytes]:
    return build_book


def build_book(is_bids: bool, leaves: Sequence[Leaf], spare: int, rng: random.Random) -> bytes:
    """Lay a crit-bit tree of the leaves into randomly chosen nodes, ``spare`` of them on the free list.

    Built top down from the definition (split at the first bit in which keys differ), not by insertion.
    """
    live = max(2 * len(leaves) - 1, 0)
    bump = live + spare
    free = rng.sample(range(bump), bump)
    nodes = [bytes(72)] * bump
    by_key = {leaf[0]: leaf for leaf in leaves}

    def place(keys: list[int]) -> int:
        at = free.pop()
        if len(keys) == 1:
            key, owner, lots, client_id, slot, tier = by_key[keys[0]]
            nodes[at] = struct.pack(
                "<IBB2x16s32sQQ", 2, slot, tier, key.to_bytes(16, "little"), owner, lots, client_id
            )
            return at
        prefix = 128 - (keys[0] ^ keys[-1]).bit_length()
        split = next(i for i, key in enumerate(keys) if key >> (127 - prefix) & 1)
        children = place(keys[:split]), place(keys[split:])
        witness = rng.choice(keys).to_bytes(16, "little")
        nodes[at] = struct.pack("<II16sII40x", 1, prefix, witness, *children)
        return at

    root = place(sorted(by_key)) if leaves else 0
    head = free[-1] if free else 0
    for this, following in zip(free, [0, *free], strict=False):
        nodes[this] = struct.pack("<II64x", 4 if this == free[0] else 3, following)
    header = struct.pack("<QQIIQ", bump, spare, head, root, len(leaves))
    tail = bytes(8 * (bump % 2) + 72 * 4)
    return b"serum" + struct.pack("<Q", 33 if is_bids else 65) + header + b"".join(nodes) + tail + b"padding"
