"""The signer as a process of its own: it alone holds keys, and outlives the engine that asks it.

Rules of this file
- Only our own user is answered, by the peer's id that the kernel gives; the socket has mode 600.
- Requests are carried out one after the other; a broken connection ends itself, never the process.
- The latch of a kill is closed while the halt file is there, and from a request to latch to one to release.
- Every refusal is logged with its reason. Messages, signatures and keys are not.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from solders.pubkey import Pubkey

from bmv.errors import BadInput, BmvError, Garbled, UnsafeState
from bmv.keys.policy import GuardedSigner, Unlawful
from bmv.keys.wire import (
    LENGTH,
    PROTOCOL,
    Answer,
    Hello,
    Latch,
    Member,
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
    read_request,
    unpack_market,
)
from bmv.observe.log import get_logger

_PEER = struct.Struct("3i")


class SignerProcess:
    """Answer on a UNIX socket until asked to end; ``halt_file`` closes the latch by being there."""

    def __init__(self, signer: GuardedSigner, halt_file: Path | None = None, speed: float = 1.0) -> None:
        self._signer, self._policy, self._halt_file = signer, signer.policy, halt_file
        self._speed = speed
        self._log = get_logger("signer")
        self._signed = self._refused = 0
        self._latched = ""
        self._ending = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path, ready: Callable[[], None] = lambda: None) -> None:
        """Listen at ``path`` until somebody asks to quit; raise UnsafeState where another signer listens."""
        listening = _listen(path)
        server = await asyncio.start_unix_server(self._welcome, sock=listening)
        self._log.info("SIGNER_UP", wallets=len(self._signer.wallets()), pid=os.getpid())
        ready()
        try:
            await self._ending.wait()
        finally:
            # In one go, the word first: who finds nobody here finds it written, and may take the place.
            self._log.info("SIGNER_DOWN", signed=self._signed, refused=self._refused)
            path.unlink(missing_ok=True)
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    def end(self) -> None:
        """Let ``serve`` come to its end."""
        self._ending.set()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._converse(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) != os.geteuid():
                self._log.warning("SIGNER_STRANGER", uid=_peer_uid(writer))
                return
            while not self._ending.is_set():
                body = await reader.readexactly(length_of(await reader.readexactly(LENGTH.size)))
                answer = self._answer(body)
                writer.write(frame(answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, Garbled):
            pass  # whoever it was is gone, or speaks something else
        finally:
            writer.close()

    def _answer(self, body: bytes) -> Answer:
        self._look_at_latch()
        try:
            return self._carry_out(read_request(body))
        except Unlawful as error:
            self._refused += 1
            self._log.warning("SIGNER_REFUSED", rule=error.rule, reason=error.why)
            return Refusal(error.rule, error.why)
        except Garbled:
            raise
        except BmvError as error:
            self._log.warning("SIGNER_REFUSED", rule="request", reason=str(error))
            return Refusal("request", str(error))

    def _look_at_latch(self) -> None:
        by_file = self._halt_file is not None and self._halt_file.exists()
        reason = self._latched or ("the halt file is there" if by_file else "")
        if bool(reason) is not self._policy.is_halted:
            self._log.warning("SIGNER_LATCHED" if reason else "SIGNER_RELEASED", reason=reason)
        self._policy.is_halted = bool(reason)

    def _carry_out(self, request: Request) -> Answer:
        match request:
            case Sign():
                return self._sign(request)
            case Hello():
                if request.protocol != PROTOCOL:
                    raise UnsafeState(f"protocol {request.protocol}; this signer speaks {PROTOCOL}")
            case Serve():
                grounds = self._policy.grounds
                if request.market:
                    grounds.set_market(unpack_market(request.market))
                grounds.add_mints(Pubkey(mint) for mint in request.mints if len(mint) == 32)
            case Latch():
                self._latched = request.reason or "asked to"
            case Release():
                self._latched = ""
            case Renew():
                before = len(self._signer.wallets())
                if (now := len(self._signer.renew())) != before:
                    self._log.info("SIGNER_RENEWED", wallets=now)
            case Quit():
                self._ending.set()
        self._look_at_latch()
        return self._state()

    def _sign(self, request: Sign) -> Signed:
        if any(index >= len(request.messages) or len(key) != 32 for index, key in request.jobs):
            raise Garbled("signer's caller", "a job without its message")
        jobs = [(Pubkey(key), request.messages[index]) for index, key in request.jobs]
        signatures = self._signer.sign_all(jobs)
        self._signed += len(request.messages)
        return Signed(tuple(signatures))

    def _state(self) -> State:
        members = tuple(Member(bytes(one.pubkey), one.role) for one in self._signer.wallets())
        counts = self._signed, self._refused
        return State(members, self._policy.is_halted, *counts, os.getpid(), speed=self._speed)


def _listen(path: Path) -> socket.socket:
    """Bind the socket with mode 600; take over a path that nobody answers on any more."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        if path.exists():
            if _is_answering(path):
                raise UnsafeState(f"{path}: another signer answers there")
            path.unlink(missing_ok=True)
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        allowed = f"a place for a socket ({error.strerror or error})"
        raise BadInput("signer socket", str(path), allowed, "--state") from error
    finally:
        os.umask(mask)
    return listening


def _is_answering(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)
