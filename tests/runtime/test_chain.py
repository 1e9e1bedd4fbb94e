"""Element-wise chains behind products: joined into one pass, on both layouts, equal to the reference bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import floats, format_of, values, window_of
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed import reference
from signbit.packed.edges import Bits, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window

SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))


def convolution(rng, name, source, channels, filters, *, window=SAME, pad=1):
    weight = encode_dense(rng.integers(0, 2, (filters, channels * window.taps), dtype=np.uint8))
    return n.BinaryConv(name=name, inputs=(source,), window=window, filters=filters, pad_value=pad, weight=weight)


def chain(draw, rng, source, shape, others):
    """Up to six random operations on `source`; the last is called `end`."""
    channels, nodes = shape[0], []
    count = draw(st.integers(1, 6))
    for i in range(count):
        kind = draw(st.sampled_from(["affine", "border", "add", "prelu", "rprelu", "clamp"]))
        fields = {"name": "end" if i == count - 1 else f"step{i}", "inputs": (source,), **format_of(draw)}
        if kind == "affine":
            nodes.append(n.Affine(scale=floats(rng, channels), offset=floats(rng, channels), **fields))
        if kind == "border":
            border = rng.integers(0, 3, shape[1:], dtype=np.uint8)
            nodes.append(
                n.Affine(scale=floats(rng, channels), offset=floats(rng, channels, 3), border=border, **fields)
            )
        if kind == "add":
            other = draw(st.sampled_from(others))
            fields["inputs"] = draw(st.sampled_from([(source, other), (other, source), (other, source, other)]))
            nodes.append(n.Add(**fields))
        if kind == "prelu":
            nodes.append(n.PReLU(slope=floats(rng, channels), **fields))
        if kind == "rprelu":
            nodes.append(n.PReLU(slope=floats(rng, channels), positive=floats(rng, channels), **fields))
        if kind == "clamp":
            nodes.append(n.HardTanh(low=-2.0, high=1.5, **fields))
        source = fields["name"]
    return nodes


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_residual_blocks_equal_the_reference(agree, data):
    """A convolution, a chain with shortcuts, its signs for the next convolution, and its reals for the shortcut."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = data.draw(st.sampled_from([1, 8, 17, 40, 64, 65, 130]))
    filters = data.draw(st.sampled_from([1, 5, 8, 16, 48, 63, 64, 66, 129, 144]))
    x = Bits((channels, data.draw(st.integers(1, 17)), data.draw(st.integers(1, 17))))
    window = data.draw(st.sampled_from([SAME, SAME, None])) or window_of(data.draw, x)
    pad = data.draw(st.sampled_from([-1, 0, 1]))
    shape = (filters, *window.output(x.shape))
    nodes = [
        convolution(rng, "first", "x", channels, filters, window=window, pad=pad),
        *chain(data.draw, rng, "first", shape, ["stream"]),
    ]
    output = "end"
    if data.draw(st.booleans()):
        shift = floats(rng, filters) if data.draw(st.booleans()) else None
        nodes.append(n.Sign(name="bits", inputs=("end",), shift=shift))
        output = "bits"
        if data.draw(st.booleans()):
            output = "both"
            nodes += [
                convolution(rng, "second", "bits", filters, filters),
                n.Add(name="both", inputs=("second", "end")),
            ]
    graph = Graph({"x": x, "stream": Real(shape)}, tuple(nodes), output)
    batch = data.draw(st.sampled_from([1, 3, 7]))
    with np.errstate(over="ignore", invalid="ignore"):
        agree(graph, {name: values(rng, edge, batch) for name, edge in graph.inputs.items()})


@pytest.mark.parametrize("pad", [-1, 0, 1])
@pytest.mark.parametrize(
    ("side", "channels", "filters", "batch"), [(11, 256, 80, 3), (8, 512, 72, 9), (40, 64, 64, 1), (5, 200, 200, 30)]
)
def test_sums_of_all_layouts_equal_the_reference(native, pad, side, channels, filters, batch):
    from signbit import _native
    from signbit.runtime.handover import describe_inputs, describe_nodes

    rng = np.random.default_rng(side)
    x = Bits((channels, side, side))
    nodes = (
        convolution(rng, "sum", "x", channels, filters, pad=pad),
        n.Affine(name="y", inputs=("sum",), scale=np.ones(filters, np.float32), offset=np.zeros(filters, np.float32)),
    )
    graph = Graph({"x": x}, nodes, "y")
    batches = values(rng, x, batch)
    expected = reference.run(graph, {"x": batches})
    for isa in native:
        mirrored = "mirrored bit-planes" if isa == "avx512" else "popcount"
        for layout, kernel in (("bit-planes", "bit-planes"), ("popcount", "popcount"), ("mirrored", mirrored)):
            plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), "y", isa, 1, layout)
            got = np.empty(expected.shape, np.float32)
            plan.run([batches], got)
            np.testing.assert_array_equal(got, expected, err_msg=f"{isa}, {layout}")
            assert plan.nodes()[0][2] == kernel


