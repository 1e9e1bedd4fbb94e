"""A network as a graph of packed nodes: the one thing that training and running share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod

from signbit.packed.edges import Edge, GraphError, Image, check_edge
from signbit.packed.image import ImagePreparation
from signbit.packed.nodes import BinaryConv, BinaryLinear, Node
from signbit.packed.schema import dtype_name, tensor_fields
from signbit.packed.weights import MAX_COMPRESSED, Codebook, Dense, Gaps

MAX_NODES = 10_000
MAX_TOTAL = 2**30
MAX_NAME = 256
MAX_WORK = 2**40
"""Most additions for one sample, some fifty times a large ImageNet network: a small file must not ask for days."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in order of execution, from named inputs to one output. Checked on construction, then immutable.

    Attributes:
        inputs: edge of each input; a packed file has exactly one, called "input" by convention.
        nodes: every node after those it reads.
        output: name of the node whose value is the result.
        image: how an image file becomes the input, or None for other inputs.
        labels: class names, or empty.
        edges: the edge of every input and node, by name; derived.
    """

    inputs: Mapping[str, Edge]
    nodes: tuple[Node, ...]
    output: str
    image: ImagePreparation | None = None
    labels: tuple[str, ...] = ()
    edges: Mapping[str, Edge] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        edges: dict[str, Edge] = {}
        for name, edge in self.inputs.items():
            edges[name] = _named(name, partial(check_edge, edge))
        if len(self.nodes) > MAX_NODES:
            raise GraphError(f"{len(self.nodes)} nodes are more than {MAX_NODES}")
        for node in self.nodes:
            if not 1 <= len(node.name) <= MAX_NAME or node.name in edges:
                raise GraphError(f"node {node.name[:60]!r}: the name is empty, taken or longer than {MAX_NAME}")
            for source in node.inputs:
                if source not in edges:
                    raise GraphError(f"node {node.name!r}: input {source!r} is not an earlier node")
            edges[node.name] = _named(node.name, partial(_infer, node, edges))
        if sum(prod(edge.shape) for edge in edges.values()) > MAX_TOTAL:
            raise GraphError(f"the edges of one sample hold more than {MAX_TOTAL} values")
        if (coded := sum(_coded_weights(node, edges) for node in self.nodes)) > MAX_COMPRESSED:
            raise GraphError(f"{coded} coded weights are more than {MAX_COMPRESSED}")
        if sum(prod(edges[node.name].shape) * node.terms(edges[node.inputs[0]]) for node in self.nodes) > MAX_WORK:
            raise GraphError(f"one sample takes more than {MAX_WORK} additions")
        if self.output not in edges:
            raise GraphError(f"output {self.output!r} is not a node")
        if self.image is not None and list(self.inputs.values()) != [Image(self.image.shape)]:
            raise GraphError(f"the image preparation gives {self.image.shape}, the graph reads {dict(self.inputs)}")
        if self.labels and len(self.labels) != prod(edges[self.output].shape):
            raise GraphError(f"{len(self.labels)} labels for an output of {prod(edges[self.output].shape)} values")
        if not all(label.isprintable() for label in self.labels):
            raise GraphError("a label holds a character that cannot be printed")
        object.__setattr__(self, "edges", edges)

    def node(self, name: str) -> Node:
        """The node called `name`; `KeyError` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def isolate(self, node: Node) -> "Graph":
        """A graph of `node` alone, its sources turned into inputs: for checking one node at a time."""
        return Graph({source: self.edges[source] for source in node.inputs}, (node,), node.name)


def _infer(node: Node, edges: Mapping[str, Edge]) -> Edge:
    sources = [edges[source] for source in node.inputs]
    _check_dtypes(node)
    if isinstance(weight := getattr(node, "weight", None), Dense | Gaps | Codebook):
        _check_dtypes(weight)
    try:
        edge = node.infer(*sources)
    except (ValueError, TypeError, IndexError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"{type(node).__name__} cannot take {len(sources)} inputs") from None
    return check_edge(edge)


def _check_dtypes(holder: object) -> None:
    for name, allowed in tensor_fields(type(holder)).items():
        array = getattr(holder, name)
        if array is None:
            continue
        given = dtype_name(array.dtype) if hasattr(array, "dtype") else type(array).__name__
        if given not in allowed:
            raise GraphError(f"{name} is {given}, expected {' or '.join(allowed)}")


def _coded_weights(node: Node, edges: Mapping[str, Edge]) -> int:
    """How many weights the node unfolds from gaps or a codebook: each few bytes, so their total needs a limit."""
    coded = isinstance(getattr(node, "weight", None), Gaps | Codebook)  # quick: most nodes have no such weight
    if not coded or not isinstance(node, BinaryConv | BinaryLinear):
        return 0
    return node.filters * node.depth(edges[node.inputs[0]])


def _named(name: str, infer: Callable[[], Edge]) -> Edge:
    try:
        return infer()
    except GraphError as error:
        raise GraphError(f"node {name!r}: {error}") from None
