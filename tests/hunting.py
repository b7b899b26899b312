"""Look for secret keys where none may be: in a process's memory, in files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from solders.keypair import Keypair

_WINDOW = 16 * 1024 * 1024


def needles(keypairs: Iterable[Keypair]) -> dict[str, bytes]:
    """Return every form in which a secret could lie about: raw, hex, base58, a list of numbers."""
    found: dict[str, bytes] = {}
    for keypair in keypairs:
        name = str(keypair.pubkey())
        seed, whole = keypair.secret(), bytes(keypair)
        # The seed begins the 64 bytes and their hex, so these are found with it.
        found[f"{name} raw"] = seed
        found[f"{name} hex"] = seed.hex().encode()
        found[f"{name} HEX"] = seed.hex().upper().encode()
        found[f"{name} base58"] = str(keypair).encode()
        found[f"{name} list"] = json.dumps(list(whole))[1:90].encode()
        found[f"{name} tight list"] = json.dumps(list(whole), separators=(",", ":"))[1:70].encode()
    return found


def seen_in(text: bytes, sought: dict[str, bytes]) -> set[str]:
    """Return which needles a text holds."""
    return {name for name, needle in sought.items() if needle in text}


def in_memory(pid: int, sought: dict[str, bytes]) -> set[str]:
    """Return which needles the memory of a process holds, as a core dump would show it."""
    found: set[str] = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in _written(pid):
            for at in range(start, end, _WINDOW):
                try:
                    memory.seek(at)
                    piece = memory.read(min(_WINDOW + 256, end - at))
                except (OSError, ValueError):
                    break  # a region of the kernel's own, or one that is gone by now
                found |= seen_in(piece, sought)
    return found


def _written(pid: int) -> Iterator[tuple[int, int]]:
    """Yield what a process can write to; the rest is as it stands in files."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, rights, *_ = line.split()
        if rights.startswith("rw"):
            start, end = place.split("-")
            yield int(start, 16), int(end, 16)


def in_files(folder: Path, sought: dict[str, bytes]) -> set[str]:
    """Return which needles the files below a folder hold."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if path.is_file():
            found |= seen_in(path.read_bytes(), sought)
    return found
