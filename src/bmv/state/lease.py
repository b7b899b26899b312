"""The lease on a market: one engine quotes at a time, and each holder has a higher number than all before it.

Why it is enough, with clocks that agree on how long a second is:
1. Redis gives the key away only when it is absent, and lets it expire ``LEASE_MS`` after it was last
   extended.
2. The holder counts that time from before it asked, so its own end is never later than Redis's.
3. It stops placing MAX_ORDER_AGE before its own end (``core/limits.py``), and what it placed earlier dies
   within MAX_ORDER_AGE. So when somebody else can take the lease, nothing of the old holder can still land.

``fence`` grows with every holder, also over a Redis that forgot everything: it is the last number plus one or
the server's clock in milliseconds, whichever is more. An extension needs the same value. Where the lease has
gone and no newer fence was given, it is taken up again; else it is lost for good.

An engine that starts in the state folder of one that died does not wait: it holds that folder's lock file, so
the holder named by the folder's ``instance`` is dead.
"""

import os
import secrets
import socket
from dataclasses import dataclass

import msgspec

from bmv.errors import Garbled, UnsafeState
from bmv.ports import Clock
from bmv.state.folder import StateFolder, made, unwritable
from bmv.state.hot import WHERE, HotState
from bmv.units import Millis

LEASE_MS = Millis(60_000)
_TAKE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[2] then return {0, held, redis.call('PTTL', KEYS[1])} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local fence = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1))
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], fence .. ' ' .. ARGV[1], 'PX', ARGV[3])
return {1, fence, 0}
"""
_EXTEND = """
local held = redis.call('GET', KEYS[1])
local newest = tonumber(redis.call('GET', KEYS[2]) or '0')
if held == ARGV[1] or (not held and newest <= tonumber(ARGV[2])) then
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  return {1, ARGV[1]}
end
return {0, held or ''}
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end\nreturn 0"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease: the process, since when, from which state folder, with which wallets (a digest)."""

    host: str
    pid: int
    since: Millis
    instance: str
    wallets: str
    nonce: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class LeaseTaken(UnsafeState):
    """Another engine holds the lease; ``holder`` says who."""

    def __init__(self, holder: Holder, age_ms: int, left_ms: int) -> None:
        super().__init__(
            f"another engine quotes this market: {holder}, for {age_ms // 1000} s; stop it, or where it is "
            f"dead wait {max(0, left_ms) // 1000 + 1} s until its lease ends"
        )
        self.holder = holder


def this_process(folder: StateFolder, wallets: str, now: Millis) -> Holder:
    """Return this process as a holder; ``wallets`` tells one set of wallets from another."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        since=now,
        instance=_instance(folder),
        wallets=wallets,
        nonce=secrets.token_hex(8),
    )


def _instance(folder: StateFolder) -> str:
    """Return the name of a state folder that no other has, made at its first use."""
    path = made(folder.run) / "instance"
    try:
        if not path.exists():
            path.write_text(secrets.token_hex(16))
        return path.read_text().strip()
    except OSError as error:
        raise unwritable(path, error) from error


@dataclass(slots=True)
class Lease:
    """A lease that was taken: its fence, until when (our clock) nobody else can have it, its length so."""

    hot: HotState
    clock: Clock
    holder: Holder
    fence: int
    until: Millis
    length: Millis
    lost_to: Holder | None = None

    @property
    def _value(self) -> bytes:
        return b"%d %s" % (self.fence, msgspec.json.encode(self.holder))

    async def extend(self) -> bool:
        """Extend it; False where it is lost for good, to ``lost_to`` where that is known."""
        asked = self.clock.now()
        got, held = await self.hot.script(
            _EXTEND, [self.hot.key("lease"), self.hot.key("fence")], [self._value, self.fence, int(LEASE_MS)]
        )
        if got:
            self.until = asked + self.length
            return True
        self.lost_to = _holder(held)[1] if held else None
        return False

    async def release(self) -> None:
        """Give it back, so that the next engine need not wait."""
        await self.hot.script(_RELEASE, [self.hot.key("lease")], [self._value])


async def take_lease(hot: HotState, clock: Clock, holder: Holder, *, haste: float = 1.0) -> Lease:
    """Take the lease; raise LeaseTaken where a living engine may hold it.

    The caller holds the lock file of the holder's state folder. ``clock`` runs ``haste`` times as fast as
    real time, by which Redis counts.
    """
    length = Millis(int(int(LEASE_MS) * haste))
    expected = b""
    while True:
        asked = clock.now()
        got, value, left = await hot.script(
            _TAKE,
            [hot.key("lease"), hot.key("fence")],
            [msgspec.json.encode(holder), expected, int(LEASE_MS)],
        )
        if got:
            return Lease(hot, clock, holder, int(value), asked + length, length)
        other = _holder(value)[1]
        # A lost answer to our own question, or a dead engine of the folder whose lock we hold.
        ours = other.nonce == holder.nonce or (other.host, other.instance) == (holder.host, holder.instance)
        if not ours:
            raise LeaseTaken(other, int(asked - other.since), int(left))
        expected = value


def _holder(value: bytes) -> tuple[int, Holder]:
    fence, _, who = value.partition(b" ")
    try:
        return int(fence), msgspec.json.decode(who, type=Holder)
    except (ValueError, msgspec.DecodeError) as error:
        raise Garbled(WHERE, f"the lease is not one of ours ({error})") from error
