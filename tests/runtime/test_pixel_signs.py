"""Thresholds of pixels are looked up, also behind a choice of channels."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import values
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed.edges import Image
from signbit.packed.graph import Graph


def signs(rng, shape, index, low=-2, high=258):
    cuts, direction = rng.integers(low, high, len(index), dtype=np.int32), rng.choice([-1, 1], len(index))
    select = n.Select(name="select", inputs=("x",), index=np.array(index, np.int32))
    bits = n.Threshold(name="bits", inputs=("select",), threshold=cuts, direction=direction.astype(np.int8))
    return Graph({"x": Image(shape)}, (select, bits), "bits")


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_equals_the_reference(agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = (data.draw(st.sampled_from([1, 2, 3, 20])), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 70)))
    count = data.draw(st.sampled_from([1, 31, 63, 64, 65, 96, 128, 200]))
    index = rng.integers(data.draw(st.sampled_from([0, -1])), shape[0], count)
    graph = signs(rng, shape, np.sort(index) if data.draw(st.booleans()) else index)
    agree(graph, {"x": values(rng, Image(shape), 3)})


@pytest.mark.parametrize(
    ("index", "kernels"),
    [
        (np.arange(3).repeat(32), ["done by its readers", "look-up"]),
        (np.array([0, -1, 2]), ["plain", "plain, fused with 'select'"]),
        (np.tile(np.arange(3), 400), ["plain", "plain, fused with 'select'"]),
    ],
    ids=["thermometer", "zeros", "more tables than stay in the cache"],
)
def test_what_is_looked_up(native, index, kernels):
    graph = signs(np.random.default_rng(0), (3, 4, 5), index)
    assert [node.kernel for node in runtime.compile(graph).plan] == kernels


def test_a_choice_that_others_read_stays(agree):
    rng = np.random.default_rng(0)
    graph = signs(rng, (3, 4, 5), np.arange(3).repeat(32))
    real = n.Affine(name="real", inputs=("select",), scale=np.ones(96, np.float32), offset=np.ones(96, np.float32))
    chosen = n.Where(name="chosen", inputs=("bits", "real", "real"))
    agree(Graph(graph.inputs, (*graph.nodes, real, chosen), "chosen"), {"x": values(rng, Image((3, 4, 5)), 2)})
