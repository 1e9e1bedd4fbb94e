import numpy as np
import pytest

from signbit.packed import NODES, Bits, GraphError, Image, Int, Real, Window
from signbit.packed import nodes as n
from signbit.packed.weights import Gaps, encode_dense

MAP = (4, 6, 6)
SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
PLAIN = Window(kernel=(3, 3))
HALF = Window(kernel=(2, 2), stride=(2, 2))


def real(*shape):
    return np.ones(shape, np.float32)


def int8(*shape):
    return np.full(shape, -2, np.int8)


def int32(*values):
    return np.array(values, np.int32)


def dense(filters, depth):
    return encode_dense(np.zeros((filters, depth), np.uint8))


def make(op, **fields):
    return NODES[op](name="node", inputs=(), **fields)


def conv(**fields):
    return make("BinaryConv", **({"window": SAME, "filters": 6, "weight": dense(6, 36)} | fields))


def linear(**fields):
    return make("BinaryLinear", **({"filters": 3, "weight": dense(3, 10)} | fields))


def fires(**fields):
    return make("Threshold", **({"threshold": int32(0, 0, 0, 0), "direction": -int8(4) // 2} | fields))


GOOD = [
    (conv(), [Bits(MAP)], Int((6, 6, 6), -36, 36)),
    (conv(window=PLAIN), [Bits(MAP, 2)], Int((6, 4, 4), -108, 108)),
    (conv(groups=2, weight=dense(6, 18)), [Bits(MAP)], Int((6, 6, 6), -18, 18)),
    (conv(), [Int(MAP, -5, 9)], Int((6, 6, 6), -324, 324)),
    (conv(), [Image(MAP)], Int((6, 6, 6), -9180, 9180)),
    (conv(), [Int(MAP, 0, 0)], Int((6, 6, 6), -36, 36)),
    (conv(pad_value=0), [Int(MAP, 0, 0)], Int((6, 6, 6), 0, 0)),
    (conv(format="float16"), [Real(MAP)], Real((6, 6, 6), "float16")),
    (conv(levels=real(6, 2)), [Bits(MAP), Int((1, 6, 6), -36, 36)], Real((6, 6, 6))),
    (
        conv(levels=real(6, 2), groups=2, weight=dense(6, 18)),
        [Bits(MAP), Int((2, 6, 6), -18, 18)],
        Real((6, 6, 6)),
    ),
    (linear(), [Bits((10,))], Int((3,), -10, 10)),
    (linear(format="int16", step=0.5), [Real((10,))], Real((3,), "int16", 0.5)),
    (linear(levels=real(3, 2)), [Bits((10,)), Int((1,), -10, 10)], Real((3,))),
    (linear(levels=real(1, 2)), [Bits((10,)), Int((1,), -10, 10)], Real((3,))),
    (make("WindowSum", window=SAME), [Bits(MAP)], Int((1, 6, 6), -36, 36)),
    (make("WindowSum", window=PLAIN, groups=2), [Bits(MAP, 2)], Int((2, 4, 4), -54, 54)),
    (make("WindowSum"), [Bits((10,))], Int((1,), -10, 10)),
    (make("Conv", window=SAME, weight=int8(5, 4, 3, 3)), [Image(MAP)], Int((5, 6, 6), -18360, 18360)),
    (make("Conv", window=SAME, weight=real(5, 4, 3, 3), bias=real(5)), [Bits(MAP)], Real((5, 6, 6))),
    (make("Conv", window=SAME, groups=4, weight=real(8, 1, 3, 3)), [Real(MAP)], Real((8, 6, 6))),
    (make("Linear", weight=int8(3, 10)), [Int((10,), -128, 127)], Int((3,), -2560, 2560)),
    (make("Linear", weight=real(3, 10), bias=real(3)), [Int((10,), -9999, 9999)], Real((3,))),
    (make("Lookup", table=np.arange(256, dtype=np.int32)[None]), [Image(MAP)], Int(MAP, 0, 255)),
    (make("Lookup", table=real(4, 256)), [Image(MAP)], Real(MAP)),
    (make("Affine", scale=real(4), offset=real(4), format="float16"), [Int(MAP, 0, 9)], Real(MAP, "float16")),
    (make("Affine", scale=real(4), offset=real(4, 2), border=np.ones((6, 6), np.uint8)), [Bits(MAP)], Real(MAP)),
    (make("Affine", scale=real(10), offset=real(10)), [Image((10, 1, 1))], Real((10, 1, 1))),
    (fires(), [Int(MAP, -9, 9)], Bits(MAP)),
    (fires(), [Image(MAP)], Bits(MAP)),
    (fires(threshold=np.zeros((4, 3), np.int32), border=np.full((6, 6), 2, np.uint8)), [Int(MAP, 0, 9)], Bits(MAP)),
    (
        fires(threshold=np.zeros((4, 10), np.int32), table_low=-9, table_step=2),
        [Int(MAP, 0, 9), Int((2, 6, 6), -9, 9)],
        Bits(MAP),
    ),
    (make("Sign"), [Real(MAP)], Bits(MAP)),
    (make("Sign", planes=2, shift=real(4)), [Int(MAP, -9, 9)], Bits(MAP, 2)),
    (make("Quantize", inverse_step=2.0, zero=5, low=0, high=255), [Real(MAP)], Int(MAP, 0, 255)),
    (make("Add"), [Int(MAP, -1, 2), Int(MAP, -3, 4), Int(MAP, 0, 0)], Int(MAP, -4, 6)),
    (make("Add"), [Int(MAP, -1, 2), Real(MAP, "float16")], Real(MAP)),
    (make("Concat"), [Bits(MAP), Bits((2, 6, 6))], Bits((6, 6, 6))),
    (make("Concat"), [Int((3,), -1, 2), Int((4,), -3, 1)], Int((7,), -3, 2)),
    (make("Concat"), [Real((3,), "float16"), Real((4,), "float16")], Real((7,), "float16")),
    (make("Concat"), [Real((3,), "float16"), Real((4,))], Real((7,))),
    (make("Pool", window=HALF), [Bits(MAP, 2)], Bits((4, 3, 3), 2)),
    (make("Pool", window=SAME), [Int(MAP, -5, 9)], Int(MAP, -5, 9)),
    (make("Pool", window=HALF, mode="sum"), [Int(MAP, 2, 9)], Int((4, 3, 3), 0, 36)),
    (make("Pool", window=HALF, mode="mean", format="int16", step=1.0), [Bits(MAP)], Real((4, 3, 3), "int16", 1.0)),
    (make("PReLU", slope=real(4), positive=real(4)), [Int(MAP, -9, 9)], Real(MAP)),
    (make("HardTanh", low=0.0, high=0.0), [Real(MAP)], Real(MAP)),
    (make("Norm", scale=real(4), offset=real(4)), [Real(MAP)], Real(MAP)),
    (make("Norm", over="sample", scale=real(*MAP)), [Int(MAP, 0, 1)], Real(MAP)),
    (make("Gate"), [Real(MAP), Real(MAP)], Real(MAP)),
    (make("Gate"), [Real(MAP), Real((4,))], Real(MAP)),
    (make("Gate", function="sigmoid"), [Int(MAP, 0, 1), Int((1, 6, 1), 0, 1)], Real(MAP)),
    (make("Where"), [Bits(MAP), Int(MAP, 0, 1), Int(MAP, -5, 0)], Int(MAP, -5, 1)),
    (make("Where"), [Bits(MAP), Bits(MAP, 2), Bits(MAP, 2)], Bits(MAP, 2)),
    (make("Where"), [Bits(MAP), Int(MAP, 0, 1), Real(MAP, "float16")], Real(MAP)),
    (make("Select", index=int32(3, -1, 0)), [Int(MAP, 4, 9)], Int((3, 6, 6), 0, 9)),
    (make("Select", index=int32(1, 1)), [Bits(MAP, 2)], Bits((2, 6, 6), 2)),
    (make("Roll", shift=int8(4, 2)), [Real(MAP, "float16")], Real(MAP, "float16")),
    (make("Flatten"), [Bits(MAP)], Bits((144,))),
    (make("Flatten"), [Real((9,))], Real((9,))),
]


@pytest.mark.parametrize("case", range(len(GOOD)))
def test_the_output_edge(case):
    node, edges, expected = GOOD[case]
    assert node.infer(*edges) == expected


def test_every_node_type_is_tried():
    assert {type(node).__name__ for node, *_ in GOOD} == set(NODES) == {node.__name__ for node in NODES.values()}


def gaps(**fields):
    arrays = {"stream": np.zeros(1, np.uint8), "rice": np.zeros(6, np.uint8), "count": np.zeros(6, np.uint16)}
    return Gaps(**(arrays | fields))


NAN = np.array([np.nan, 1, 1, 1], np.float32)
BAD = [
    (conv(), [Bits((36,))], "a window needs"),
    (conv(), [Bits((3, 6, 6))], "6 filters of 27 bits need"),
    (conv(filters=0), [Bits(MAP)], "0 filters in 1 groups"),
    (conv(groups=0), [Bits(MAP)], "in 0 groups"),
    (conv(groups=3), [Bits(MAP)], "do not divide into 3 groups"),
    (conv(filters=5, groups=2), [Bits(MAP)], "do not divide into 2 groups"),
    (conv(weight=gaps(count=np.full(6, 99, np.uint16))), [Bits(MAP)], "lists more than its 36"),
    (conv(), [Bits(MAP), Int((1, 6, 6), 0, 1)], "second input needs levels"),
    (conv(levels=real(6, 2)), [Bits(MAP)], "window sum as second input"),
    (conv(levels=real(6, 2)), [Bits(MAP), Real((1, 6, 6))], "window sum as second input"),
    (conv(levels=real(6, 2)), [Bits(MAP), Int((4, 6, 6), 0, 1)], "does not fit"),
    (conv(levels=real(6, 2)), [Bits(MAP), Int((1, 4, 4), 0, 1)], "does not fit"),
    (conv(levels=real(6, 3)), [Bits(MAP), Int((1, 6, 6), 0, 1)], r"levels has shape \(6, 3\), expected \(6, 2\)"),
    (conv(levels=real(6, 2) * np.inf), [Bits(MAP), Int((1, 6, 6), 0, 1)], "levels holds a value that is not finite"),
    (conv(levels=real(6, 2)), [Int(MAP, 0, 1), Int((1, 6, 6), 0, 1)], "levels need bits"),
    (conv(format="float16"), [Bits(MAP)], "integer sums have no real format"),
    (linear(), [Bits(MAP)], r"needs an input of \(features,\)"),
    (linear(), [Bits((11,))], "3 filters of 11 bits"),
    (linear(filters=-1), [Bits((10,))], "-1 filters"),
    (linear(step=1.0), [Bits((10,))], "no real format"),
    (make("WindowSum"), [Bits(MAP)], "without a window"),
    (make("WindowSum", groups=2), [Bits((10,))], "without a window"),
    (make("WindowSum", window=SAME, groups=3), [Bits(MAP)], "4 channels in 3 groups"),
    (make("WindowSum", window=SAME, groups=0), [Bits(MAP)], "in 0 groups"),
    (make("WindowSum", window=SAME), [Real(MAP)], "expected integers or bits"),
    (make("Conv", window=SAME, weight=int8(5, 3, 3, 3)), [Image(MAP)], "weight has shape"),
    (make("Conv", window=SAME, weight=np.float32(1)), [Real(MAP)], "weight has shape"),
    (make("Conv", window=SAME, groups=3, weight=real(6, 1, 3, 3)), [Real(MAP)], "4 channels in 3 groups"),
    (make("Conv", window=SAME, groups=0, weight=real(6, 1, 3, 3)), [Real(MAP)], "6 filters in 0 groups"),
    (make("Conv", window=SAME, weight=real(5, 4, 3, 3)), [Image(MAP)], "look pixels up first"),
    (make("Conv", window=SAME, weight=real(5, 4, 3, 3) * np.nan), [Real(MAP)], "weight holds"),
    (make("Conv", window=SAME, weight=real(5, 4, 3, 3), bias=real(4)), [Real(MAP)], "bias has shape"),
    (make("Linear", weight=real(3, 10), bias=NAN[:3]), [Real((10,))], "bias holds"),
    (make("Linear", weight=int8(3, 10), bias=real(3)), [Int((10,), 0, 9)], "no bias"),
    (make("Linear", weight=int8(3, 10), format="float16"), [Int((10,), 0, 9)], "no real format"),
    (make("Linear", weight=int8(3, 10)), [Int((10,), -1, 128)], "8-bit inputs"),
    (make("Linear", weight=int8(3, 10)), [Int((10,), -129, 0)], "8-bit inputs"),
    (make("Linear", weight=int8(3, 10)), [Real((10,))], "expected integers or bits"),
    (make("Linear", weight=int8(3, 10)), [Bits(MAP)], "needs an input of"),
    (make("Linear", weight=int8(3, 9)), [Bits((10,))], "weight has shape"),
    (make("Lookup", table=real(1, 256)), [Bits(MAP)], "needs an image"),
    (make("Lookup", table=real(3, 256)), [Image(MAP)], "table has shape"),
    (make("Lookup", table=real(1, 256) / np.float32(np.inf) * np.nan), [Image(MAP)], "table holds"),
    (make("Affine", scale=real(3), offset=real(4)), [Real(MAP)], "scale has shape"),
    (make("Affine", scale=real(4), offset=real(3)), [Real(MAP)], "offset has shape"),
    (make("Affine", scale=NAN, offset=real(4)), [Real(MAP)], "scale holds"),
    (make("Affine", scale=real(4), offset=NAN), [Real(MAP)], "offset holds"),
    (make("Affine", scale=real(4), offset=real(4), border=np.zeros((6, 6), np.uint8)), [Real(MAP)], "offset has shape"),
    (make("Affine", scale=real(4), offset=real(4, 1), border=np.zeros((5, 6), np.uint8)), [Real(MAP)], "border has"),
    (make("Affine", scale=real(4), offset=real(4, 1), border=np.ones((6, 6), np.uint8)), [Real(MAP)], "past the 1"),
    (fires(), [Real(MAP)], "expected integers or bits"),
    (fires(), [], "list index|index out of range"),
    (fires(direction=int8(4)), [Int(MAP, 0, 1)], "other than -1 and 1"),
    (fires(direction=int8(3) // 2), [Int(MAP, 0, 1)], "direction has shape"),
    (fires(threshold=int32(0)), [Int(MAP, 0, 1)], "threshold has shape"),
    (fires(border=np.zeros((6, 6), np.uint8)), [Int(MAP, 0, 1)], "threshold has shape"),
    (fires(), [Int(MAP, 0, 1), Int((1, 6, 6), 0, 1)], "threshold has shape"),
    (fires(), [Int(MAP, 0, 1)] * 3, "one window sum"),
    (fires(border=np.zeros((6, 6), np.uint8)), [Int(MAP, 0, 1)] * 2, "then no border"),
    (fires(threshold=np.zeros((4, 9), np.int32)), [Int(MAP, 0, 1), Int((1, 6, 6), -1, 8)], "misses some of -1..8"),
    (fires(threshold=np.zeros((4, 8), np.int32)), [Int(MAP, 0, 1), Int((1, 6, 6), 0, 8)], "misses some of 0..8"),
    (fires(threshold=np.zeros((4, 9), np.int32), table_step=0), [Int(MAP, 0, 1), Int((1, 6, 6), 0, 8)], "by 0 misses"),
    (fires(threshold=np.zeros((4, 9), np.int32)), [Int(MAP, 0, 1), Int((3, 6, 6), 0, 8)], "does not fit"),
    (make("Sign"), [Bits(MAP)], "needs reals or integers"),
    (make("Sign", shift=real(3)), [Real(MAP)], "shift has shape"),
    (make("Sign", shift=NAN), [Real(MAP)], "shift holds"),
    (make("Quantize", inverse_step=1.0), [Int(MAP, 0, 1)], "needs reals"),
    (make("Quantize", inverse_step=0.0), [Real(MAP)], "inverse_step must be positive"),
    (make("Quantize", inverse_step=1e31), [Real(MAP)], "inverse_step must be positive"),
    (make("Quantize", inverse_step=1.0, low=1, high=0), [Real(MAP)], "low 1, zero 0, high 0"),
    (make("Quantize", inverse_step=1.0, zero=200), [Real(MAP)], "zero 200"),
    (make("Add"), [Real(MAP)], "two or more inputs, got 1"),
    (make("Add"), [Real(MAP), Real((4,))], "differ in shape"),
    (make("Add"), [Real(MAP), Bits(MAP)], "needs integers or reals"),
    (make("Concat"), [Real(MAP)], "two or more"),
    (make("Concat"), [Real(MAP), Bits(MAP)], "differ in kind"),
    (make("Concat"), [Bits(MAP, 2), Bits(MAP)], "differ in kind"),
    (make("Concat"), [Bits(MAP), Bits((4, 6, 5))], "differ in kind or size"),
    (make("Pool", window=HALF), [Bits((4,))], "a window needs"),
    (make("Pool", window=HALF, mode="sum"), [Real(MAP)], "expected integers"),
    (
        make("Pool", window=Window(kernel=(2, 1), dilation=(3, 1), padding=(2, 0, 2, 0))),
        [Real((1, 1, 4))],
        "leave windows without a value",
    ),
    (make("PReLU", slope=real(4)), [Bits(MAP)], "needs reals or integers"),
    (make("PReLU", slope=real(3)), [Real(MAP)], "slope has shape"),
    (make("PReLU", slope=NAN), [Real(MAP)], "slope holds"),
    (make("PReLU", slope=real(4), positive=real(3)), [Real(MAP)], "positive has shape"),
    (make("PReLU", slope=real(4), positive=NAN), [Real(MAP)], "positive holds"),
    (make("HardTanh"), [Image(MAP)], "needs reals or integers"),
    (make("HardTanh", low=2.0), [Real(MAP)], "is above high"),
    (make("Norm"), [Bits(MAP)], "needs reals or integers"),
    (make("Norm", eps=0.0), [Real(MAP)], "eps must be positive"),
    (make("Norm", scale=real(*MAP)), [Real(MAP)], "scale has shape"),
    (make("Norm", offset=NAN), [Real(MAP)], "offset holds"),
    (make("Gate"), [Real(MAP), Bits(MAP)], "needs reals"),
    (make("Gate"), [Real(MAP), Real((6,))], "does not fit"),
    (make("Gate"), [Real(MAP), Real((4, 2, 6))], "does not fit"),
    (make("Where"), [Real(MAP), Real(MAP), Real(MAP)], "not bits"),
    (make("Where"), [Bits(MAP, 2), Real(MAP), Real(MAP)], "not bits"),
    (make("Where"), [Bits(MAP), Bits(MAP), Real(MAP)], "cannot choose"),
    (make("Where"), [Bits(MAP), Real(MAP), Real((4,))], "differ in shape"),
    (make("Select", index=int32(-1)), [Bits(MAP)], "outside 0..3"),
    (make("Select", index=int32(-2)), [Real(MAP)], "outside -1..3"),
    (make("Select", index=int32(4)), [Real(MAP)], "outside -1..3"),
    (make("Select", index=int32()), [Real(MAP)], "index has shape"),
    (make("Select", index=np.zeros((2, 2), np.int32)), [Real(MAP)], "index has shape"),
    (make("Roll", shift=int8(3, 2)), [Real(MAP)], "shift has shape"),
    (make("Roll", shift=int8(4, 2)), [Real((4,))], "needs .channels, height, width."),
    (make("Flatten"), [Image(MAP)], "an image cannot be flattened"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_what_a_node_refuses(case):
    node, edges, message = BAD[case]
    with pytest.raises((GraphError, IndexError), match=message):
        node.infer(*edges)


@pytest.mark.parametrize("op", NODES)
def test_too_few_inputs_are_a_graph_error(op):
    from signbit.packed.graph import Graph

    example = next(node for node, *_ in GOOD if type(node).__name__ == op)
    with pytest.raises(GraphError, match=r"node 'node': .*(cannot take 0|two or more)"):
        Graph({"input": Bits((4,))}, (example,), "node")
    assert isinstance(example, n.Node)
