"""Counting: errors by the kinds people know, whatever an adapter calls them."""

from collections import Counter

import pytest

from bmv.chain.http import NotSent
from bmv.chain.stream import NodeSilent
from bmv.errors import Garbled, OutsideError, RateLimited, Refused, Stale, Unreachable
from bmv.services.record import count_error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unreachable("rpc localhost:1", "gone"), "rpc_unreachable"),
        (NotSent("rpc localhost:1", "gone"), "rpc_unreachable"),
        (NodeSilent("stream localhost:1", "gone"), "stream_unreachable"),
        (RateLimited("jito a.example", "busy"), "jito_rate_limited"),
        (Refused("jito a.example", "no"), "jito_refused"),
        (Stale("rpc a.example", "behind"), "rpc_stale"),
        (Garbled("rpc a.example", "html"), "rpc_garbled"),
    ],
)
def test_an_error_is_counted_by_service_and_documented_kind(error: OutsideError, kind: str) -> None:
    errors: Counter[str] = Counter()
    count_error(errors, error)
    count_error(errors, error)
    assert errors == {kind: 2}
