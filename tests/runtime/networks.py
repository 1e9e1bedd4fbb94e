"""Random networks of many nodes without float sums, so that any two engines must agree bit for bit."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from runtime.cases import CHANNELS, Draw, Rng, bit_weights, filters_of, floats, groups_of, window_of
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Edge, Image, Int, Real
from signbit.packed.graph import Graph, GraphError
from signbit.packed.window import Window


class Builder:
    """Grows a graph node by node; every value made so far may be read again."""

    def __init__(self, draw: Draw, rng: Rng, image: Image) -> None:
        self.draw, self.rng = draw, rng
        self.inputs = {"input": image}
        self.nodes: list[n.Node] = []
        self.edges: dict[str, Edge] = dict(self.inputs)

    def add(self, cls: type[n.Node], *sources: str, **fields: Any) -> str | None:
        """Adds a node unless the graph refuses it."""
        node = cls(name=f"n{len(self.nodes)}", inputs=sources, **fields)
        try:
            graph = Graph(self.inputs, (*self.nodes, node), node.name)
        except GraphError:
            return None
        self.nodes.append(node)
        self.edges[node.name] = graph.edges[node.name]
        return node.name

    def pick(self, *kinds: type[Edge]) -> str | None:
        names = [name for name, edge in self.edges.items() if isinstance(edge, kinds)]
        return self.draw(st.sampled_from(names[-4:])) if names else None

    def partner(self, name: str) -> str:
        """A value of the same shape, possibly the same value."""
        edge = self.edges[name]
        same = [k for k, e in self.edges.items() if e.shape == edge.shape and isinstance(e, Int | Real)]
        return self.draw(st.sampled_from(same))

    def step(self) -> None:
        name = self.pick(Image, Bits, Int, Real)
        edge, c = self.edges[name], self.edges[name].shape[0]
        options = [self.reals] if isinstance(edge, Real) else [self.products, self.products]
        options += [self.elementwise, self.arrange, self.signs]
        self.draw(st.sampled_from(options))(name, edge, c)

    def products(self, name: str, edge: Edge, c: int) -> None:
        filters = filters_of(self.draw)
        if len(edge.shape) == 1:
            self.add(n.BinaryLinear, name, filters=filters, weight=bit_weights(self.draw, self.rng, filters, c))
            return
        w, groups = window_of(self.draw, edge), groups_of(self.draw, c, filters)
        weight = bit_weights(self.draw, self.rng, filters, c // groups * w.taps)
        pad = self.draw(st.sampled_from([-1, 0, 1]))
        fields = {"window": w, "filters": filters, "groups": groups, "pad_value": pad, "weight": weight}
        if isinstance(edge, Bits) and self.draw(st.booleans()):
            s = self.add(n.WindowSum, name, window=w, groups=groups, pad_value=pad)
            self.add(n.BinaryConv, name, s, levels=floats(self.rng, filters, 2), **fields)
        else:
            self.add(n.BinaryConv, name, **fields)

    def reals(self, name: str, edge: Edge, c: int) -> None:
        self.add(n.Quantize, name, inverse_step=3.0, low=-100, high=100)

    def elementwise(self, name: str, edge: Edge, c: int) -> None:
        if isinstance(edge, Image | Bits):
            self.add(n.Affine, name, scale=floats(self.rng, c), offset=floats(self.rng, c))
            return
        kind = self.draw(st.sampled_from(["affine", "prelu", "hardtanh", "add", "gate"]))
        if kind == "affine":
            self.add(n.Affine, name, scale=floats(self.rng, c) / 8, offset=floats(self.rng, c))
        if kind == "prelu":
            self.add(n.PReLU, name, slope=floats(self.rng, c), format="float16")
        if kind == "hardtanh":
            self.add(n.HardTanh, name, low=-8.0, high=8.0)
        if kind == "add":
            self.add(n.Add, name, self.partner(name))
        if kind == "gate":
            self.add(n.Gate, name, self.partner(name), function="hardsigmoid", format="int16", step=1 / 64)

    def signs(self, name: str, edge: Edge, c: int) -> None:
        if isinstance(edge, Real) or (isinstance(edge, Int) and self.draw(st.booleans())):
            self.add(n.Sign, name, planes=self.draw(st.sampled_from([1, 2])), shift=floats(self.rng, c))
            return
        direction = self.rng.choice(np.array([-1, 1], np.int8), c)
        self.add(n.Threshold, name, threshold=self.rng.integers(-20, 20, c, dtype=np.int32), direction=direction)

    def arrange(self, name: str, edge: Edge, c: int) -> None:
        kind = self.draw(st.sampled_from(["concat", "select", "pool", "flatten", "roll"]))
        if kind == "concat":
            others = [k for k, e in self.edges.items() if type(e) is type(edge)]
            self.add(n.Concat, name, self.draw(st.sampled_from(others)))
        if kind == "select":
            self.add(
                n.Select, name, index=self.rng.integers(0, c, self.draw(st.sampled_from(CHANNELS)), dtype=np.int32)
            )
        if len(edge.shape) == 1:
            return
        if kind == "pool":
            self.add(n.Pool, name, window=Window(kernel=(2, 2), stride=(2, 2), padding=(1, 0, 0, 1)))
        if kind == "flatten":
            flat = self.add(n.Flatten, name)
            if flat is not None and not isinstance(edge, Real):
                self.products(flat, self.edges[flat], self.edges[flat].shape[0])
        if kind == "roll":
            self.add(n.Roll, name, shift=self.rng.integers(-3, 4, (c, 2), dtype=np.int8))


def network(draw: Draw, rng: Rng) -> Graph:
    """A random network over an image."""
    builder = Builder(
        draw, rng, Image((draw(st.sampled_from([1, 3])), draw(st.integers(3, 9)), draw(st.integers(3, 9))))
    )
    for _ in range(draw(st.integers(3, 14))):
        builder.step()
    output = builder.nodes[-1].name if builder.nodes else "input"
    return Graph(builder.inputs, tuple(builder.nodes), output)
