"""The reference interpreter against what `packed.independent` makes of every node."""

import numpy as np
import pytest

from packed.independent import independent, stored
from signbit.packed import Bits, Graph, Image, Int, Real, Window, reference
from signbit.packed import nodes as n
from signbit.packed.edges import EDGE_DTYPES
from signbit.packed.weights import encode_dense, encode_gaps


def samples(edge, count, rng):
    """Random values on an edge, its extremes among them."""
    shape = (count, *edge.shape)
    match edge:
        case Image():
            return rng.integers(0, 256, shape).astype(np.uint8)
        case Bits(planes=1):
            return rng.choice([-1, 1], shape).astype(np.int8)
        case Bits():
            return rng.choice([-3, -1, 1, 3], shape).astype(np.int8)
        case Int(low=low, high=high):
            return rng.integers(low, high + 1, shape).astype(np.int32)
    x = rng.normal(size=shape) * rng.choice([0, 0.01, 1, 30], shape)
    return stored(x, edge)


def check(graph, name, rng):
    node = graph.node(name)
    inputs = [samples(graph.edges[source], 3, rng) for source in node.inputs]
    if getattr(node, "levels", None) is not None:
        window, groups = getattr(node, "window", None), getattr(node, "groups", 1)
        shared = n.WindowSum(
            name="s", inputs=("x",), window=window, groups=groups, pad_value=getattr(node, "pad_value", 1)
        )
        inputs[1] = stored(independent(shared, inputs[0]), graph.edges[node.inputs[1]])
    edge = graph.edges[name]
    found = reference.evaluate(node, edge, inputs)
    expected = stored(independent(node, *inputs), edge)
    assert found.dtype == expected.dtype == EDGE_DTYPES[type(edge)]
    assert found.shape == (3, *edge.shape)
    bound = reference.tolerance(node, edge, inputs, found)
    if isinstance(node, n.BinaryConv | n.BinaryLinear) and node.levels is not None:
        bound = 1e-3 * np.abs(expected).max()  # two-level weights multiplied as they are, so rounded at other places
    assert (np.abs(found.astype(np.float64) - expected) <= bound).all()
    if isinstance(edge, Int):
        assert edge.low <= found.min() <= found.max() <= edge.high
    again = samples(graph.edges[node.inputs[0]], 0, rng)
    if len(node.inputs) == 1:
        assert reference.evaluate(node, edge, [again]).shape == (0, *edge.shape)


def test_every_node_of_one_graph(every_node):
    rng = np.random.default_rng(0)
    for node in every_node.nodes:
        check(every_node, node.name, rng)


WINDOW = Window(kernel=(3, 2), stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 1))
WIDE = Window(kernel=(2, 2), stride=(1, 2), padding=(0, 1, 1, 0), dilation=(2, 3))
RNG = np.random.default_rng(7)
MAP, VECTOR = (4, 6, 7), (5,)


