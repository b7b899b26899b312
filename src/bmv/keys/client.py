"""Ask a signer process; the engine's side of ``keys/wire.py``. No secret is ever here.

Asking blocks, for a few milliseconds; the dispatcher asks from a thread, whoever else meanwhile waits for it.
A broken connection is opened once more and the question repeated, which is safe: signing changes nothing.
"""

import contextlib
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from solders.pubkey import Pubkey

from bmv.errors import Garbled, OutsideError, Unreachable
from bmv.keys.policy import Unlawful
from bmv.keys.store import LOOKED_AFTER, Role, Wallet
from bmv.keys.wire import (
    LENGTH,
    Answer,
    Hello,
    Latch,
    Quit,
    Refusal,
    Release,
    Renew,
    Request,
    Serve,
    Sign,
    Signed,
    State,
    frame,
    length_of,
    pack_market,
    read_answer,
)
from bmv.venue.openbook_v1.instructions import MarketKeys

TIMEOUT_S = 5.0


class SignerClient:
    """A connection to the signer at ``path``, made when it is first needed.

    Every method raises Unreachable where nobody answers in time, Garbled where somebody else does, and
    Unlawful where the signer says no.
    """

    elsewhere = True

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._socket: socket.socket | None = None
        self._asking = threading.Lock()

    def state(self) -> State:
        """Ask how the signer is."""
        return self._state(Hello())

    def wallets(self) -> list[Wallet]:
        """Return the wallets it signs for, in order."""
        return _wallets(self.state())

    def renew(self) -> list[Wallet]:
        """Have it take over what has changed in the keystore; return the wallets it signs for by then."""
        return _wallets(self._state(Renew()))

    def pubkeys(self) -> list[Pubkey]:
        """Return the wallets an engine looks after, in order."""
        return [wallet.pubkey for wallet in self.wallets() if wallet.role in LOOKED_AFTER]

    def treasury(self) -> Pubkey | None:
        """Return the treasury's wallet, where it signs for one."""
        return next((wallet.pubkey for wallet in self.wallets() if wallet.role is Role.TREASURY), None)

    def serve(self, market: MarketKeys | None = None, mints: Iterable[Pubkey] = ()) -> None:
        """Tell which market is traded, once for the signer's life, and which mints may be moved among us."""
        self._state(Serve(() if market is None else pack_market(market), tuple(map(bytes, mints))))

    def latch(self, reason: str) -> None:
        """Have only ways out signed from now on."""
        self._state(Latch(reason))

    def release(self) -> None:
        """Take ``latch`` back; the halt file, where it is there, keeps the latch closed."""
        self._state(Release())

    def quit(self) -> None:
        """Have the signer forget its keys and end."""
        self._state(Quit())
        self.close()

    def sign_all(self, jobs: Iterable[tuple[Pubkey, bytes]]) -> list[bytes]:
        """Return one signature per (key, message), in order, in one round trip."""
        messages: dict[bytes, int] = {}
        asked = tuple((messages.setdefault(message, len(messages)), bytes(key)) for key, message in jobs)
        if not asked:
            return []
        answer = self._ask(Sign(tuple(messages), asked))
        if not isinstance(answer, Signed) or len(answer.signatures) != len(asked):
            raise Garbled("signer", "not one signature for each message")
        return list(answer.signatures)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _state(self, request: Request) -> State:
        answer = self._ask(request)
        if not isinstance(answer, State):
            raise Garbled("signer", "another answer than asked for")
        return answer

    def _ask(self, request: Request) -> Answer:
        with self._asking:
            answer = self._answered(request)
        if isinstance(answer, Refusal):
            raise Unlawful(answer.rule, answer.why)
        return answer

    def _answered(self, request: Request) -> Answer:
        may_repeat = self._socket is not None
        while True:
            try:
                return self._exchange(request)
            except (OSError, Unreachable, Garbled) as error:
                self.close()
                if not may_repeat or isinstance(error, TimeoutError | Garbled):
                    raise error if isinstance(error, OutsideError) else _no_answer(error) from error
                may_repeat = False

    def _exchange(self, request: Request) -> Answer:
        if self._socket is None:
            with contextlib.ExitStack() as unless_connected:
                fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                unless_connected.callback(fresh.close)
                fresh.settimeout(self._timeout_s)
                fresh.connect(str(self._path))
                unless_connected.pop_all()
            self._socket = fresh
        self._socket.sendall(frame(request))
        return read_answer(self._receive(length_of(self._receive(LENGTH.size))))

    def _receive(self, count: int) -> bytes:
        assert self._socket is not None
        received = bytearray()
        while len(received) < count:
            piece = self._socket.recv(count - len(received))
            if not piece:
                raise Unreachable("signer", "it closed the connection")
            received += piece
        return bytes(received)

    def __repr__(self) -> str:
        return f"SignerClient({self._path})"


def _wallets(state: State) -> list[Wallet]:
    return [Wallet(Pubkey(one.pubkey), one.role) for one in state.wallets]


def _no_answer(error: OSError) -> Unreachable:
    return Unreachable("signer", f"no answer ({error.strerror or error})")
