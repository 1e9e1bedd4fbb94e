"""The network of one-bit weights that others are compared with."""

import numpy as np
import pytest

from packed.test_report import convolution, weights
from signbit.packed import Graph
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Int, Real
from signbit.packed.one_bit import one_bit_a_weight, ternary_layers
from signbit.packed.weights import encode_dense, encode_gaps
from signbit.packed.window import Window

X = Bits((16, 4, 4))
LEVELS = np.array([[-0.1, 1.0]], np.float32)
UP = {"threshold": np.zeros(8, np.int32), "direction": np.ones(8, np.int8)}
SAME = {"scale": np.ones(8, np.float32), "offset": np.zeros(8, np.float32)}


def two_levels(*rest, output):
    """A layer of two levels on bits, what follows it, and a layer of integer sums of the same bits."""
    conv = convolution("conv", "x", weights(8, 144, 0.05), encode=encode_gaps, levels=LEVELS)
    total = n.WindowSum(name="total", inputs=("x",), window=conv.window)
    conv = n.BinaryConv(**{**vars(conv), "inputs": ("x", "total"), "format": "float16"})
    return Graph({"x": X}, (total, conv, *rest), output)


def shown(graph):
    return [(node.name, type(node).__name__, *node.inputs) for node in graph.nodes]


def of_signs(graph):
    return one_bit_a_weight(graph, ternary_layers(graph))


def test_levels_and_window_sums_go():
    sign = n.Sign(name="sign", inputs=("pool",), shift=np.ones(8, np.float32))
    turn = n.Affine(name="turn", inputs=("conv",), **{**SAME, "scale": np.resize([1, -1], 8).astype(np.float32)})
    pool = n.Pool(name="pool", inputs=("turn",), window=Window(kernel=(2, 2), stride=(2, 2)))
    found = of_signs(two_levels(turn, pool, sign, output="sign"))
    assert shown(found) == [
        ("conv", "BinaryConv", "x"),
        ("pool", "Pool", "conv"),
        ("sign", "Threshold", "pool"),
    ]
    conv, _, sign = found.nodes
    assert (conv.levels, conv.format, conv.weight.bits.nbytes) == (None, "float32", 144)
    assert isinstance(found.edges["conv"], Int)
    assert (sign.threshold.nbytes, sign.direction.nbytes) == (32, 8)


def test_what_a_batch_norm_does_stays():
    norm = n.Affine(name="norm", inputs=("conv",), scale=SAME["scale"], offset=np.ones(8, np.float32))
    sign = n.Sign(name="sign", inputs=("norm",))
    found = of_signs(two_levels(norm, sign, output="sign"))
    assert shown(found)[1:] == [("norm", "Affine", "conv"), ("sign", "Sign", "norm")]


def test_an_output_stays():
    assert shown(of_signs(two_levels(n.Affine(name="turn", inputs=("conv",), **SAME), output="turn")))[1:] == [
        ("turn", "Affine", "conv")
    ]
    found = of_signs(two_levels(output="total"))
    assert [name for name, *_ in shown(found)] == ["total", "conv"]


def test_a_table_over_window_sums_is_one_threshold():
    window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    total = n.WindowSum(name="total", inputs=("x",), window=window)
    table = {"threshold": np.zeros((8, 289), np.int32), "direction": UP["direction"], "table_low": -144}
    cut = n.Threshold(name="cut", inputs=("conv", "total"), **table)
    graph = Graph({"x": X}, (total, convolution("conv", "x", weights(8, 144)), cut), "cut")
    found = of_signs(graph)
    assert shown(found) == [("conv", "BinaryConv", "x"), ("cut", "Threshold", "conv")]
    assert found.node("cut").threshold.shape == (8,)


@pytest.mark.parametrize("other", ["conv", "real"])
def test_what_takes_no_integers_gets_reals(other):
    real = n.Affine(name="real", inputs=("conv",), scale=2 * SAME["scale"], offset=SAME["offset"])
    both = n.Concat(name="both", inputs=("conv", other))
    steps = n.Quantize(name="steps", inputs=("both",), inverse_step=1.0)
    found = of_signs(two_levels(real, both, steps, output="steps"))
    if other == "conv":  # two integers are of one kind
        expected = [("both", "Concat", "conv", "conv"), ("steps.0", "Affine", "both"), ("steps", "Quantize", "steps.0")]
    else:
        expected = [
            ("both.0", "Affine", "conv"),
            ("both", "Concat", "both.0", "real"),
            ("steps", "Quantize", "both"),
        ]
    assert shown(found)[2:] == expected
    assert isinstance(found.edges["steps"], Int)


def test_the_half_of_two_planes_goes_where_it_is_alone():
    minus, plus = weights(8, 144, 0.04), weights(8, 144, 0.04)
    plus &= 1 - minus
    planes = [convolution(name, "x", b, encode=encode_dense) for name, b in (("minus", minus), ("plus", 1 - plus))]
    add = n.Add(name="sum", inputs=("minus", "plus"))
    half = n.Affine(name="half", inputs=("sum",), scale=np.full(8, 0.5, np.float32), offset=SAME["offset"])
    relu = n.PReLU(name="relu", inputs=("half",), slope=np.zeros(8, np.float32))
    found = of_signs(Graph({"x": X}, (*planes, add, half, relu), "relu"))
    assert shown(found) == [("sum", "BinaryConv", "x"), ("relu", "PReLU", "sum")]
    assert isinstance(found.edges["relu"], Real)
    third = n.Affine(name="half", inputs=("sum",), scale=np.full(8, 0.3, np.float32), offset=SAME["offset"])
    found = of_signs(Graph({"x": X}, (*planes, add, third, relu), "relu"))
    assert [name for name, *_ in shown(found)] == ["sum", "half", "relu"]
