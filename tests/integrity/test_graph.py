"""Closed cycles of a graph."""

from hypothesis import given
from hypothesis import strategies as st

from bmv.integrity.graph import strong_components

NODES = st.integers(0, 8)


@given(st.lists(st.tuples(NODES, NODES), max_size=30))
def test_nodes_share_a_group_exactly_if_each_reaches_the_other(edges: list[tuple[int, int]]) -> None:
    reach = {node: {node} for edge in edges for node in edge}
    for _ in reach:
        for start, end in edges:
            reach[start] |= reach[end]
    together = {node: {other for other in reach[node] if node in reach[other]} for node in reach}
    expected = sorted({tuple(sorted(group)) for group in together.values() if len(group) > 1})
    assert [tuple(group) for group in strong_components(edges)] == expected


def test_a_long_chain_needs_no_recursion() -> None:
    chain = [(node, node + 1) for node in range(50_000)]
    assert strong_components(chain) == []
    assert strong_components([*chain, (50_000, 0)]) == [list(range(50_001))]
