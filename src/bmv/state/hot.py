"""Hot state in Redis: what a running engine believes, packed, for whoever looks at it or comes after it.

Keys, all of one market and in one hash slot (``bmv:{MARKET}:...``):

| key | what |
|---|---|
| snapshot | the newest ``Snapshot``, packed; it stays after the engine has died |
| beat | when the engine was last alive, by the server's own clock, in milliseconds |
| halt | the kill flag (see ``latch.py``); a channel of the same name tells at once that it was raised |
| lease, fence | who may quote, and the number of the newest who might (see ``lease.py``) |

Rules of this file
- Every call has a timeout and runs under ``clock.hold``; whatever Redis does comes out as an OutsideError.
- No error, log or repr shows the URL: it may hold a password.
- Only the holder of the newest fence writes: an engine that has lost its lease cannot paint over the other's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import redis.asyncio as aioredis
from redis import exceptions as theirs
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bmv.errors import BadInput, Garbled, OutsideError, Refused, Unreachable
from bmv.ports import Clock
from bmv.secret import Secret
from bmv.state.latch import Latch, packed_latch, read_latch
from bmv.state.snapshot import Snapshot, unpacked

WHERE = "redis"
TIMEOUT_S = 2.0
ALLOWED = "redis://, rediss:// or unix:// with the place of a Redis or Valkey server"
_NOW = "local t = redis.call('TIME')\nlocal now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
_WRITE = (
    _NOW
    + """
if tonumber(redis.call('GET', KEYS[3]) or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], string.format('%.0f', now))
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""
)
_READ = _NOW + "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), string.format('%.0f', now)}"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A snapshot and how long ago (ms) its engine was last alive."""

    snapshot: Snapshot
    age_ms: int


class HotState:
    """One market's hot state; raise BadInput for a URL nobody could connect to."""

    def __init__(self, url: Secret, market: str, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self.market, self._clock, self._timeout_s = market, clock, timeout_s
        try:
            # Twice at most, and at once: a connection kept from before a restart of the server is dead.
            self._redis = aioredis.Redis.from_url(
                url.reveal(),
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 1),
            )
        except (theirs.RedisError, ValueError):
            # The reason would repeat the URL.
            raise BadInput("REDIS_URL", "a URL", ALLOWED, "settings") from None

    def key(self, name: str) -> str:
        """Return the full name of a key."""
        return f"bmv:{{{self.market}}}:{name}"

    async def write(self, packed: bytes | None, fence: int) -> bool:
        """Tell that the engine lives and, unless None, what it believes; False where ``fence`` is outrun."""
        keys = [self.key("snapshot"), self.key("beat"), self.key("fence")]
        return bool(await self.script(_WRITE, keys, [fence, packed or b""]))

    async def read(self) -> Seen | None:
        """Return the newest snapshot and its age; None where there never was one."""
        raw, beat, now = await self.script(_READ, [self.key("snapshot"), self.key("beat")], [])
        if raw is None or beat is None:
            return None
        return Seen(unpacked(raw, WHERE), max(0, int(now) - int(beat)))

    async def raise_flag(self, latch: Latch) -> None:
        """Raise the kill flag and tell all who listen; one that is up already keeps its reason."""
        text = packed_latch(latch)
        await self.ask(lambda: self._redis.set(self.key("halt"), text, nx=True))
        await self.ask(lambda: self._redis.publish(self.key("halt"), text))

    async def flag(self) -> Latch | None:
        """Return the kill flag, None where it is down; any value at all is a raised flag."""
        raw = await self.ask(lambda: self._redis.get(self.key("halt")))
        return None if raw is None else read_latch(raw, WHERE)

    async def lower_flag(self) -> None:
        """Take the kill flag down."""
        await self.ask(lambda: self._redis.delete(self.key("halt")))

    async def listen(self, heard: Callable[[Latch], None]) -> None:
        """Call ``heard`` for every flag that is raised from now on; raise OutsideError when Redis is gone."""
        async with self._redis.pubsub() as channel:
            await self.ask(lambda: channel.subscribe(self.key("halt")))
            while True:
                try:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                except (theirs.RedisError, OSError) as error:
                    _end_if_cancelled()
                    raise _mapped(error) from None
                _end_if_cancelled()
                if message is not None:
                    heard(read_latch(message["data"], WHERE))

    async def script(self, source: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        """Run a Lua script as one step."""
        run = cast("Callable[..., Awaitable[Any]]", self._redis.eval)
        return await self.ask(lambda: run(source, len(keys), *keys, *values))

    async def ask(self, call: Callable[[], Any]) -> Any:
        """Await one call within the timeout; raise OutsideError for whatever goes wrong."""
        with self._clock.hold():
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await call()
            except (theirs.RedisError, OSError) as error:
                _end_if_cancelled()
                raise _mapped(error) from None
            _end_if_cancelled()
            return answer

    async def close(self) -> None:
        """Close every connection."""
        with self._clock.hold():
            await self._redis.aclose()


def _end_if_cancelled() -> None:
    """Be cancelled after all: a client that is connecting answers a cancellation with an error of its own."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _mapped(error: theirs.RedisError | OSError) -> OutsideError:
    """Return our error for one of Redis; its words are dropped where they could repeat what we sent."""
    if isinstance(error.__cause__ or error, theirs.AuthenticationError):
        return Refused(WHERE, "the user or password of REDIS_URL is not accepted")
    if isinstance(error, theirs.ResponseError):
        # "WRONGTYPE Operation against ...": the first word is the server's own code.
        return Refused(WHERE, f"answered {str(error).split(' ', 1)[0] or 'an error'}")
    if isinstance(error, OSError | theirs.ConnectionError | theirs.TimeoutError):
        return Unreachable(WHERE, f"not reached ({type(error).__name__})")
    return Garbled(WHERE, type(error).__name__)
