"""Describes a graph to the native plan builder: plain dictionaries and arrays."""

from dataclasses import fields
from typing import Any

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Int
from signbit.packed.graph import Graph
from signbit.packed.nodes import BinaryConv, BinaryLinear, Node
from signbit.packed.weights import BinaryWeights, Codebook, Dense, Gaps
from signbit.packed.window import Window


def describe_inputs(graph: Graph) -> list[tuple[str, dict[str, Any]]]:
    """Name and edge of every input."""
    return [(name, _edge(edge)) for name, edge in graph.inputs.items()]


def describe_nodes(graph: Graph) -> list[dict[str, Any]]:
    """Every node, its weights of one bit as they are stored: the engine decodes them itself."""
    return [_node(node) for node in graph.nodes]


def _edge(edge: Edge) -> dict[str, Any]:
    description: dict[str, Any] = {"kind": type(edge).__name__, "shape": edge.shape}
    match edge:
        case Bits():
            description |= {"planes": edge.planes}
        case Int():
            description |= {"low": edge.low, "high": edge.high}
    return description


def _node(node: Node) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    tensors: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        match value:
            case None:
                continue
            case np.ndarray():
                tensors[field.name] = np.ascontiguousarray(value)
            case Window():
                attributes[field.name] = [*value.kernel, *value.stride, *value.padding, *value.dilation]
            case bool() | int() | float() | str() if field.name != "name":
                attributes[field.name] = value
    if isinstance(node, BinaryConv | BinaryLinear):
        more, streams = _weight(node.weight)
        attributes |= more
        tensors |= {name: np.ascontiguousarray(stream) for name, stream in streams.items()}
        if node.levels is not None:
            tensors["levels"] = np.ascontiguousarray(np.broadcast_to(node.levels, (node.filters, 2)))
    return {
        "op": type(node).__name__,
        "name": node.name,
        "inputs": list(node.inputs),
        "attributes": attributes,
        "tensors": tensors,
    }


def _weight(weight: BinaryWeights) -> tuple[dict[str, int], dict[str, Array]]:
    """Attributes and tensors of one-bit weights."""
    match weight:
        case Dense():
            return {}, {"weight": weight.bits}
        case Gaps():
            # The graph was checked: no count is above the depth, which is below 2^31.
            count = weight.count.astype(np.int32)
            return {}, {"weight.stream": weight.stream, "weight.rice": weight.rice, "weight.count": count}
        case Codebook():
            sizes = {"weight.taps": weight.taps, "weight.width": weight.width}
            return sizes, {"weight.patterns": weight.patterns, "weight.index": weight.index}
