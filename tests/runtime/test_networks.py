"""Whole networks: fusion, several consumers, memory that is used again, threads, concurrent callers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import values
from runtime.networks import network
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed import reference
from signbit.packed.edges import Bits, Image, Int
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window


@settings(
    max_examples=120, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_random_networks_equal_the_reference(agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    graph = network(data.draw, rng)
    with np.errstate(over="ignore", invalid="ignore"):
        agree(graph, {"input": values(rng, graph.inputs["input"], data.draw(st.sampled_from([1, 2, 5])))})


def small_network(rng, channels=70):
    def conv(name, source, depth):
        weight = encode_dense(rng.integers(0, 2, (channels, depth * 9), dtype=np.uint8))
        window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
        return n.BinaryConv(name=name, inputs=(source,), window=window, filters=channels, weight=weight)

    def threshold(name, source):
        return n.Threshold(name=name, inputs=(source,), threshold=rng.integers(-9, 9, channels, dtype=np.int32),
                           direction=rng.choice(np.array([-1, 1], np.int8), channels))  # fmt: skip

    matrix = encode_dense(rng.integers(0, 2, (10, channels * 64), dtype=np.uint8))
    return Graph(
        {"input": Image((3, 8, 8))},
        (
            conv("stem", "input", 3),
            threshold("bits1", "stem"),
            conv("body", "bits1", channels),
            n.Add(name="sum", inputs=("body", "stem")),
            threshold("bits2", "sum"),
            n.Flatten(name="flat", inputs=("bits2",)),
            n.BinaryLinear(name="logits", inputs=("flat",), filters=10, weight=matrix),
        ),
        "logits",
    )


@pytest.mark.parametrize("batch", [0, 1, 7, 300])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_batch_size_runs_again_and_again(native, batch, threads):
    rng = np.random.default_rng(0)
    graph = small_network(rng)
    model = runtime.compile(graph, threads=threads)
    for size in (batch, 2, batch):
        x = values(rng, graph.inputs["input"], size)
        np.testing.assert_array_equal(model.run(x), reference.run(graph, x))


def test_several_python_threads_share_one_model(native):
    rng = np.random.default_rng(1)
    graph = small_network(rng)
    batches = [values(rng, graph.inputs["input"], size) for size in (1, 2, 3, 9) * 6]
    expected = [reference.run(graph, x) for x in batches]
    for threads in (1, 2):
        model = runtime.compile(graph, threads=threads)
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                for got, want in zip(pool.map(model.run, batches), expected, strict=True):
                    np.testing.assert_array_equal(got, want)


def test_a_wide_linear_layer_divides_its_filters_among_threads(native):
    rng = np.random.default_rng(2)
    weight = encode_dense(rng.integers(0, 2, (200, 1000), dtype=np.uint8))
    graph = Graph(
        {"x": Bits((1000,))},
        (
            n.BinaryLinear(name="y", inputs=("x",), filters=200, weight=weight),
            n.Threshold(name="z", inputs=("y",), threshold=np.zeros(200, np.int32), direction=np.ones(200, np.int8)),
        ),
        "z",
    )
    for batch in (1, 3):
        x = values(rng, graph.inputs["x"], batch)
        for threads in (2, 3, 5):
            got = runtime.compile(graph, threads=threads).run(x)
            np.testing.assert_array_equal(got, reference.run(graph, x))


def test_the_plan_fuses_and_says_so(native):
    plan = {node.name: node for node in runtime.compile(small_network(np.random.default_rng(0))).plan}
    assert plan["bits2"].kernel == "plain, fused with 'body'"
    assert plan["sum"].kernel == "plain, fused with 'body'"
    assert plan["flat"].kernel == "view"
    assert plan["logits"].kernel == "popcount"
    assert plan["body"].kernel == "popcount"
    assert plan["body"].why == ""
    assert plan["stem"].kernel == "int8"
    assert "pixels" in plan["stem"].why


def test_the_builder_infers_the_edges_of_the_graph(native):
    from signbit import _native
    from signbit.runtime.handover import describe_inputs, describe_nodes

    graph = small_network(np.random.default_rng(0))
    plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), "logits", "generic", 1)
    for node, (kind, shape, low, high) in zip(graph.nodes, plan.edges(), strict=True):
        edge = graph.edges[node.name]
        assert (kind, shape) == (type(edge).__name__, edge.shape)
        if isinstance(edge, Int):
            assert (low, high) == (edge.low, edge.high)
