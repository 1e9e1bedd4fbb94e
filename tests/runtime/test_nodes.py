"""Every node type on random shapes: each instruction set against the reference."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import CASES, values
from signbit.packed.nodes import NODES


def test_every_node_type_is_tried():
    assert set(CASES) == set(NODES)


@pytest.mark.parametrize("op", CASES)
@settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_equals_the_reference(agree, op, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    graph = CASES[op](data.draw, rng)
    batch = data.draw(st.sampled_from([1, 2, 5]))
    with np.errstate(over="ignore", invalid="ignore"):
        agree(graph, {name: values(rng, edge, batch) for name, edge in graph.inputs.items()})
