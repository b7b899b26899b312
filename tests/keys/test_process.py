"""A signer process signs what is lawful for its own user, refuses the rest, and survives everybody."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from solders.pubkey import Pubkey
from solders.signature import Signature

from bmv.errors import Garbled, Unreachable, UnsafeState
from bmv.keys.client import SignerClient
from bmv.keys.policy import GuardedSigner, Unlawful
from bmv.keys.process import SignerProcess
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Role, Wallet
from bmv.keys.wire import LENGTH, MAX_FRAME, Hello, frame
from tests.keys.test_policy import (
    FIRST,
    KEYS,
    LAWFUL,
    MARKET,
    OTHER_MARKET,
    TREASURY,
    UNLAWFUL,
    WAYS_OUT,
    policy,
)

ROLES = (Role.OPERATOR, Role.OPERATOR, Role.TREASURY)
WALLETS = [Wallet(key.pubkey(), role) for key, role in zip(KEYS, ROLES, strict=True)]
PLACE = (FIRST, LAWFUL["place an ask"])


@contextmanager
def serving(path: Path, halt_file: Path | None = None) -> Iterator[SignerProcess]:
    """Run a signer in a thread of its own while the block runs."""
    process = SignerProcess(GuardedSigner(InProcessSigner(KEYS), policy(), WALLETS), halt_file)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(process.serve(path, ready.set)))
    thread.start()
    assert ready.wait(10)
    try:
        yield process
    finally:
        loop.call_soon_threadsafe(process.end)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signer.sock"


def test_two_threads_that_ask_one_client_each_get_their_own_answers(path: Path) -> None:
    jobs = [(FIRST, raw) for raw in WAYS_OUT.values()]
    expected = InProcessSigner(KEYS).sign_all(jobs)
    with serving(path), ThreadPoolExecutor(4) as threads:
        client = SignerClient(path)
        found = list(threads.map(lambda place: client.sign_all([jobs[place % len(jobs)]]), range(40)))
        assert found == [[expected[place % len(jobs)]] for place in range(40)]
        client.close()


def test_it_signs_as_a_signer_in_this_process_would(path: Path) -> None:
    jobs = [(FIRST, raw) for raw in WAYS_OUT.values()] + [(TREASURY, LAWFUL["fund"])]
    with serving(path):
        client = SignerClient(path)
        signatures = client.sign_all(iter(jobs))
        assert signatures == GuardedSigner(InProcessSigner(KEYS), policy()).sign_all(jobs)
        for (key, message), signature in zip(jobs, signatures, strict=True):
            assert Signature.from_bytes(signature).verify(key, message)
        assert client.sign_all([]) == []
        assert client.pubkeys() == [KEYS[0].pubkey(), KEYS[1].pubkey()]
        assert client.wallets() == WALLETS
        assert client.state().pid == os.getpid()
        assert client.state().signed == len(jobs)
        client.close()


def test_what_is_refused_says_why_here_and_in_the_log(path: Path) -> None:
    with structlog.testing.capture_logs() as logs, serving(path):
        client = SignerClient(path)
        with pytest.raises(Unlawful, match="a transfer to") as caught:
            client.sign_all([PLACE, (FIRST, UNLAWFUL["an extra transfer"])])
        assert caught.value.rule == "not allowed"
        with pytest.raises(Unlawful, match="until it ends"):
            client.serve(OTHER_MARKET)
        client.serve(MARKET, [MARKET.base_mint])
        assert client.state().refused == 1
        client.close()
    refusals = [line for line in logs if line["event"] == "SIGNER_REFUSED"]
    assert [line["rule"] for line in refusals] == ["not allowed", "request"]
    assert not [line for line in logs if any(key.secret().hex() in str(line) for key in KEYS)]


def test_a_key_it_does_not_hold_is_refused(path: Path) -> None:
    with serving(path), pytest.raises(Unlawful, match="does not hold"):
        SignerClient(path).sign_all([(Pubkey.default(), PLACE[1])])


def test_the_latch_leaves_the_ways_out_and_opens_on_purpose_only(path: Path, tmp_path: Path) -> None:
    halt_file = tmp_path / "HALT"
    way_out = (FIRST, WAYS_OUT["cancel by client ids"])
    with serving(path, halt_file):
        engine, second = SignerClient(path), SignerClient(path)
        engine.sign_all([PLACE])
        second.latch("bmv halt")
        with pytest.raises(Unlawful, match="halted"):
            engine.sign_all([PLACE])
        assert engine.sign_all([way_out]) == second.sign_all([way_out])
        halt_file.touch()
        second.release()
        with pytest.raises(Unlawful, match="halted"):
            engine.sign_all([PLACE])
        assert engine.state().halted
        halt_file.unlink()
        assert engine.sign_all([PLACE])
        assert not engine.state().halted
        engine.close()
        second.close()


def test_a_client_finds_a_restarted_signer_by_itself(path: Path) -> None:
    client = SignerClient(path)
    with serving(path):
        before = client.sign_all([PLACE])
    with pytest.raises(Unreachable, match="signer: "):
        client.sign_all([PLACE])
    with serving(path):
        assert client.sign_all([PLACE]) == before
        client.close()


def test_a_signer_that_hangs_is_not_waited_for(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(Unreachable):
            SignerClient(path, timeout_s=0.1).sign_all([PLACE])
        assert time.monotonic() - started < 2


def test_what_answers_something_else_is_no_signer(path: Path) -> None:
    answers = [frame(Hello()), LENGTH.pack(3) + b"abc", LENGTH.pack(MAX_FRAME + 1)]

    def answer() -> None:
        for raw in answers:
            peer, _ = listening.accept()
            with peer:
                peer.recv(10_000)
                peer.sendall(raw)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        for _ in answers:
            with pytest.raises(Garbled):
                SignerClient(path).sign_all([PLACE])
        thread.join()


def test_noise_on_the_socket_harms_nobody_else(path: Path) -> None:
    draws = random.Random(1)
    with serving(path):
        client = SignerClient(path)
        client.sign_all([PLACE])
        for number in range(200):
            body = draws.randbytes(draws.randrange(200))
            length = len(body) if number % 2 else draws.randrange(2**32)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as noisy:
                noisy.connect(str(path))
                noisy.sendall(LENGTH.pack(length) + body)
        assert client.sign_all([PLACE])
        client.close()


def test_one_place_has_one_signer_and_a_dead_one_s_place_is_taken_over(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with serving(path):
        assert path.stat().st_mode & 0o777 == 0o600
        second = SignerProcess(GuardedSigner(InProcessSigner(KEYS), policy(), WALLETS))
        with pytest.raises(UnsafeState, match="another signer"):
            asyncio.run(second.serve(path))
        assert SignerClient(path).sign_all([PLACE])
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_not_answered(path: Path) -> None:
    def ask() -> int:
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                SignerClient(path, timeout_s=2).sign_all([PLACE])
            except Unreachable:
                os._exit(7)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with structlog.testing.capture_logs() as logs, serving(path):
        for parent in path.parents:
            if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(0o755)
        assert ask() == 7  # the mode of the socket
        path.chmod(0o666)
        assert ask() == 7  # the id of the peer
    assert [line["uid"] for line in logs if line["event"] == "SIGNER_STRANGER"] == [65534]


HARDENED = """
import ctypes, resource
from bmv.keys.hardening import harden
harden()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_hardened_process_dumps_no_core_and_is_not_traced() -> None:
    done = subprocess.run([sys.executable, "-c", HARDENED], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["0", "0", "0"]
