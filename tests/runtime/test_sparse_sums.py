"""Sums of layers with few rare weights or two levels, for a real stream: every instruction set and the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cases import floats, values, window_of
from runtime.test_sparse import DENSITIES, SAME, examples, signs, ternary, two_levels
from signbit import _native, runtime
from signbit.packed import nodes as n
from signbit.packed import reference
from signbit.packed.edges import Bits, Real
from signbit.packed.graph import Graph
from signbit.runtime import choices
from signbit.runtime.engine import NativeEngine
from signbit.runtime.handover import describe_inputs, describe_nodes

KINDS = ("shared", "filter", "any", "zero", "equal", "signs", "ternary")


def sums(rng, kind, channels, filters, window, *, pad, density):
    """The nodes that give the real or integer sums `z` of a layer."""
    match kind:
        case "signs":
            nodes = signs(rng, channels, filters, window, pad=pad, density=density)
        case "ternary":
            nodes = ternary(rng, channels, filters, window, pad=pad, density=density)
        case _:
            nodes = two_levels(rng, "x", channels, filters, window, pad=pad, density=density, values=kind)
    return nodes[:-1]


def block(rng, kind, channels, filters, window, x, *, pad=1, density=0.05, ends="reals"):
    """A layer in a residual block: sums, batch norm, shortcut, and what is handed on.

    `ends`: "plain" the sums with batch norm; "reals" and "bits" behind the shortcut; "both" bits and reals, which a
    second layer and another shortcut read.
    """
    shape = (filters, *window.output(x.shape))
    nodes = [
        *sums(rng, kind, channels, filters, window, pad=pad, density=density),
        n.Affine(name="norm", inputs=("z",), scale=floats(rng, filters), offset=floats(rng, filters)),
    ]
    if ends == "plain":
        return Graph({"x": x}, tuple(nodes), "norm")
    nodes.append(n.Add(name="add", inputs=("norm", "stream")))
    if ends == "reals":
        return Graph({"x": x, "stream": Real(shape)}, tuple(nodes), "add")
    nodes.append(n.Sign(name="bits", inputs=("add",), shift=floats(rng, filters)))
    if ends == "both":
        real = n.Affine(name="real", inputs=("bits",), scale=np.ones(filters, np.float32), offset=floats(rng, filters))
        nodes += [real, n.Add(name="end", inputs=("real", "add"))]
    return Graph({"x": x, "stream": Real(shape)}, tuple(nodes), nodes[-1].name)


def first_of(kind):
    """The node that stands for a layer in a plan."""
    return "minus" if kind == "ternary" else "z"


def batches(rng, graph, batch):
    return {name: values(rng, edge, batch) for name, edge in graph.inputs.items()}


def run(graph, inputs, isa, layout, like):
    """The output of a plan in one layout, and the kernels of its nodes."""
    plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, 1, layout)
    out = np.empty(like.shape, like.dtype)  # empty_like would keep an order that the engine does not write
    plan.run(list(inputs.values()), out)
    return out, {name: kernel for name, _, kernel, _ in plan.nodes()}


@examples(80)
@given(data=st.data())
def test_random_blocks_equal_the_reference(native, agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 3, 16, 63, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 5, 33, 64, 66, 129]))
    x = Bits((channels, data.draw(st.integers(1, 19)), data.draw(st.integers(1, 19))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    kind, ends = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(["plain", "reals", "bits", "both"]))
    pad, density = data.draw(st.sampled_from([-1, 0, 1])), data.draw(st.sampled_from(DENSITIES))
    graph = block(rng, kind, channels, filters, window, x, pad=pad, density=density, ends=ends)
    inputs = batches(rng, graph, data.draw(st.sampled_from([1, 3, 8])))
    expected = reference.run(graph, inputs)
    agree(graph, inputs)
    layouts = ("sparse",) if kind == "ternary" else ("sparse", "bit-planes")
    for isa in native:
        for layout in layouts:
            out, kernels = run(graph, inputs, isa, layout, expected)
            np.testing.assert_array_equal(out, expected, err_msg=f"{isa}, {layout}")
            assert kernels[first_of(kind)] == ("sparse bit-planes" if layout == "sparse" else "bit-planes")


@pytest.mark.parametrize("kind", ["shared", "zero", "signs", "ternary"])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize(
    ("side", "channels", "filters", "batch", "density"),
    [(11, 256, 66, 3, 0.05), (8, 512, 130, 9, 0.02), (40, 64, 64, 1, 0.05), (7, 512, 70, 2, 0.5)],
)
def test_deep_blocks_equal_the_reference(native, kind, pad, side, channels, filters, batch, density):
    rng = np.random.default_rng(side)
    x = Bits((channels, side, side))
    graph = block(rng, kind, channels, filters, SAME, x, pad=pad, density=density)
    inputs = batches(rng, graph, batch)
    expected = reference.run(graph, inputs)
    for isa in native:
        for layout in ("sparse", "chosen"):
            out, _ = run(graph, inputs, isa, layout, expected)
            np.testing.assert_array_equal(out, expected, err_msg=f"{isa}, {layout}")


@examples(60)
@given(data=st.data())
def test_few_positions_equal_the_reference(native, data):
    """Where 32 filters share a register."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels, filters = data.draw(st.sampled_from([7, 63, 64, 129, 300])), data.draw(st.sampled_from([31, 64, 97, 130]))
    x = Bits((channels, data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    kind, ends = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(["plain", "reals", "bits", "both"]))
    pad, density = data.draw(st.sampled_from([-1, 0, 1])), data.draw(st.sampled_from(DENSITIES))
    graph = block(rng, kind, channels, filters, window, x, pad=pad, density=density, ends=ends)
    inputs = batches(rng, graph, data.draw(st.sampled_from([1, 2, 5])))
    expected = reference.run(graph, inputs)
    for isa in native:
        for layout in ("sparse", "chosen"):
            out, _ = run(graph, inputs, isa, layout, expected)
            np.testing.assert_array_equal(out, expected, err_msg=f"{isa}, {layout}")


@pytest.mark.parametrize("kind", ["shared", "filter", "signs", "ternary"])
@pytest.mark.parametrize("pad", [-1, 0, 1])
@pytest.mark.parametrize(
    ("side", "channels", "filters", "batch"), [(4, 512, 260, 1), (4, 256, 190, 3), (7, 128, 130, 1), (8, 200, 128, 1)]
)
def test_filters_share_a_register_at_few_positions(native, kind, pad, side, channels, filters, batch):
    rng = np.random.default_rng(side)
    graph = block(rng, kind, channels, filters, SAME, Bits((channels, side, side)), pad=pad, ends="both")
    inputs = batches(rng, graph, batch)
    expected = reference.run(graph, inputs)
    for isa in native:
        out, _ = run(graph, inputs, isa, "chosen", expected)
        np.testing.assert_array_equal(out, expected, err_msg=isa)
        taken = [way.kernel for way in NativeEngine(graph, isa, 1).choices(batch)[first_of(kind)] if way.taken]
        # A ternary filter without zeros makes its neighbours wait.
        assert isa != "avx512" or kind == "ternary" or taken == ["sparse 16"]


@pytest.mark.parametrize("pad", [0, 1])
def test_the_plan_chooses_by_density(native, pad):
    rng = np.random.default_rng(0)
    x = Bits((64, 24, 24))
    for density, kernel in ((0.02, "sparse bit-planes"), (0.5, "bit-planes")):
        for kind in ("shared", "signs", "ternary"):
            if kind == "ternary" and density == 0.5:
                continue
            graph = block(rng, kind, 64, 64, SAME, x, pad=pad, density=density)
            kernels = {node.name: node.kernel for node in runtime.compile(graph, isa=native[0]).plan}
            assert kernels[first_of(kind)] == kernel, (kind, density)
            assert kernels["add"] == f"plain, fused with '{first_of(kind)}'"


@pytest.mark.parametrize(("kind", "parts"), [("shared", {"s"}), ("ternary", {"plus", "z"}), ("signs", set())])
def test_forms_are_timed_with_all_nodes_that_a_layer_joins(native, kind, parts):
    """Popcount does the window sum and the second product apart."""
    rng = np.random.default_rng(0)
    graph = block(rng, kind, 64, 64, SAME, Bits((64, 24, 24)), density=0.02)
    layer = first_of(kind)
    joined = choices.joined(graph, NativeEngine(graph, native[0], 1), layer)
    assert joined[0] == layer
    assert set(joined) == {layer, "norm", "add"} | parts


def test_bits_with_padding_0_come_from_sums(native):
    """Thresholds over the window sum would differ from border to border."""
    rng = np.random.default_rng(0)
    x = Bits((64, 20, 20))
    graph = Graph({"x": x}, two_levels(rng, "x", 64, 64, SAME, pad=0), "y")
    kernels = {node.name: node.kernel for node in runtime.compile(graph, isa=native[0]).plan}
    assert kernels == {"s": "done by its readers", "z": "sparse bit-planes", "y": "plain, fused with 'z'"}
