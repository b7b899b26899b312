"""What the page needs from the engine; ``services`` implements it without knowing the page."""

from typing import Protocol

from bmv.observe.view import HistoryPoint, View


class ViewSource(Protocol):
    """A running engine as the page sees it; ``view`` and ``history`` are called once per tick and client."""

    def view(self) -> View:
        """Return the present state."""
        ...

    def history(self, since: int) -> list[HistoryPoint]:
        """Return the kept points with ``seq`` above ``since``, oldest first (a bounded number)."""
        ...

    async def halt(self, reason: str) -> None:
        """Ask the engine to cancel everything and end; return once the request is queued."""
        ...