def test_the_plan_names_what_it_joined(native):
    rng = np.random.default_rng(0)
    nodes = (
        convolution(rng, "conv", "x", 64, 64),
        n.Affine(name="norm", inputs=("conv",), scale=floats(rng, 64), offset=floats(rng, 64)),
        n.Add(name="add", inputs=("norm", "stream")),
        n.Sign(name="sign", inputs=("add",)),
        convolution(rng, "next", "sign", 64, 64),
        n.Add(name="out", inputs=("next", "add")),
    )
    shape = (64, 20, 20)
    graph = Graph({"x": Bits(shape), "stream": Real(shape)}, nodes, "out")
    kernels = {node.name: node.kernel for node in runtime.compile(graph, isa="generic").plan}
    assert kernels["conv"] == "bit-planes"
    assert {kernels[name] for name in ("norm", "add", "sign")} == {"plain, fused with 'conv'"}
    assert kernels["out"] == "plain, fused with 'next'"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_that_is_read_again_is_not_written_over(native, threads):
    """Sums may lie where the stream lay that they were added to, unless somebody still reads it."""
    rng = np.random.default_rng(3)
    shape, source, nodes = (64, 12, 12), "x", []
    for i, stream in enumerate(["stream", "sum0", "sum1", "sum2"]):
        nodes += [
            convolution(rng, f"conv{i}", source, 64, 64),
            n.Add(name=f"sum{i}", inputs=(f"conv{i}", stream)),
            n.Sign(name=f"bits{i}", inputs=(f"sum{i}",)),
        ]
        source = f"bits{i}"
    nodes.append(n.Add(name="all", inputs=("sum3", "sum1", "stream")))
    graph = Graph({"x": Bits(shape), "stream": Real(shape)}, tuple(nodes), "all")
    for isa in native:
        model = runtime.compile(graph, threads=threads, isa=isa)
        for batch in (1, 5):
            x = {name: values(rng, edge, batch) for name, edge in graph.inputs.items()}
            np.testing.assert_array_equal(model.run(x), reference.run(graph, x))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(("side", "filters"), [(14, 256), (14, 261), (28, 128)])
def test_sums_divided_among_threads_equal_the_reference(native, threads, side, filters):
    """By rows, or by filters whose groups of five do not end where a thread's share does."""
    rng = np.random.default_rng(side)
    stream = (filters, side, side)
    nodes = (
        convolution(rng, "conv", "x", 128, filters),
        n.Affine(name="norm", inputs=("conv",), scale=floats(rng, filters), offset=floats(rng, filters)),
        n.Add(name="sum", inputs=("norm", "stream")),
        n.Sign(name="bits", inputs=("sum",)),
        convolution(rng, "next", "bits", filters, 64),
        convolution(rng, "other", "bits", filters, 64),
        n.Add(name="out", inputs=("next", "other")),
    )
    graph = Graph({"x": Bits((128, side, side)), "stream": Real(stream)}, nodes, "out")
    x = {name: values(rng, edge, 1) for name, edge in graph.inputs.items()}
    expected = reference.run(graph, x)
    for isa in native:
        model = runtime.compile(graph, threads=threads, isa=isa)
        for _ in range(3):
            np.testing.assert_array_equal(model.run(x), expected, isa)


def depthwise(rng, kind, channels, window):
    if kind == "float":
        return n.Conv(name="y", inputs=("x",), window=window, groups=channels,
                      weight=floats(rng, channels, 1, *window.kernel))  # fmt: skip
    weight = rng.integers(-127, 128, (channels, 1, *window.kernel), dtype=np.int8)
    return n.Conv(name="y", inputs=("x",), window=window, groups=channels, weight=weight)


@pytest.mark.parametrize("kind", ["float", "uint8", "int8"])
@pytest.mark.parametrize("channels", [2, 8, 15, 16, 33, 64])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_filter_a_channel(agree, native, kind, channels, stride):
    from signbit.packed.edges import Int

    rng = np.random.default_rng(channels)
    window = Window(kernel=(3, 3), stride=(stride, stride), padding=(1, 1, 0, 1))
    shape = (channels, 9, 7)
    x = {"float": Real(shape), "uint8": Int(shape, 0, 255), "int8": Int(shape, -128, 127)}[kind]
    graph = Graph({"x": x}, (depthwise(rng, kind, channels, window),), "y")
    agree(graph, {"x": values(rng, x, 3)})
    assert runtime.compile(graph, isa=native[0]).plan[0].kernel == "one filter a channel"
