"""What is pushed to every open page: the parts of the view that have changed since a client's last push.

Rules of this file
- The view is taken at most once a tick, however many look; what has changed is worked out once for all.
- A client is told everything it has missed since its last push, however long that took: there is no queue.
"""

import asyncio

import msgspec

from bmv.observe.view import View
from bmv.web.view import ViewSource

_FIELDS = tuple(field.name for field in msgspec.structs.fields(View))


class Pushing:
    """The newest view, field by field; ``tick_s`` seconds lie between two views."""

    def __init__(self, source: ViewSource, tick_s: float) -> None:
        self._source, self._tick_s = source, tick_s
        self._due = float("-inf")
        self._revision = 0
        self._fields: dict[str, tuple[int, object, bytes]] = {}
        self._made: dict[tuple[int, int], tuple[str, int]] = {}
        self._encode = msgspec.json.Encoder().encode

    def wait_s(self) -> float:
        """Return in how many seconds there is something new."""
        return max(0.0, self._due - asyncio.get_running_loop().time())

    def message(self, revision: int, since: int) -> tuple[str, int, int]:
        """Return what a client has to be told that knows ``revision`` and chart points up to ``since``.

        Beside the message: the revision and the point it knows then. Revision 0 knows nothing.
        """
        self._look()
        made = self._made.get((revision, since))
        if made is None:
            made = self._made[revision, since] = self._message(revision, since)
        return made[0], self._revision, made[1]

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._due:
            return
        self._due = now + self._tick_s
        self._revision += 1
        self._made.clear()
        view = self._source.view()
        for name in _FIELDS:
            value = getattr(view, name)
            known = self._fields.get(name)
            # What the source has not made anew need not be written anew.
            if known is not None and known[1] is value:
                continue
            written = self._encode(value)
            revision = known[0] if known is not None and known[2] == written else self._revision
            self._fields[name] = revision, value, written

    def _message(self, revision: int, since: int) -> tuple[str, int]:
        points = self._source.history(since)
        changed = [
            b'"%b":%b' % (name.encode(), written)
            for name, (at, _, written) in self._fields.items()
            if at > revision
        ]
        text = b'{"view":{%b},"history":%b}' % (b",".join(changed), self._encode(points))
        return text.decode(), points[-1].seq if points else since
