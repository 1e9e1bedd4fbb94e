"""The same network with every weight ±1, in one bit: what a sparse, ternary or sub-bit file is compared with."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

import numpy as np

from signbit.packed import nodes as n
from signbit.packed.edges import Edge, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import Dense

Product = n.BinaryConv | n.BinaryLinear


def ternary_layers(graph: Graph) -> dict[str, tuple[Product, Product]]:
    """By the Add's name: two products of one input that an Add, and nothing else, makes one ternary weight."""
    found: dict[str, tuple[Product, Product]] = {}
    nodes = {node.name: node for node in graph.nodes}
    uses = Counter([graph.output, *(source for node in graph.nodes for source in node.inputs)])
    for add in graph.nodes:
        if not isinstance(add, n.Add) or len(add.inputs) != 2 or any(uses[name] > 1 for name in add.inputs):
            continue
        first, second = (nodes.get(name) for name in add.inputs)
        if not isinstance(first, Product) or not isinstance(second, Product):
            continue
        if first.inputs == second.inputs and first.filters == second.filters:
            x = graph.edges[first.inputs[0]]
            # No weight gets +2: where the first plane has -1 (a set bit), the second has it too.
            if first.depth(x) == second.depth(x) and not np.any(
                first.weight.decode(first.filters, first.depth(x))
                > second.weight.decode(second.filters, first.depth(x))
            ):
                found[add.name] = first, second
    return found


def one_bit_a_weight(graph: Graph, ternary: Mapping[str, tuple[Product, Product]]) -> Graph:
    """The graph that the same layers have with weights of ±1, each in one bit: for its size alone.

    A ternary layer is one product. A layer of two levels loses them and its window sum and gives integers, so that a
    sign behind it is a threshold, whose direction leaves nothing to be turned first.

    Args:
        graph: what is compared with it.
        ternary: its `ternary_layers`.
    """
    planes = {plane.name for layer in ternary.values() for plane in layer}
    edges: dict[str, Edge] = dict(graph.inputs)
    nodes: list[n.Node] = []
    turned: dict[str, str] = {}
    for node in graph.nodes:
        if node.name in planes:
            continue
        if node.name in ternary:
            node = replace(ternary[node.name][0], name=node.name)
        node = replace(node, inputs=tuple(turned.get(source, source) for source in node.inputs))
        integers = {s for s in node.inputs if isinstance(edges[s], Int) and isinstance(graph.edges[s], Real)}
        # Signs turned before a max-pool, and the 1/2 of a sum of two planes that no batch norm has taken up.
        idle = _scales_by(1, node) if integers else node.inputs[0] in ternary and _scales_by(0.5, node)
        if idle and node.name != graph.output:
            turned[node.name] = node.inputs[0]
            continue
        for made in _without_levels(node, edges, integers):
            edges[made.name] = made.infer(*(edges[source] for source in made.inputs))
            nodes.append(made)
    read = {graph.output, *(source for node in nodes for source in node.inputs)}
    return replace(graph, nodes=tuple(node for node in nodes if node.name in read or not isinstance(node, n.WindowSum)))


def _without_levels(node: n.Node, edges: Mapping[str, Edge], integers: Set[str]) -> Iterator[n.Node]:
    """The node as weights of ±1 leave it, where its inputs named in `integers` held reals before."""
    x = edges[node.inputs[0]]
    match node:
        case n.BinaryConv() | n.BinaryLinear():
            weight = Dense(bits=np.zeros(-(-node.filters * node.depth(x) // 8), np.uint8))
            if node.levels is not None:
                node = replace(node, inputs=node.inputs[:1], levels=None, format="float32", step=None)
            yield replace(node, weight=weight)
        case n.Threshold(inputs=(_, _)):
            yield _threshold(node, x)
        case n.Sign(planes=1) if integers:
            yield _threshold(node, x)
        case n.Quantize() | n.Concat() if integers and (
            isinstance(node, n.Quantize) or any(isinstance(edges[source], Real) for source in node.inputs)
        ):
            yield from _on_reals(node, edges, integers)
        case _:
            yield node


def _threshold(node: n.Node, x: Edge) -> n.Threshold:
    """A threshold and a direction for each channel of x."""
    channels = x.shape[0]
    cut, up = np.zeros(channels, np.int32), np.ones(channels, np.int8)
    return n.Threshold(name=node.name, inputs=node.inputs[:1], threshold=cut, direction=up)


def _on_reals(node: n.Node, edges: Mapping[str, Edge], integers: Set[str]) -> Iterator[n.Node]:
    """A node that takes no integers, each of `integers` made real before it as export does."""
    inputs = {source: f"{node.name}.{i}" if source in integers else source for i, source in enumerate(node.inputs)}
    for source in integers:
        one, zero = np.ones(edges[source].shape[0], np.float32), np.zeros(edges[source].shape[0], np.float32)
        yield n.Affine(name=inputs[source], inputs=(source,), scale=one, offset=zero)
    yield replace(node, inputs=tuple(inputs[source] for source in node.inputs))


def _scales_by(size: float, node: n.Node) -> bool:
    """Whether all that a node does is to multiply by `size` or -`size`."""
    if not isinstance(node, n.Affine) or node.border is not None:
        return False
    return bool(np.all(np.abs(node.scale) == size) and not np.any(node.offset))
