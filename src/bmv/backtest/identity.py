"""What makes a backtest this one and no other: a digest of all that its result follows from."""

from hashlib import sha256

import msgspec

from bmv import __version__
from bmv.backtest.tape import Table


def identity(told: object, *tables: Table | None) -> str:
    """Return the digest of this version of the program, of plain values, and of tables' rows."""
    found = sha256(msgspec.json.encode((__version__, told)))
    for table in tables:
        facts = None if table is None else (table.source, table.kind, table.bar_ms, table.skipped, table.gaps)
        found.update(msgspec.json.encode(facts))
        for column in (table.times, table.points, table.sizes, table.volumes) if table else ():
            found.update(b"-" if column is None else msgspec.json.encode((column.dtype.str, column.shape)))
            found.update(b"" if column is None else column.tobytes())
    return found.hexdigest()
