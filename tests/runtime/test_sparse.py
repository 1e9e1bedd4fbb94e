"""Layers with few rare weights on bit-planes, in proportion to them: every instruction set and the reference."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import values, window_of
from signbit import _native, runtime
from signbit.packed import nodes as n
from signbit.packed import reference
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes

SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
DENSITIES = (0.0, 0.01, 0.05, 0.3, 0.5, 0.95, 1.0)


def weights(rng, filters, depth, density):
    """Bits of rare weights; some filters have none of them or nothing else."""
    bits = (rng.random((filters, depth)) < density).astype(np.uint8)
    bits[rng.random(filters) < 0.05] = 0
    bits[rng.random(filters) < 0.05] = 1
    return bits


def two_levels(rng, source, channels, filters, window, *, pad=1, density=0.05, values="shared", shifted=True):
    """A layer of two levels, the sum its filters share, and the sign behind them."""
    depth = channels * window.taps
    bits = 1 - weights(rng, filters, depth, density)
    low, high = -max(density, 0.01), 1 - max(density, 0.01)
    levels = np.array([[low, high]], np.float32) * np.float32(rng.uniform(0.1, 3))
    match values:
        case "filter":
            levels = levels * rng.uniform(-2, 2, (filters, 1)).astype(np.float32)
        case "any":
            levels = rng.normal(size=(filters, 2)).astype(np.float32)
        case "zero":
            levels[:, 0] = 0
        case "equal":
            levels[:, 0] = levels[:, 1]
    reach = np.abs(levels).max(axis=1) * depth**0.5
    shift = (rng.normal(size=filters) * np.broadcast_to(reach, filters)).astype(np.float32)
    extreme = rng.choice(np.array([0, -0.0, 1e9, -1e9, depth, -depth], np.float32), filters)
    shift = np.where(rng.random(filters) < 0.3, extreme, shift).astype(np.float32)
    weight = encode_dense(bits)
    return (
        n.WindowSum(name="s", inputs=(source,), window=window, pad_value=pad),
        n.BinaryConv(name="z", inputs=(source, "s"), window=window, filters=filters, pad_value=pad, weight=weight,
                     levels=levels),
        n.Sign(name="y", inputs=("z",), shift=shift if shifted else None),
    )  # fmt: skip


def cuts(rng, depth, filters, classes):
    near = rng.integers(-int(2 * depth**0.5) - 2, int(2 * depth**0.5) + 3, (filters, classes))
    edge = rng.choice([-depth - 1, -depth, depth, depth + 1, -(2**31) + 1, 2**31 - 1], near.shape)
    return np.where(rng.random(near.shape) < 0.3, edge, near).astype(np.int32)


def threshold(rng, source, depth, filters, border):
    cut = cuts(rng, depth, filters, 1 if border is None else 3)
    direction = rng.choice(np.array([-1, 1], np.int8), filters)
    return n.Threshold(
        name="y", inputs=(source,), threshold=cut[:, 0] if border is None else cut, direction=direction, border=border
    )


def signs(rng, channels, filters, window, *, pad=1, density=0.05, border=None):
    """±1 weights of which few are -1 or few are +1."""
    depth = channels * window.taps
    bits = weights(rng, filters, depth, density) ^ rng.integers(0, 2, (filters, 1), dtype=np.uint8)
    conv = n.BinaryConv(
        name="z", inputs=("x",), window=window, filters=filters, pad_value=pad, weight=encode_dense(bits)
    )
    return conv, threshold(rng, "z", depth, filters, border)


def ternary(rng, channels, filters, window, *, pad=1, density=0.05, border=None):
    """The -1 and the +1 of a ternary weight in two products."""
    depth = channels * window.taps
    minus = weights(rng, filters, depth, density / 2)
    plus = weights(rng, filters, depth, density / 2) & ~minus & 1
    products = [
        n.BinaryConv(name=name, inputs=("x",), window=window, filters=filters, pad_value=pad, weight=encode_dense(bits))
        for name, bits in (("minus", minus), ("plus", 1 - plus))
    ]
    return (
        *products,
        n.Add(name="z", inputs=("minus", "plus")),
        threshold(rng, "z", int(2 * (density * depth) ** 0.5) + 2, filters, border),
    )


def assert_forced(graph, batch, isas):
    """Bit for bit the reference where the sparse form is forced, and whether the plan took it."""
    expected = reference.run(graph, {"x": batch})
    taken = set()
    for isa in isas:
        plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), "y", isa, 1, "sparse")
        got = np.empty(expected.shape, np.int8)
        plan.run([batch], got)
        np.testing.assert_array_equal(got, expected, err_msg=isa)
        taken.add(any("sparse" in kernel for _, _, kernel, _ in plan.nodes()))
    assert len(taken) == 1
    return taken.pop()


def examples(count):
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


@examples(80)
@given(data=st.data())
def test_random_layers_equal_the_reference(native, agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 3, 16, 63, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 5, 33, 64, 66, 129]))
    x = Bits((channels, data.draw(st.integers(1, 19)), data.draw(st.integers(1, 19))))
    window = data.draw(st.sampled_from([SAME, None])) or window_of(data.draw, x)
    pad = data.draw(st.sampled_from([-1, 0, 1]))
    density = data.draw(st.sampled_from(DENSITIES))
    kind = data.draw(st.sampled_from(["shared", "filter", "any", "zero", "equal", "signs", "ternary"]))
    border = None
    if kind in ("signs", "ternary"):
        if data.draw(st.booleans()):
            border = rng.integers(0, 3, window.output(x.shape), dtype=np.uint8)
        make = signs if kind == "signs" else ternary
        nodes = make(rng, channels, filters, window, pad=pad, density=density, border=border)
    else:
        shifted = data.draw(st.booleans())
        nodes = two_levels(rng, "x", channels, filters, window, pad=pad, density=density, values=kind, shifted=shifted)
    graph = Graph({"x": x}, nodes, "y")
    batch = values(rng, x, data.draw(st.sampled_from([1, 3, 8])))
    if data.draw(st.booleans()):  # positions that differ much in how many inputs are -1
        batch[rng.random(batch.shape) < np.linspace(0, 1, batch.shape[-1])] = -1
    agree(graph, {"x": batch})
    skips = pad == 0 and max(window.padding) > 0
    taken = assert_forced(graph, batch, native)
    if kind != "signs" or not skips:
        assert taken or border is not None


@pytest.mark.parametrize("kind", ["shared", "filter", "zero", "signs", "ternary"])
@pytest.mark.parametrize(
    ("side", "channels", "filters", "batch", "density"),
    [
        (11, 256, 66, 3, 0.05),
        (8, 512, 130, 9, 0.02),
        (40, 64, 64, 1, 0.05),
        (14, 256, 64, 1, 0.25),
        (7, 512, 70, 1, 0.5),
    ],
)
def test_deep_layers_equal_the_reference(native, agree, kind, side, channels, filters, batch, density):
    rng = np.random.default_rng(side)
    x = Bits((channels, side, side))
    match kind:
        case "signs":
            nodes = signs(rng, channels, filters, SAME, density=density)
        case "ternary":
            nodes = ternary(rng, channels, filters, SAME, density=density)
        case _:
            nodes = two_levels(rng, "x", channels, filters, SAME, density=density, values=kind)
    graph = Graph({"x": x}, nodes, "y")
    batches = values(rng, x, batch)
    assert assert_forced(graph, batches, native)
    agree(graph, {"x": batches})


def test_totals_that_are_far_apart_go_to_popcount(native):
    """A threshold would rise by more steps within a tile than are kept."""
    rng = np.random.default_rng(3)
    x = Bits((512, 16, 16))
    graph = Graph({"x": x}, two_levels(rng, "x", 512, 64, SAME, density=0.4), "y")
    batch = np.where(rng.random((2, 512, 16, 16)) < np.linspace(0, 1, 16), -1, 1).astype(np.int8)
    assert assert_forced(graph, batch, native)


def test_the_plan_names_what_it_joined(native):
    rng = np.random.default_rng(0)
    x = Bits((64, 20, 20))
    levels = Graph({"x": x}, two_levels(rng, "x", 64, 64, SAME), "y")
    assert kernels(levels, native[0]) == {
        "s": "done by its readers",
        "z": "sparse bit-planes",
        "y": "plain, fused with 'z'",
    }
    pair = Graph({"x": x}, ternary(rng, 64, 64, SAME), "y")
    assert set(kernels(pair, native[0]).values()) > {"sparse bit-planes"}
    assert kernels(pair, native[0])["minus"] == "sparse bit-planes"


def kernels(graph, isa):
    return {node.name: node.kernel for node in runtime.compile(graph, isa=isa).plan}
