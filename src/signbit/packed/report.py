"""What a graph costs, node by node: bits, weights, multiply-accumulates, bytes, and why something is not packed.

Multiply-accumulates (MACs) of convolutions and products are counted over every tap, padding included, in three kinds:
*binary* (one-bit weight x bits; two planes of bits count twice), *mixed* (one-bit weight x pixels, integers or reals)
and *float* (float32 or int8 weight). The two planes of a ternary weight are one weight and one layer. OPs = binary / 64
+ float, classifier included (some tables leave it out), mixed left out: the convention of Bi-Real Net and ReActNet.
"""

from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

import numpy as np

from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.container import dumps
from signbit.packed.edges import Bits, Edge, Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.one_bit import Product, one_bit_a_weight, ternary_layers
from signbit.packed.operations import entropy, ones_additions, shared_kernel_ops
from signbit.packed.schema import tensor_fields
from signbit.packed.weights import Codebook, Gaps
from signbit.text import table

OPS_CONVENTION = "OPs = binary MACs / 64 + float MACs, classifier included, mixed MACs not"

_OWN_NODE = {
    "Norm": "its mean and variance depend on the sample, so it cannot fold into thresholds",
    "Gate": "its factor depends on the sample, so it cannot fold into thresholds",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One node, or the three of a ternary layer: two products and the Add, whose name and place the row has.

    `weight_bits` are stored bits per weight, `packing` says "packed" or why not, `notes` what costs. `density` is the
    share of one-bit weights with their filter's rarer sign, and of ternary ones that are not 0; `entropy` the bits a
    weight that a code of them must take: of the density, of minus, 0 and plus, or of the indices of a codebook.
    `operations` are the binary MACs that remain where only listed weights are added, or the sums of equal kernels
    shared (`packed.operations`): the papers' counts, not how this engine runs a layer. `ternary` says that the weights
    are of three values, 0 among them, and not of two.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    input_bits: int
    weight_bits: float | None
    density: float | None
    entropy: float | None
    weights: int
    bytes: int
    binary_macs: int
    mixed_macs: int
    float_macs: int
    operations: float
    packing: str
    notes: tuple[str, ...] = ()
    ternary: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows and totals of a graph.

    `dense_bytes` is the file of the same network with weights of ±1, each in one bit, where this one has one-bit or
    ternary weights (`packed.one_bit`), and other weights as stored; `fp32_bytes` and `int8_bytes` are that file with
    every weight in 4 bytes or 1.
    """

    rows: tuple[Row, ...]
    file_bytes: int
    dense_bytes: int
    fp32_bytes: int
    int8_bytes: int

    @property
    def binary_weights(self) -> int:
        """Weights of one bit: of two values, whatever space they take."""
        return sum(row.weights for row in self.rows if row.op.startswith("Binary") and not row.ternary)

    @property
    def ternary_weights(self) -> int:
        """Weights of three values, none of which is counted as one bit."""
        return sum(row.weights for row in self.rows if row.ternary)

    @property
    def weights(self) -> int:
        """Weights of convolutions and products, of any kind."""
        return sum(row.weights for row in self.rows)

    @property
    def unpacked(self) -> tuple[str, ...]:
        """Names of the layers with weights that do not multiply bits by bits."""
        return tuple(row.name for row in self.rows if row.weights and row.packing != "packed")

    @property
    def binary_macs(self) -> int:
        """Multiply-accumulates of bits with bits."""
        return sum(row.binary_macs for row in self.rows)

    @property
    def mixed_macs(self) -> int:
        """Multiply-accumulates of one-bit weights with anything but bits."""
        return sum(row.mixed_macs for row in self.rows)

    @property
    def float_macs(self) -> int:
        """Multiply-accumulates with float32 or int8 weights."""
        return sum(row.float_macs for row in self.rows)

    @property
    def operations(self) -> float:
        """What remains of the binary MACs, see `Row`."""
        return sum(row.operations for row in self.rows)

    @property
    def ops(self) -> float:
        """Operations by `OPS_CONVENTION`."""
        return self.binary_macs / 64 + self.float_macs

    def of_one_bit(self) -> str:
        """How many of all weights are of one bit, and how many ternary where some are, in words."""
        return f"{self.binary_weights:,} of {self.weights:,} weights in one bit{self._ternary_too()}"

    def dict(self) -> dict[str, Any]:
        """Rows and totals as plain values, for JSON."""
        totals = {
            "weights": self.weights,
            "unpacked": self.unpacked,
            "binary_weights": self.binary_weights,
            "ternary_weights": self.ternary_weights,
            "binary_macs": self.binary_macs,
            "mixed_macs": self.mixed_macs,
            "float_macs": self.float_macs,
            "operations": self.operations,
            "ops": self.ops,
            "ops_convention": OPS_CONVENTION,
            "file_bytes": self.file_bytes,
            "dense_bytes": self.dense_bytes,
            "fp32_bytes": self.fp32_bytes,
            "int8_bytes": self.int8_bytes,
        }
        return {"nodes": [asdict(row) for row in self.rows], "totals": totals}

    def table(self) -> str:
        """The report as text: a line per node, notes and totals below."""
        header = ("node", "op", "output", "in", "bits", "density", "entropy", "weights", "bytes", "binary", "mixed",
                  "float", "packed?")  # fmt: skip
        notes = [f"  {row.name}: {note}" for row in self.rows for note in row.notes]
        return "\n".join(
            [
                table(header, [_cells(row) for row in self.rows]),
                *(["", "costs:"] if notes else []),
                *notes,
                "",
                *self._totals(),
            ]
        )

    def _ternary_too(self) -> str:
        return f", {self.ternary_weights:,} ternary" if self.ternary_weights else ""

    def _totals(self) -> list[str]:
        layers = sum(1 for row in self.rows if row.weights)
        rest = f"; not {', '.join(self.unpacked)}" if self.unpacked else ""
        lines = [
            f"layers      {layers - len(self.unpacked)} of {layers} with weights are packed{rest}",
            f"weights     {self.weights:,} ({self.binary_weights:,} of one bit{self._ternary_too()})",
            f"MACs        {self.binary_macs:,} binary, {self.mixed_macs:,} mixed, {self.float_macs:,} float",
            f"OPs         {self.ops:,.0f} ({OPS_CONVENTION})",
        ]
        if self.operations < self.binary_macs:
            lines.append(
                f"sparse      {self.operations:,.0f} operations where rare weights or shared kernels count alone"
            )
        lines.append(f"file        {self.file_bytes:,} bytes")
        others = (("dense 1-bit", self.dense_bytes), ("int8", self.int8_bytes), ("float32", self.fp32_bytes))
        return lines + [f"  {name:<11} {size:,} bytes, {size / self.file_bytes:.2f}x the file" for name, size in others]


def inspect(graph: Graph) -> Report:
    """Counts what every node of `graph` holds and does."""
    ternary = ternary_layers(graph)
    planes = {plane.name for layer in ternary.values() for plane in layer}
    rows = tuple(
        _ternary_row(graph, node, ternary[node.name])
        if node.name in ternary
        else _row(graph, node, alone=_rest_is_zero(node))
        for node in graph.nodes
        if node.name not in planes
    )
    dense = one_bit_a_weight(graph, ternary)
    dense_bytes = len(dumps(dense))
    rest = dense_bytes - sum(_weight_bytes(node) for node in dense.nodes)
    weights = sum(row.weights for row in rows)
    return Report(
        rows=rows,
        file_bytes=len(dumps(graph)),
        dense_bytes=dense_bytes,
        fp32_bytes=rest + 4 * weights,
        int8_bytes=rest + weights,
    )


def _rest_is_zero(node: n.Node) -> bool:
    """Whether the listed weights of a layer are all it adds: the others are 0, so no sum of all inputs is needed."""
    if not isinstance(node, Product) or not isinstance(node.weight, Gaps) or node.levels is None:
        return False
    levels = np.broadcast_to(node.levels, (node.filters, 2))
    return bool(np.all(levels[np.arange(node.filters), node.weight.rice >> 7] == 0))


def _ternary_row(graph: Graph, add: n.Node, planes: tuple[Product, Product]) -> Row:
    x = graph.edges[planes[0].inputs[0]]
    minus, plus = (_bits(plane, x) for plane in planes)
    counts = np.array([minus.sum(dtype=np.int64), (1 - plus).sum(dtype=np.int64)])
    lists = [plane.weight.rice >> 7 for plane in planes if isinstance(plane.weight, Gaps)]
    # Where one plane lists its -1 and the other its +1, the rest adds +1 and -1, so nothing.
    alone = len(lists) == 2 and bool(np.all(lists[0] != lists[1]))
    first, second = (_row(graph, plane, alone=alone) for plane in planes)
    cost = () if alone else ("ternary weights as two planes of one bit: twice the work",)
    return replace(
        first,
        name=add.name,
        weight_bits=8 * (_weight_bytes(planes[0]) + _weight_bytes(planes[1])) / first.weights,
        density=int(counts.sum()) / first.weights,
        entropy=entropy(np.append(counts, first.weights - counts.sum())),
        bytes=first.bytes + second.bytes,
        operations=first.operations + second.operations,
        notes=first.notes + cost,
        ternary=True,
    )


def _row(graph: Graph, node: n.Node, *, alone: bool) -> Row:
    edges = [graph.edges[source] for source in node.inputs]
    shape = graph.edges[node.name].shape
    weights = _weights(node, edges[0])
    macs = weights * prod(shape[1:])
    binary = isinstance(node, n.BinaryConv | n.BinaryLinear)
    bits = edges[0] if isinstance(edges[0], Bits) else None
    binary_macs = macs * bits.planes if binary and bits is not None else 0
    density, needed = _information(node, edges[0])
    return Row(
        name=node.name,
        op=type(node).__name__,
        shape=shape,
        input_bits=_edge_bits(edges[0]),
        weight_bits=8 * _weight_bytes(node) / weights if weights else None,
        density=density,
        entropy=needed,
        weights=weights,
        bytes=_tensor_bytes(node) + _weight_bytes(node),
        binary_macs=binary_macs,
        mixed_macs=macs if binary and bits is None else 0,
        float_macs=0 if binary else macs,
        operations=min(binary_macs, _operations(node, edges[0], prod(shape[1:]), alone=alone)) if binary_macs else 0,
        packing=_packing(node, edges[0], graph.edges[node.name]),
        notes=tuple(_notes(node, edges[0])),
    )


def _weights(node: n.Node, x: Edge) -> int:
    match node:
        case n.BinaryConv():
            return node.filters * node.depth(x)
        case n.BinaryLinear():
            return node.filters * x.shape[0]
        case n.Conv() | n.Linear():
            return node.weight.size
    return 0


def _bits(node: Product, x: Edge) -> Array:
    return node.weight.decode(node.filters, node.depth(x))


def _weight_bytes(node: n.Node) -> int:
    if isinstance(node, n.BinaryConv | n.BinaryLinear):
        return sum(getattr(node.weight, name).nbytes for name in tensor_fields(type(node.weight)))
    return node.weight.nbytes if isinstance(node, n.Conv | n.Linear) else 0


def _information(node: n.Node, x: Edge) -> tuple[float | None, float | None]:
    """Density and entropy of one-bit weights, see `Row`."""
    if not isinstance(node, n.BinaryConv | n.BinaryLinear):
        return None, None
    depth = node.depth(x)
    if isinstance(node.weight, Gaps):
        listed = int(node.weight.count.sum(dtype=np.int64))
    else:
        set_bits = _bits(node, x).sum(axis=1, dtype=np.int64)
        listed = int(np.minimum(set_bits, depth - set_bits).sum())
    weights = node.filters * depth
    if isinstance(node.weight, Codebook):
        kernels = np.bincount(node.weight.indices(node.filters, depth))
        return listed / weights, entropy(kernels) / node.weight.taps
    return listed / weights, entropy(np.array([listed, weights - listed]))


def _operations(node: n.Node, x: Edge, positions: int, *, alone: bool) -> float:
    """Bit operations of one plane of inputs after what the encoding saves; two planes need them twice."""
    assert isinstance(node, n.BinaryConv | n.BinaryLinear)
    assert isinstance(x, Bits)
    depth = node.depth(x)
    weight, total = node.weight, positions * node.filters * depth
    if isinstance(weight, Gaps):
        listed = int(weight.count.sum(dtype=np.int64))
        shared = 0 if alone else depth * getattr(node, "groups", 1)
        return x.planes * min(total, ones_additions(positions=positions, listed=listed, shared=shared))
    if isinstance(weight, Codebook):
        groups, codewords = getattr(node, "groups", 1), 1 << weight.width
        sizes = {"positions": positions, "codewords": codewords, "taps": weight.taps}
        channels, filters = depth // weight.taps, node.filters // groups
        return x.planes * groups * min(total / groups, shared_kernel_ops(channels=channels, filters=filters, **sizes))
    return x.planes * total


def _tensor_bytes(node: n.Node) -> int:
    arrays = [getattr(node, name) for name in tensor_fields(type(node)) if name != "weight"]
    return sum(array.nbytes for array in arrays if array is not None)


def _edge_bits(edge: Edge) -> int:
    match edge:
        case Image():
            return 8
        case Bits(planes=planes):
            return planes
        case Int(low=low, high=high):
            return int(np.ceil(np.log2(high - low + 1)))
        case Real(format=format_):
            return 32 if format_ == "float32" else 16


def _packing(node: n.Node, x: Edge, output: Edge) -> str:
    match node:
        case n.BinaryConv() | n.BinaryLinear() if isinstance(x, Bits):
            return "packed"
        case n.BinaryConv() | n.BinaryLinear() if isinstance(x, Real):
            return "no: one-bit weights on real inputs, so additions instead of XNOR"
        case n.BinaryConv() | n.BinaryLinear():
            return "no: one-bit weights on 8-bit or wider integers, so additions instead of XNOR"
        case n.Conv() | n.Linear():
            return f"no: {node.weight.dtype} weights"
    if type(node).__name__ in _OWN_NODE:
        return f"no: {_OWN_NODE[type(node).__name__]}"
    return "" if isinstance(output, Bits) else "integers" if isinstance(output, Int) else "real values"


def _notes(node: n.Node, x: Edge) -> list[str]:
    notes: list[str] = []
    if isinstance(node, n.BinaryConv) and max(node.window.padding) > 0 and isinstance(x, Bits):
        if node.pad_value == 0:
            notes.append("pad_value 0 costs a border correction; +1 is free")
        if node.pad_value == -1:
            notes.append("pad_value -1 costs writing ones around every map; +1 is free")
    if isinstance(node, n.BinaryConv | n.BinaryLinear):
        if isinstance(x, Bits) and x.planes == 2:
            notes.append("two activation planes: twice the binary MACs")
        if node.levels is not None:
            notes.append("weight levels other than -a, +a cost a window sum shared by all filters")
        if isinstance(node.weight, Codebook):
            notes.append(f"weights as a codebook of {1 << node.weight.width} kernels")
    if isinstance(node, n.Threshold) and len(node.inputs) == 2:
        notes.append(f"thresholds from a table of {node.threshold.shape[1]} window sums per channel")
    return notes


def _cells(row: Row) -> tuple[str, ...]:
    counts = (row.weights, row.bytes, row.binary_macs, row.mixed_macs, row.float_macs)
    weight_bits = "" if row.weight_bits is None else f"{row.weight_bits:.3g}"
    shape = "x".join(map(str, row.shape))
    cells = [f"{count:,}" if count else "" for count in counts]
    density = "" if row.density is None else f"{row.density:.2%}"
    needed = "" if row.entropy is None else f"{row.entropy:.3f}"
    return (row.name, row.op, shape, str(row.input_bits), weight_bits, density, needed, *cells, row.packing)
