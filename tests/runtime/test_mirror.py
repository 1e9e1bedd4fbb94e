"""The mirrored form of bit-planes, and every other form a layer can be forced into: equal to the reference."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import floats, values, window_of
from runtime.test_bitplane import SAME, kernels, layer
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed import reference
from signbit.packed.edges import Bits, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes


def forced(graph, x, layout, isa, threads=1):
    """The output with one form of every layer that has a choice."""
    from signbit import _native

    plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, threads, layout)
    out = np.empty((len(x), *graph.edges[graph.output].shape), np.int8)
    plan.run([x], out)
    return out


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_random_layers_equal_the_reference_mirrored(native, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 3, 16, 63, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 5, 63, 64, 65, 129, 300, 520]))
    x = Bits((channels, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    border = None
    if data.draw(st.booleans()):
        border = rng.integers(0, 3, window.output(x.shape), dtype=np.uint8)
    pad = data.draw(st.sampled_from([-1, 0, 1]))
    density = data.draw(st.sampled_from([0.5, 0.5, 0.1, 1.0]))
    graph = Graph(
        {"x": x}, layer(rng, "y", "x", channels, filters, window, pad=pad, density=density, border=border), "y"
    )
    batch = values(rng, x, data.draw(st.sampled_from([1, 2, 5])))
    if data.draw(st.booleans()):  # lists as long as the depth
        batch[:] = rng.choice([-1, 1])
    expected = reference.run(graph, {"x": batch})
    for isa in native:
        for threads in (1, 2, 3):
            np.testing.assert_array_equal(forced(graph, batch, "mirrored", isa, threads), expected, isa)


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_random_sums_equal_the_reference_mirrored(native, data):
    """What a chain makes of them, with a shortcut, and its signs."""
    from signbit import _native

    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 3, 63, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 5, 63, 64, 65, 129, 300, 520]))
    x = Bits((channels, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    shape = (filters, *window.output(x.shape))
    weight = rng.random((filters, channels * window.taps)) < data.draw(st.sampled_from([0.5, 0.5, 0.1, 1.0]))
    nodes = (
        n.BinaryConv(
            name="sum", inputs=("x",), window=window, filters=filters,
            pad_value=data.draw(st.sampled_from([-1, 0, 1])), weight=encode_dense(weight.astype(np.uint8)),
        ),
        n.Affine(name="norm", inputs=("sum",), scale=floats(rng, filters), offset=floats(rng, filters)),
        n.Add(name="add", inputs=("norm", "stream")),
        n.Sign(name="y", inputs=("add",)),
    )  # fmt: skip
    output = data.draw(st.sampled_from(["add", "y"]))
    graph = Graph({"x": x, "stream": Real(shape)}, nodes if output == "y" else nodes[:-1], output)
    batch = data.draw(st.sampled_from([1, 2, 5]))
    given = {name: values(rng, edge, batch) for name, edge in graph.inputs.items()}
    expected = reference.run(graph, given)
    for isa in native:
        for threads in (1, 3):
            plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), output, isa, threads, "mirrored")
            got = np.empty(expected.shape, expected.dtype)
            plan.run(list(given.values()), got)
            np.testing.assert_array_equal(got, expected, isa)


@pytest.mark.parametrize("pad", [-1, 0, 1])
@pytest.mark.parametrize(("side", "channels", "filters", "batch"), [(7, 512, 512, 1), (8, 256, 512, 2)])
def test_small_maps_run_mirrored(agree, native, pad, side, channels, filters, batch):
    rng = np.random.default_rng(side)
    x = Bits((channels, side, side))
    graph = Graph({"x": x}, layer(rng, "y", "x", channels, filters, SAME, pad=pad), "y")
    agree(graph, {"x": values(rng, x, batch)})
    assert "mirrored" in kernels(graph, native[0])["y"]


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_maps_of_one_position_share_a_pass_among_samples(native, batch):
    rng = np.random.default_rng(batch)
    x = Bits((70, 3, 2))
    graph = Graph({"x": x}, layer(rng, "y", "x", 70, 200, Window(kernel=(3, 2))), "y")
    images = values(rng, x, batch)
    expected = reference.run(graph, {"x": images})
    for isa in native:
        np.testing.assert_array_equal(forced(graph, images, "mirrored", isa), expected)


def test_linear_layers_equal_the_reference_mirrored(native):
    rng = np.random.default_rng(3)
    x = Bits((300,))
    weight = encode_dense(rng.integers(0, 2, (150, 300), dtype=np.uint8))
    cuts = rng.integers(-9, 10, 150, dtype=np.int32)
    direction = rng.choice(np.array([-1, 1], np.int8), 150)
    nodes = (
        n.BinaryLinear(name="s", inputs=("x",), filters=150, weight=weight),
        n.Threshold(name="y", inputs=("s",), threshold=cuts, direction=direction),
    )
    graph = Graph({"x": x}, nodes, "y")
    rows = values(rng, x, 6)
    expected = reference.run(graph, {"x": rows})
    for isa in native:
        np.testing.assert_array_equal(forced(graph, rows, "mirrored", isa), expected)


def test_many_taps_of_one_channel_are_not_sorted(native):
    """Channels are sorted in words of 64, however few there are: 64 taps of one channel cost 64 words."""
    rng = np.random.default_rng(4)
    weight = encode_dense(rng.integers(0, 2, (512, 64), dtype=np.uint8))
    nodes = (
        n.Flatten(name="flat", inputs=("x",)),
        n.BinaryLinear(name="s", inputs=("flat",), filters=512, weight=weight),
        n.Threshold(name="y", inputs=("s",), threshold=np.zeros(512, np.int32), direction=np.ones(512, np.int8)),
    )
    graph = Graph({"x": Bits((1, 8, 8))}, nodes, "y")
    assert "mirrored" not in " ".join(kernels(graph, native[0]).values())


@pytest.mark.parametrize("layout", ["chosen", "popcount", "bit-planes", "mirrored"])
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_layers_divided_among_threads_equal_the_reference(native, layout, threads):
    """Rows of several tiles, and filters of one tile."""
    for side, channels, filters in ((40, 64, 64), (14, 128, 256), (7, 64, 520)):
        rng = np.random.default_rng(side)
        x = Bits((channels, side, side))
        graph = Graph({"x": x}, layer(rng, "y", "x", channels, filters, SAME), "y")
        image = values(rng, x, 1)
        expected = reference.run(graph, {"x": image})
        for isa in native:
            np.testing.assert_array_equal(forced(graph, image, layout, isa, threads), expected, isa)


def test_an_unknown_layout_is_refused(native):
    rng = np.random.default_rng(0)
    x = Bits((3, 4, 4))
    graph = Graph({"x": x}, layer(rng, "y", "x", 3, 4, SAME), "y")
    with pytest.raises(
        ValueError, match="unknown layout 'sideways'; use chosen, popcount, bit-planes, mirrored or sparse"
    ):
        forced(graph, values(rng, x, 1), "sideways", runtime.isas()[0])
