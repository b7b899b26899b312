"""The border to HTTP: what texts may show, and how long waits may be."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.chain.http import Endpoint, backoff
from tests.chain.stage import KEY


@pytest.mark.parametrize(
    "url",
    [
        f"https://node.example/v2/{KEY}",
        f"https://node.example/?api-key={KEY}",
        f"https://user:{KEY}@node.example/rpc",
        f"wss://{KEY}@node.example",
    ],
)
def test_an_endpoint_shows_its_host_and_scrubs_the_rest(url: str) -> None:
    endpoint = Endpoint("rpc", url)
    assert endpoint.where == "rpc node.example"
    assert repr(endpoint) == "Endpoint(rpc node.example)"
    assert KEY not in endpoint.scrub(f"no such route {url}")
    assert endpoint.scrub(f"bad key {KEY}!") == "bad key ***!"


def test_a_secret_is_scrubbed_in_its_coded_and_its_plain_form() -> None:
    endpoint = Endpoint("rpc", "https://node.example/v2/pass%20phrase?key=a%2Fb%2Fsecret")
    assert (
        endpoint.scrub("pass phrase, pass%20phrase, a/b/secret, key=a%2Fb%2Fsecret") == "***, ***, ***, ***"
    )


def test_an_endpoint_below_another_keeps_its_query_and_its_secrets() -> None:
    below = Endpoint("jito", f"https://engine.example/base/?uuid={KEY}", ["header-secret"]).at(
        "/api/v1/bundles"
    )
    assert below.url == f"https://engine.example/base/api/v1/bundles?uuid={KEY}"
    assert below.scrub(f"{KEY} header-secret bundles") == "*** *** bundles"


@given(st.integers(0, 2**32), st.integers(1, 5000))
def test_back_off_is_jittered_and_bounded_however_often_it_fails(seed: int, failures: int) -> None:
    pause = backoff(random.Random(seed), failures, 15.0)
    assert 0.0 <= pause <= min(15.0, 0.25 * 2.0 ** min(failures, 10))
