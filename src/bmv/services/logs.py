"""The fills a transaction's log tells of, as far as the market's own program has written them."""

import re
from typing import Any

from bmv.errors import Garbled
from bmv.venue.openbook_v1.instructions import MarketKeys
from bmv.venue.openbook_v1.logs import FillLog, decode_log

TRUNCATED = "Log truncated"
_INVOKED = re.compile(r"Program (\w+) invoke \[(\d+)\]")
_ENDED = re.compile(r"Program \w+ (success|failed: .*)")


class CutShort(Garbled):
    """The node has cut the log short: what it held is not known."""


def fills_logged(transaction: dict[str, Any], market: MarketKeys) -> list[FillLog]:
    """Return a market's fills in a transaction as the node tells it, in their order.

    Lines of other programs are not looked at, whatever they claim. Raises CutShort, BadBytes.
    """
    lines = [line for line in transaction["meta"].get("logMessages") or () if isinstance(line, str)]
    if TRUNCATED in lines:
        raise CutShort("rpc", "a transaction's log is cut short")
    program = str(market.program)
    callers: list[str] = []
    found: list[FillLog] = []
    for line in lines:
        invoked = _INVOKED.fullmatch(line)
        if invoked:
            del callers[int(invoked[2]) - 1 :]
            callers.append(invoked[1])
        elif _ENDED.fullmatch(line):
            del callers[-1:]
        elif callers and callers[-1] == program:
            record = decode_log(line)
            if isinstance(record, FillLog) and record.market == market.market:
                found.append(record)
    return found
