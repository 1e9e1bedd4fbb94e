import numpy as np
import pytest

from signbit import runtime
from signbit.packed import reference
from signbit.packed.graph import Graph

NATIVE = runtime.isas()[:-1]


@pytest.fixture
def native():
    """Skips where the extension was not built."""
    if not NATIVE:
        pytest.skip("the native extension is not built")
    return NATIVE


@pytest.fixture
def agree(native):
    """A check that every instruction set gives what the reference gives, within the node's bound."""

    def check(graph: Graph, batches: dict[str, np.ndarray]) -> None:
        expected = reference.run(graph, batches)
        bound = np.zeros(1)
        if len(graph.nodes) == 1 and expected.size:
            (node,) = graph.nodes
            bound = reference.tolerance(node, graph.edges[node.name], [batches[s] for s in node.inputs], expected)
        for isa in native:
            for threads in (1, 2):
                got = runtime.compile(graph, isa=isa, threads=threads).run(batches)
                assert got.dtype == expected.dtype
                assert got.shape == expected.shape
                with np.errstate(invalid="ignore"):
                    apart = np.abs(got.astype(np.float64) - expected.astype(np.float64))
                wrong = ~(apart <= bound) & (got != expected) & ~(np.isnan(got) & np.isnan(expected))
                assert not wrong.any(), (isa, threads, graph.nodes, got[wrong][:5], expected[wrong][:5])

    return check