def real(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def bits(*shape):
    return RNG.integers(0, 2, shape, np.uint8)


def node(op, **fields):
    sources = len(fields.pop("edges"))
    return n.NODES[op](name="node", inputs=tuple(f"x{i}" for i in range(sources)), **fields)


VARIANTS = [
    *(
        (
            "BinaryConv",
            (edge,),
            {"window": w, "filters": 6, "groups": 2, "pad_value": p, "weight": encode_dense(bits(6, k))},
        )
        for edge in (Bits(MAP), Bits(MAP, 2), Int(MAP, -900, 700), Image(MAP), Real(MAP))
        for w, k in ((WINDOW, 12), (WIDE, 8))
        for p in (-1, 0, 1)
    ),
    ("BinaryConv", (Bits(MAP),), {"window": WIDE, "filters": 3, "weight": encode_gaps(bits(3, 16))}),
    (
        "BinaryConv",
        (Bits(MAP, 2), Int((2, 4, 7), -36, 36)),
        {"window": WINDOW, "filters": 6, "groups": 2, "levels": real(6, 2), "weight": encode_dense(bits(6, 12))},
    ),
    *(
        ("BinaryLinear", (edge,), {"filters": 3, "weight": encode_dense(bits(3, edge.shape[0]))})
        for size in (1, 63, 64, 65)
        for edge in (Bits((size,)), Bits((size,), 2), Int((size,), -9, 9), Real((size,)))
    ),
    *(("WindowSum", (Bits(MAP),), {"window": WINDOW, "groups": 2, "pad_value": p}) for p in (-1, 0, 1)),
    ("WindowSum", (Bits((65,), 2),), {}),
    ("Conv", (Real(MAP),), {"window": WIDE, "groups": 2, "weight": real(6, 2, 2, 2), "bias": real(6)}),
    ("Conv", (Bits(MAP),), {"window": WINDOW, "weight": real(6, 4, 3, 2)}),
    ("Conv", (Image(MAP),), {"window": WINDOW, "weight": RNG.integers(-128, 128, (6, 4, 3, 2)).astype(np.int8)}),
    ("Linear", (Int(VECTOR, -128, 127),), {"weight": RNG.integers(-128, 128, (6, 5)).astype(np.int8)}),
    ("Linear", (Bits(VECTOR),), {"weight": real(6, 5), "format": "int16", "step": 0.01}),
    ("Lookup", (Image(MAP),), {"table": real(4, 256)}),
    ("Affine", (Image(MAP),), {"scale": real(4), "offset": real(4)}),
    ("Affine", (Real(VECTOR),), {"scale": real(5), "offset": real(5), "format": "float16"}),
    (
        "Threshold",
        (Image(MAP),),
        {"threshold": np.array([0, 255, 256, 9], np.int32), "direction": np.array([1, -1, 1, -1], np.int8)},
    ),
    (
        "Threshold",
        (Bits(VECTOR, 2),),
        {"threshold": np.arange(-2, 3, dtype=np.int32), "direction": np.full(5, -1, np.int8)},
    ),
    (
        "Threshold",
        (Int(MAP, -9, 9), Int((2, 6, 7), -7, 9)),
        {
            "threshold": RNG.integers(-9, 9, (4, 6)).astype(np.int32),
            "direction": np.ones(4, np.int8),
            "table_low": -8,
            "table_step": 3,
        },
    ),
    (
        "Threshold",
        (Int(VECTOR, -9, 9), Int((1,), 0, 3)),
        {"threshold": RNG.integers(-9, 9, (5, 4)).astype(np.int32), "direction": np.ones(5, np.int8)},
    ),
    ("Sign", (Int(VECTOR, -2, 2),), {"shift": np.array([0, 1, -1, 0.5, -0.5], np.float32)}),
    ("Sign", (Real(MAP),), {"planes": 2}),
    ("Quantize", (Real(VECTOR),), {"inverse_step": 2.0, "low": 0, "high": 255, "zero": 7}),
    ("Add", (Int(MAP, -9, 9), Real(MAP), Int(MAP, 0, 3)), {}),
    ("Concat", (Real(VECTOR), Real((3,), "float16")), {}),
    *(
        ("Pool", (edge,), {"window": w, "mode": mode, "count_padding": count})
        for edge in (Bits(MAP), Int(MAP, -9, 9), Real(MAP), Image(MAP))
        for w in (WINDOW, WIDE)
        for mode, count in (("max", False), ("sum", False), ("mean", False), ("mean", True))
        if mode != "sum" or not isinstance(edge, Real)
    ),
    ("PReLU", (Real(VECTOR),), {"slope": real(5)}),
    ("PReLU", (Int(MAP, -9, 9),), {"slope": real(4), "positive": real(4)}),
    ("HardTanh", (Int(MAP, -3, 3),), {}),
    ("Norm", (Real(MAP),), {"over": "sample", "scale": real(*MAP), "offset": real(4)}),
    ("Norm", (Int(VECTOR, -9, 9),), {"eps": 0.5}),
    *(("Gate", (Real(MAP), Real((4,))), {"function": f}) for f in ("identity", "sigmoid", "hardsigmoid")),
    ("Gate", (Int(MAP, -9, 9), Int((4, 1, 7), -4, 4)), {"function": "hardsigmoid"}),
    ("Where", (Bits(MAP), Real(MAP), Int(MAP, -9, 9)), {"format": "float16"}),
    ("Where", (Bits(MAP), Bits(MAP), Bits(MAP)), {}),
    ("Select", (Real(MAP),), {"index": np.array([3, -1, 0, 0, 2], np.int32)}),
    ("Roll", (Image(MAP),), {"shift": RNG.integers(-128, 128, (4, 2)).astype(np.int8)}),
    ("Flatten", (Real(VECTOR),), {}),
]


@pytest.mark.parametrize("case", range(len(VARIANTS)))
def test_variants_of_each_node(case):
    op, edges, fields = VARIANTS[case]
    graph = Graph({f"x{i}": edge for i, edge in enumerate(edges)}, (node(op, edges=edges, **fields),), "node")
    check(graph, "node", np.random.default_rng(case))


def test_ties_and_zeros():
    sign = n.Sign(name="s", inputs=("x",), planes=2)
    halves = np.array([[-2, -1, -2 / 3, -0.5, -1 / 3, 0, 1 / 3, 0.5, 2 / 3, 1, 2]], np.float32)
    assert reference.compute(sign, halves).tolist() == [[-3, -3, -3, -1, -1, 1, 1, 1, 1, 3, 3]]
    one = n.Sign(name="s", inputs=("x",))
    assert reference.compute(one, np.array([[-0.0, 0.0, -1e-45, 1e-45]], np.float32)).tolist() == [[1, 1, -1, 1]]
    quantize = n.Quantize(name="q", inputs=("x",), inverse_step=1.0)
    assert reference.compute(quantize, np.array([[0.5, 1.5, 2.5, -0.5, 999]], np.float32)).tolist() == [
        [0, 2, 2, 0, 127]
    ]


def test_running_gives_the_output_and_every_value_once(every_node):
    x = samples(Image((3, 8, 8)), 2, np.random.default_rng(0))
    values = dict(reference.trace(every_node, x))
    assert list(values) == [node.name for node in every_node.nodes]
    np.testing.assert_array_equal(reference.run(every_node, x), values["score"])
    np.testing.assert_array_equal(reference.run(every_node, {"input": x}), values["score"])
    single = np.concatenate([reference.run(every_node, x[i : i + 1]) for i in range(2)])
    np.testing.assert_array_equal(single, values["score"])
    assert reference.run(every_node, x[:0]).shape == (0, 5)


def test_a_graph_without_nodes_gives_its_input():
    x = np.ones((2, 3), np.float32)
    assert reference.run(Graph({"a": Real((3,))}, (), "a"), x) is x


@pytest.mark.parametrize(
    "batch", [np.zeros((2, 3, 8, 8)), np.zeros((3, 8, 8), np.uint8), np.zeros((2, 3, 8, 9), np.uint8)]
)
def test_a_batch_of_another_kind_is_refused(every_node, batch):
    with pytest.raises(ValueError, match=r"input 'input': expected uint8 \(N, 3, 8, 8\), got"):
        reference.run(every_node, batch)


def test_tolerance_is_zero_exactly_where_results_must_be_equal(every_node):
    rng = np.random.default_rng(0)
    loose = set()
    for step in every_node.nodes:
        inputs = [samples(every_node.edges[source], 2, rng) for source in step.inputs]
        edge = every_node.edges[step.name]
        output = reference.evaluate(step, edge, inputs)
        if np.any(reference.tolerance(step, edge, inputs, output)):
            loose.add(step.name)
    assert loose == {"normed", "gated", "mean", "classifier"}


def test_tolerance_covers_sums_in_any_order():
    rng = np.random.default_rng(0)
    linear = n.Linear(name="node", inputs=("x0",), weight=real(8, 1000), bias=real(8))
    edge = Real((8,))
    x = (rng.normal(size=(4, 1000)) * 100).astype(np.float32)
    exact = reference.evaluate(linear, edge, [x])
    bound = reference.tolerance(linear, edge, [x], exact)
    for _ in range(5):
        order = rng.permutation(1000)
        total = np.zeros((4, 8), np.float32)
        for k in order:
            total = total + x[:, k : k + 1] * linear.weight[:, k]
        assert (np.abs(total + linear.bias - exact.astype(np.float64)) <= bound).all()
