"""Groups in a directed graph: strongly connected components, without recursion."""

from collections.abc import Iterable
from itertools import count


def strong_components(edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of two and more nodes in which each reaches each, members ascending (Tarjan 1972)."""
    follows: dict[int, list[int]] = {}
    for start, end in edges:
        follows.setdefault(start, []).append(end)
        follows.setdefault(end, [])
    search = _Search(follows)
    for node in follows:
        if node not in search.number:
            search.visit(node)
    return sorted(search.found)


class _Search:
    """One depth-first search; ``lowest`` is the oldest node on the stack that a node reaches."""

    def __init__(self, follows: dict[int, list[int]]) -> None:
        self.follows = follows
        self.number: dict[int, int] = {}
        self.lowest: dict[int, int] = {}
        self.stack: list[int] = []
        self.on_stack: set[int] = set()
        self.found: list[list[int]] = []
        self._next = count()

    def visit(self, root: int) -> None:
        """Search from ``root``."""
        work = [(root, iter(self.follows[root]))]
        self._enter(root)
        while work:
            node, rest = work[-1]
            for successor in rest:
                if successor not in self.number:
                    self._enter(successor)
                    work.append((successor, iter(self.follows[successor])))
                    break
                if successor in self.on_stack:
                    self.lowest[node] = min(self.lowest[node], self.number[successor])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    self.lowest[above] = min(self.lowest[above], self.lowest[node])
                self._leave(node)

    def _enter(self, node: int) -> None:
        self.number[node] = self.lowest[node] = next(self._next)
        self.stack.append(node)
        self.on_stack.add(node)

    def _leave(self, node: int) -> None:
        if self.lowest[node] != self.number[node]:
            return
        members = [self.stack.pop()]
        while members[-1] != node:
            members.append(self.stack.pop())
        self.on_stack.difference_update(members)
        if len(members) > 1:
            self.found.append(sorted(members))
