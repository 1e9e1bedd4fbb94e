"""Convolutions of bits with their threshold, large enough for bit-planes: every instruction set and the reference."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import values, window_of
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window

SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))


def layer(rng, name, source, channels, filters, window, *, pad=1, density=0.5, border=None):
    """A binary convolution and its threshold; cuts also lie at and beyond ± the depth."""
    depth = channels * window.taps
    weight = encode_dense((rng.random((filters, depth)) < density).astype(np.uint8))
    near = rng.integers(-int(2 * depth**0.5) - 2, int(2 * depth**0.5) + 3, (filters, 1 if border is None else 3))
    edge = rng.choice([-depth - 1, -depth, 1 - depth, depth - 1, depth, depth + 1, -(2**31) + 1, 2**31 - 1], near.shape)
    cuts = np.where(rng.random(near.shape) < 0.3, edge, near).astype(np.int32)
    return (
        n.BinaryConv(name=f"{name}_sum", inputs=(source,), window=window, filters=filters, pad_value=pad,
                     weight=weight),
        n.Threshold(name=name, inputs=(f"{name}_sum",), threshold=cuts[:, 0] if border is None else cuts,
                    direction=rng.choice(np.array([-1, 1], np.int8), filters), border=border),
    )  # fmt: skip


def kernels(graph, isa):
    return {node.name: node.kernel for node in runtime.compile(graph, isa=isa).plan}


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_random_layers_equal_the_reference(agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 3, 16, 63, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 4, 5, 63, 64, 66, 129]))
    x = Bits((channels, data.draw(st.integers(1, 19)), data.draw(st.integers(1, 19))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    border = None
    if data.draw(st.booleans()):
        border = rng.integers(0, 3, window.output(x.shape), dtype=np.uint8)
    pad = data.draw(st.sampled_from([-1, 0, 1]))
    density = data.draw(st.sampled_from([0.5, 0.5, 0.1, 1.0]))
    graph = Graph(
        {"x": x}, layer(rng, "y", "x", channels, filters, window, pad=pad, density=density, border=border), "y"
    )
    agree(graph, {"x": values(rng, x, data.draw(st.sampled_from([1, 3, 8])))})


@pytest.mark.parametrize("pad", [-1, 0, 1])
@pytest.mark.parametrize(("side", "channels", "filters", "batch"), [(11, 256, 66, 3), (8, 512, 65, 4), (56, 64, 64, 1)])
def test_deep_layers_equal_the_reference(agree, native, pad, side, channels, filters, batch):
    rng = np.random.default_rng(side)
    x = Bits((channels, side, side))
    graph = Graph({"x": x}, layer(rng, "y", "x", channels, filters, SAME, pad=pad), "y")
    agree(graph, {"x": values(rng, x, batch)})
    assert kernels(graph, native[0]) == {"y_sum": "bit-planes", "y": "bit-planes, fused with 'y_sum'"}


def test_chains_equal_the_reference(agree):
    rng = np.random.default_rng(4)
    x = Bits((64, 16, 16))
    half = Window(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    nodes = (
        *layer(rng, "a", "x", 64, 96, SAME),
        *layer(rng, "b", "a", 96, 130, half, pad=-1),
        *layer(rng, "c", "b", 130, 64, Window(kernel=(1, 1))),
    )
    agree(Graph({"x": x}, nodes, "c"), {"x": values(rng, x, 5)})


def test_sums_with_another_reader_are_kept(agree, native):
    rng = np.random.default_rng(5)
    x = Bits((64, 16, 16))
    nodes = (
        *layer(rng, "a", "x", 64, 64, SAME),
        layer(rng, "b", "a", 64, 64, SAME)[0],
        n.Add(name="both", inputs=("a_sum", "b_sum")),
    )
    graph = Graph({"x": x}, nodes, "both")
    agree(graph, {"x": values(rng, x, 2)})
    assert "bit-planes" not in kernels(graph, native[0]).values()
