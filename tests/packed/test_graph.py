import numpy as np
import pytest

from signbit.packed import Bits, Graph, GraphError, Image, ImagePreparation, Int, Real, Window
from signbit.packed import nodes as n
from signbit.packed.graph import MAX_NODES
from signbit.packed.weights import Gaps


def sign(name, source):
    return n.Sign(name=name, inputs=(source,))


def coded(filters):
    """Gaps that list nothing: a few bytes, whatever the depth."""
    return Gaps(stream=np.zeros(0, np.uint8), rice=np.zeros(filters, np.uint8), count=np.zeros(filters, np.uint32))


def wide(layers):
    """Layers that each unfold 2^26 coded weights from nine bytes."""
    nodes = [n.BinaryLinear(name=f"{i}", inputs=("input",), filters=1, weight=coded(1)) for i in range(layers)]
    return {"inputs": {"input": Bits((2**26,))}, "nodes": tuple(nodes), "output": "0"}


PREPARATION = ImagePreparation(height=2, width=2)

BAD = {
    "edge of an input": ({"inputs": {"input": Bits((0,))}}, "node 'input': shape"),
    "too many nodes": ({"nodes": (sign("s", "input"),) * (MAX_NODES + 1)}, "10001 nodes are more than"),
    "empty name": ({"nodes": (sign("", "input"),)}, "node '': the name is empty"),
    "long name": ({"nodes": (sign("s" * 257, "input"),)}, "longer than 256"),
    "name taken": ({"nodes": (sign("input", "input"),)}, "node 'input': the name is empty, taken"),
    "unknown source": ({"nodes": (sign("s", "other"),)}, "node 's': input 'other' is not an earlier node"),
    "later source": (
        {"inputs": {"input": Real((1,))}, "nodes": (sign("a", "b"), sign("b", "input"))},
        "node 'a': input 'b' is not an earlier node",
    ),
    "itself": ({"nodes": (sign("s", "s"),)}, "node 's': input 's' is not an earlier node"),
    "node's rule": ({"nodes": (sign("s", "input"),)}, "node 's': needs reals or integers, got bits 70"),
    "unknown output": ({"output": "none"}, "output 'none' is not a node"),
    "other image": ({"image": PREPARATION}, r"the image preparation gives \(3, 2, 2\)"),
    "labels": ({"labels": ("a", "b")}, "2 labels for an output of 3 values"),
    "labels that control a terminal": ({"labels": ("a", "b", "\x1b[2J")}, "cannot be printed"),
    "labels that are no text": ({"labels": ("a", "b", "\ud800")}, "cannot be printed"),
    "output too large": (
        {
            "inputs": {"input": Real((2**25,))},
            "nodes": (n.Add(name="a", inputs=("input", "input")), n.Concat(name="b", inputs=("input", "a", "a"))),
            "output": "b",
        },
        "node 'b': shape .* has more than",
    ),
    "all edges too large": (
        {
            "inputs": {"input": Real((2**26,))},
            "nodes": tuple(n.HardTanh(name=f"{i}", inputs=("input",)) for i in range(16)),
            "output": "0",
        },
        "the edges of one sample hold more than",
    ),
    "days of work": (
        {
            "inputs": {"input": Real((1, 2**12, 2**12))},
            "nodes": (
                n.Pool(
                    name="p",
                    inputs=("input",),
                    window=Window(kernel=(2**12, 2**12), padding=(2**11, 2**11, 2**11, 2**11)),
                ),
            ),
            "output": "p",
        },
        "one sample takes more than 1099511627776 additions",
    ),
    "coded weights": (wide(5), "335544320 coded weights are more than 268435456"),
    "sum over int32": (
        {
            "inputs": {"input": Int((1,), -(2**30), 2**30)},
            "nodes": (n.Add(name="a", inputs=("input", "input")),),
            "output": "a",
        },
        "node 'a': integers from -2147483648 to 2147483648 do not fit",
    ),
    "dtype": (
        {
            "inputs": {"input": Int((1,), 0, 1)},
            "nodes": (n.Threshold(name="t", inputs=("input",), threshold=np.zeros(1), direction=np.ones(1, np.int8)),),
            "output": "t",
        },
        "node 't': threshold is float64, expected int32",
    ),
    "a list for an array": (
        {
            "inputs": {"input": Real((1,))},
            "nodes": (n.Affine(name="a", inputs=("input",), scale=[1.0], offset=np.zeros(1, np.float32)),),
            "output": "a",
        },
        "node 'a': scale is list, expected float32",
    ),
    "dtype of weights": (
        {
            "nodes": (
                n.BinaryLinear(
                    name="b",
                    inputs=("input",),
                    filters=1,
                    weight=Gaps(stream=np.zeros(0, np.uint8), rice=np.zeros(1, np.uint8), count=np.zeros(1, np.int64)),
                ),
            ),
            "output": "b",
        },
        "node 'b': count is int64, expected uint16 or uint32",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_graphs_that_break_a_rule(small, case):
    parts, message = BAD[case]
    with pytest.raises(GraphError, match=message):
        small(**parts)


def test_a_graph_knows_its_edges_and_nodes(every_node):
    assert every_node.edges["input"] == Image((3, 8, 8))
    assert every_node.edges["two_planes"] == Bits((4, 8, 8), 2)
    assert every_node.edges["score"] == Real((5,))
    assert every_node.node("prelu").inputs == ("sum",)
    with pytest.raises(KeyError):
        every_node.node("input")


def test_one_node_alone(every_node):
    for node in every_node.nodes:
        alone = every_node.isolate(node)
        assert alone.edges[alone.output] == every_node.edges[node.name]
        assert set(alone.inputs) == set(node.inputs)


def test_a_graph_may_have_several_inputs_and_consumers_or_no_nodes(small):
    two = Graph(
        {"a": Real((2,)), "b": Real((2,))},
        (n.Add(name="c", inputs=("a", "b")), n.Add(name="d", inputs=("a", "c"))),
        "d",
    )
    assert two.edges["d"] == Real((2,))
    assert Graph({"a": Real((2,))}, (), "a").output == "a"
    assert small(labels=("x", "y", "z")).labels == ("x", "y", "z")
    assert wide(4)
    assert Graph(**wide(4)).output == "0"
