"""Real and 8-bit convolutions read from lines of the map, and pools that find the largest of their sums."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import values
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed.edges import Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.window import Window

FUSED = "plain, fused with 'conv'"


def window(draw, kernels, *, least=1):
    """A window wide enough for any map of the tests."""
    (kh, kw), stride = draw(kernels), (draw(st.integers(1, 3)), draw(st.integers(least, 3)))
    top, left = draw(st.integers(0, kh - 1)), draw(st.integers(0, kw - 1))
    return Window(kernel=(kh, kw), stride=stride, padding=(top, left, kh - 1, draw(st.integers(0, kw - 1))))


def small(rng, *shape):
    """Floats whose sums are exact in any order, none of them 0."""
    return (rng.integers(1, 9, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def stem(draw, rng):
    """A convolution, what a network does before its first pool, the pool, and signs."""
    shape = (draw(st.sampled_from([1, 2, 3, 4, 8, 17])), draw(st.integers(3, 25)), draw(st.integers(17, 70)))
    x = draw(st.sampled_from([Image(shape), Int(shape, 0, 255), Int(shape, -128, 127), Int(shape, -9, 9)]))
    filters = draw(st.sampled_from([1, 15, 16, 40, 64, 70]))
    size = st.tuples(st.integers(1, 7), st.integers(1, 7))
    first = window(draw, size)
    first = first if shape[1] + sum(first.padding[::2]) >= first.kernel[0] else Window(kernel=(1, 1))
    real = not isinstance(x, Image) and draw(st.booleans())
    depth = (filters, shape[0], *first.kernel)
    weight = small(rng, *depth) if real else rng.integers(-128, 128, depth, dtype=np.int8)
    bias = small(rng, filters) if real and draw(st.booleans()) else None
    nodes = [n.Conv(name="conv", inputs=("x",), window=first, weight=weight, bias=bias)]
    for i in range(draw(st.integers(0, 3))):
        fields = {"name": f"step{i}", "inputs": (nodes[-1].name,)}
        signs = rng.choice([-1, 1], filters) if draw(st.booleans()) else 1
        scale, other = (np.abs(small(rng, filters)) / 8 * signs).astype(np.float32), small(rng, filters)
        kind = draw(st.sampled_from(["affine", "affine", "prelu", "clamp"]))
        if kind == "affine" and draw(st.booleans()):
            border = rng.integers(0, 3, first.output(shape), dtype=np.uint8)
            other = small(rng, filters, 3)
            nodes.append(n.Affine(scale=scale, offset=other, border=border, **fields))
        elif kind == "affine":
            nodes.append(n.Affine(scale=scale, offset=other, **fields))
        if kind == "prelu":
            nodes.append(n.PReLU(slope=scale, **fields))
        if kind == "clamp":
            nodes.append(n.HardTanh(low=-30.0, high=40.0, **fields))
    pool = window(draw, st.tuples(st.integers(1, 3), st.integers(1, 3)))
    mode = draw(st.sampled_from(["max", "max", "max", "mean"]))
    nodes.append(n.Pool(name="pool", inputs=(nodes[-1].name,), window=pool, mode=mode))
    output = draw(st.sampled_from(["pool", "pool", "bits", "both"]))
    if output != "pool":
        nodes.append(n.Sign(name="bits", inputs=("pool",), shift=small(rng, filters)))
    if output == "both":
        one = np.ones(filters, np.float32)
        nodes.append(n.Affine(name="again", inputs=("bits",), scale=one, offset=one))
        nodes.append(n.Add(name="both", inputs=("again", "pool")))
    return Graph({"x": x}, tuple(nodes), output)


@settings(
    max_examples=120, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_random_stems_equal_the_reference(agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    graph = stem(data.draw, rng)
    agree(graph, {"x": values(rng, graph.inputs["x"], data.draw(st.sampled_from([1, 3])))})


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_quantized_pools_equal_the_reference(agree, data):
    """The largest of reals, as the bytes of the next product; some are infinite."""
    draw, rng = data.draw, np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = draw(st.sampled_from([1, 3, 8, 16, 17, 64, 70]))
    shape = (channels, draw(st.integers(3, 20)), draw(st.integers(3, 40)))
    low, zero, high = draw(st.sampled_from([(0, 0, 255), (-127, 0, 127), (-128, -5, 127), (-9, -9, 3)]))
    groups = draw(st.sampled_from([1, channels]))
    filters = draw(st.sampled_from([5, 16])) if groups == 1 else channels
    kernel = draw(st.sampled_from([(1, 1), (3, 3)]))
    nodes = (
        n.Pool(name="pool", inputs=("x",), mode="max", window=window(draw, st.tuples(*[st.integers(1, 3)] * 2))),
        n.Quantize(name="bytes", inputs=("pool",), inverse_step=30.0, low=low, zero=zero, high=high),
        n.Conv(
            name="conv", inputs=("bytes",), groups=groups, window=Window(kernel=kernel, padding=(kernel[0] // 2,) * 4),
            weight=rng.integers(-128, 128, (filters, channels // groups, *kernel), dtype=np.int8),
        ),
    )  # fmt: skip
    graph = Graph({"x": Real(shape)}, nodes, "conv")
    x = rng.normal(size=(draw(st.sampled_from([1, 3])), *shape)).astype(np.float32)
    for value in draw(st.sets(st.sampled_from([np.inf, -np.inf]))):
        x[rng.random(x.shape) < 0.003] = value
    with np.errstate(invalid="ignore"):
        agree(graph, {"x": x})


def test_a_quantized_pool_joins(native):
    nodes = (
        n.Pool(name="pool", inputs=("x",), mode="max", window=Window(kernel=(3, 3))),
        n.Quantize(name="bytes", inputs=("pool",), inverse_step=1.0),
        n.Conv(name="conv", inputs=("bytes",), weight=np.ones((4, 4, 1, 1), np.int8), window=Window(kernel=(1, 1))),
    )
    plan = runtime.compile(Graph({"x": Real((4, 9, 9))}, nodes, "conv"), isa="generic").plan
    assert {node.name: node.kernel for node in plan}["bytes"] == "plain, fused with 'pool'"


@pytest.mark.parametrize("scale", [1.0, -1.0, 0.0])
def test_a_pool_joins_the_convolution(native, scale):
    """A scale of 0 keeps no order that a sum of several could be found by: the pool comes behind it."""
    rng = np.random.default_rng(0)
    nodes = (
        n.Conv(
            name="conv", inputs=("x",), weight=rng.integers(-9, 9, (8, 3, 3, 3), dtype=np.int8),
            window=Window(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        ),
        n.Affine(name="norm", inputs=("conv",), scale=np.full(8, scale, np.float32), offset=np.ones(8, np.float32)),
        n.Pool(name="pool", inputs=("norm",), window=Window(kernel=(2, 2), stride=(2, 2)), mode="max"),
    )  # fmt: skip
    graph = Graph({"x": Image((3, 64, 64))}, nodes, "pool")
    assert {node.name: node.kernel for node in runtime.compile(graph, isa="generic").plan}["pool"] == FUSED
