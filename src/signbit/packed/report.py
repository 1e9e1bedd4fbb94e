"""What a graph costs, node by node: bits, weights, multiply-accumulates, bytes, and why something is not packed.

Multiply-accumulates (MACs) of convolutions and products are counted over every tap, padding included, in three kinds:
*binary* (one-bit weight x bits; two planes count twice), *mixed* (one-bit weight x pixels, integers or reals) and
*float* (float32 or int8 weight). OPs = binary / 64 + float, the classifier included, mixed left out: the convention
of Bi-Real Net and ReActNet, of which some tables leave the classifier out.
"""

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from signbit.packed import nodes as n
from signbit.packed.container import dumps
from signbit.packed.edges import Bits, Edge, Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.schema import tensor_fields
from signbit.packed.weights import Codebook, Gaps

OPS_CONVENTION = "OPs = binary MACs / 64 + float MACs, classifier included, mixed MACs not"

_OWN_NODE = {
    "Norm": "its mean and variance depend on the sample, so it cannot fold into thresholds",
    "Gate": "its factor depends on the sample, so it cannot fold into thresholds",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One node: `weight_bits` are stored bits per weight, `packing` says "packed" or why not, `notes` what costs.

    `density` is the share of weights with their filter's rarer sign, where it is known without unpacking (gaps) or the
    weights have two levels.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    input_bits: int
    weight_bits: float | None
    density: float | None
    weights: int
    bytes: int
    binary_macs: int
    mixed_macs: int
    float_macs: int
    packing: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows and totals of a graph.

    `fp32_bytes` and `int8_bytes` are the same topology with every weight in 4 bytes or 1 and all else as stored.
    """

    rows: tuple[Row, ...]
    file_bytes: int
    fp32_bytes: int
    int8_bytes: int

    @property
    def binary_weights(self) -> int:
        """Weights of one bit."""
        return sum(row.weights for row in self.rows if row.op.startswith("Binary"))

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
    def ops(self) -> float:
        """Operations by `OPS_CONVENTION`."""
        return self.binary_macs / 64 + self.float_macs

    def dict(self) -> dict[str, Any]:
        """Rows and totals as plain values, for JSON."""
        totals = {
            "weights": self.weights,
            "unpacked": self.unpacked,
            "binary_weights": self.binary_weights,
            "binary_macs": self.binary_macs,
            "mixed_macs": self.mixed_macs,
            "float_macs": self.float_macs,
            "ops": self.ops,
            "ops_convention": OPS_CONVENTION,
            "file_bytes": self.file_bytes,
            "fp32_bytes": self.fp32_bytes,
            "int8_bytes": self.int8_bytes,
        }
        return {"nodes": [asdict(row) for row in self.rows], "totals": totals}

    def table(self) -> str:
        """The report as text: a line per node, notes and totals below."""
        header = ("node", "op", "output", "in", "bits", "weights", "bytes", "binary", "mixed", "float", "packed?")
        lines = [header, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        text = [
            "  ".join(_align(cell, w, i) for i, (cell, w) in enumerate(zip(line, widths))).rstrip() for line in lines
        ]
        notes = [f"  {row.name}: {note}" for row in self.rows for note in row.notes]
        return "\n".join([*text, *(["", "costs:"] if notes else []), *notes, "", *self._totals()])

    def _totals(self) -> list[str]:
        layers = sum(1 for row in self.rows if row.weights)
        rest = f"; not {', '.join(self.unpacked)}" if self.unpacked else ""
        return [
            f"layers      {layers - len(self.unpacked)} of {layers} with weights are packed{rest}",
            f"weights     {self.weights:,} ({self.binary_weights:,} of one bit)",
            f"MACs        {self.binary_macs:,} binary, {self.mixed_macs:,} mixed, {self.float_macs:,} float",
            f"OPs         {self.ops:,.0f} ({OPS_CONVENTION})",
            f"file        {self.file_bytes:,} bytes: {self.fp32_bytes / self.file_bytes:.1f}x smaller than float32 "
            f"({self.fp32_bytes:,}), {self.int8_bytes / self.file_bytes:.1f}x than int8 ({self.int8_bytes:,})",
        ]


def inspect(graph: Graph) -> Report:
    """Counts what every node of `graph` holds and does."""
    rows = tuple(_row(graph, node) for node in graph.nodes)
    file_bytes = len(dumps(graph))
    weights, stored = sum(row.weights for row in rows), sum(_weight_bytes(node) for node in graph.nodes)
    rest = file_bytes - stored
    return Report(rows=rows, file_bytes=file_bytes, fp32_bytes=rest + 4 * weights, int8_bytes=rest + weights)


def _row(graph: Graph, node: n.Node) -> Row:
    edges = [graph.edges[source] for source in node.inputs]
    shape = graph.edges[node.name].shape
    weights = _weights(node, edges[0])
    macs = weights * prod(shape[1:])
    binary = isinstance(node, n.BinaryConv | n.BinaryLinear)
    bits = edges[0] if isinstance(edges[0], Bits) else None
    return Row(
        name=node.name,
        op=type(node).__name__,
        shape=shape,
        input_bits=_edge_bits(edges[0]),
        weight_bits=8 * _weight_bytes(node) / weights if weights else None,
        density=_density(node, edges[0]),
        weights=weights,
        bytes=_tensor_bytes(node) + _weight_bytes(node),
        binary_macs=macs * bits.planes if binary and bits is not None else 0,
        mixed_macs=macs if binary and bits is None else 0,
        float_macs=0 if binary else macs,
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


def _weight_bytes(node: n.Node) -> int:
    if isinstance(node, n.BinaryConv | n.BinaryLinear):
        return sum(getattr(node.weight, name).nbytes for name in tensor_fields(type(node.weight)))
    return node.weight.nbytes if isinstance(node, n.Conv | n.Linear) else 0


def _density(node: n.Node, x: Edge) -> float | None:
    if not isinstance(node, n.BinaryConv | n.BinaryLinear):
        return None
    if isinstance(node.weight, Gaps):
        return int(node.weight.count.sum(dtype=np.int64)) / _weights(node, x)
    if node.levels is None:
        return None
    set_share = node.weight.decode(node.filters, node.depth(x)).mean(axis=1)
    return float(np.minimum(set_share, 1 - set_share).mean())


def _entropy(p: float) -> float:
    return float(-sum(q * np.log2(q) for q in (p, 1 - p) if q > 0))


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
        if (density := _density(node, x)) is not None:
            stored = 8 * _weight_bytes(node) / _weights(node, x)
            notes.append(
                f"{density:.2%} of the weights have the rarer sign: {stored:.3f} bits a weight, entropy "
                f"{_entropy(density):.3f}"
            )
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
    return (row.name, row.op, shape, str(row.input_bits), weight_bits, *cells, row.packing)


def _align(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if 3 <= column <= 9 else cell.ljust(width)
