"""Finished backtests in a folder: played once, told as often as they are asked for.

Rules of this file
- A run is a file of its own, whole or not at all, found by the digest of all that it follows from.
- What comes out of a file is, number by number, what went into it.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bmv.backtest.course import Course
from bmv.errors import BadInput

REPORT = "report"


class Kept:
    """The runs of one folder, which is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str, key: str) -> tuple[dict[str, Any], Course] | None:
        """Return a run's report and course; None where it is not kept, BadInput where its file is damaged."""
        path = self._path(name, key)
        if not path.exists():
            return None
        course = Course()
        try:
            with np.load(path, allow_pickle=False) as stored:
                report: dict[str, Any] = msgspec.json.decode(stored[REPORT].tobytes())
                for column, values in course.columns().items():
                    values.frombytes(stored[column].tobytes())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            allowed = f"a run kept by bmv backtest; delete the file ({error})"
            raise BadInput("--keep", str(path), allowed, "command line") from error
        return report, course

    def put(self, name: str, key: str, report: dict[str, Any], course: Course) -> None:
        """Keep a run; raise OSError where the folder does not take it."""
        stored: dict[str, Any] = {REPORT: np.frombuffer(msgspec.json.encode(report), dtype=np.uint8)}
        stored |= {column: np.asarray(values, dtype=np.int64) for column, values in course.columns().items()}
        path = self._path(name, key)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, **stored)
        partial.replace(path)

    def _path(self, name: str, key: str) -> Path:
        return self._folder / f"{name}-{key[:32]}.npz"
