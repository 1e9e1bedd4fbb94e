"""The proof that an engine computes what a packed model means, and that a torch model is what was packed.

Four questions, each with its own answer:

1. *Nodes*: every node alone, on the reference's inputs. Integers and bits must be equal; reals within
   `reference.tolerance`, which is 0 for all but sums of floats.
2. *Stretches*: everything between two float sums at once, fused as the engine plans it, on the reference's inputs: it
   must be equal bit for bit.
3. *Network*: the whole, end to end. Without float sums the outputs must be equal; with them a sign whose real value
   lies within the stated bound of 0 (a tie) may differ and is amplified by the layers behind, so what counts is the
   agreement of the top class; among fewer than ten samples one tie may differ.
4. *Torch*, if a model is given: its outputs against the reference's, likewise. Where int8 replaced real weights the
   difference is reported, and nothing promised.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signbit import runtime
from signbit.export.verification import Comparison, NodeCheck, Ties, Verification
from signbit.packed import Graph, load, reference
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, Int, Real
from signbit.packed.image import as_pixels

if TYPE_CHECKING:
    from torch import nn

_CHUNK_VALUES = 2**24


def verify(
    graph: Graph | str | Path,
    *,
    model: "nn.Module | None" = None,
    batch: Array | None = None,
    samples: int = 256,
    threads: int = 1,
    isa: str | None = None,
) -> Verification:
    """Holds the engine, and a torch model if one is given, to what the packed model means.

    Args:
        graph: a graph, or a packed file.
        model: the torch model it was made of.
        batch: pixels uint8, or float32 within 0..1, (N, C, H, W); random pixels without it.
        samples: how many random images without a batch.
        threads: of the engine.
        isa: instruction set of the engine, see `runtime.load`; "reference" compares torch alone.
    """
    graph = graph if isinstance(graph, Graph) else load(graph)
    ((name, edge),) = graph.inputs.items()
    if not isinstance(edge, Image):
        raise ValueError(f"verify feeds images, but input {name!r} is {type(edge).__name__}")
    if batch is None:
        images = np.random.default_rng(0).integers(0, 256, (samples, *edge.shape), dtype=np.uint8)
    else:
        images = as_pixels(batch, edge.shape)
    if len(images) == 0:
        raise ValueError("verify needs at least one image")
    engine = runtime.compile(graph, threads=threads, isa=isa)
    exact = not any(_sums_floats(node, graph) for node in graph.nodes)
    quantized = any(isinstance(node, n.Conv | n.Linear) and node.weight.dtype == np.int8 for node in graph.nodes)
    result = Verification(
        isa=engine.isa,
        threads=threads,
        source="random pixels" if batch is None else "given images",
        nodes=[_check(node, graph) for node in graph.nodes],
        network=Comparison(promise="equal" if exact else "agree"),
        torch=None if model is None else Comparison(promise="none" if quantized else "agree"),
    )
    run_torch = None if model is None else _torch(model, graph)
    parts = _Parts(graph, result.nodes, threads, isa) if result.native else None
    for chunk in _chunks(graph, images):
        values = dict.fromkeys(graph.inputs, chunk) | dict(reference.trace(graph, chunk))
        allowed, ties = _allowed(graph, values, result.nodes)
        if parts is not None:
            parts.compare(values, allowed)
        result.network.add(values[graph.output], engine.run(chunk), ties)
        if run_torch is not None and result.torch is not None:
            result.torch.add(run_torch(chunk), values[graph.output], ties)
    return result


def _torch(model: "nn.Module", graph: Graph) -> Callable[[Array], Array]:
    from signbit.export.lower import evaluator

    if graph.image is None:
        raise ValueError("the graph says nothing of how images are normalised, so a torch model cannot be compared")
    return evaluator(model, graph.image)


def _chunks(graph: Graph, images: Array) -> Iterator[Array]:
    """Parts of the batch small enough to hold every edge of at once."""
    per_sample = sum(int(np.prod(edge.shape)) for edge in graph.edges.values())
    size = max(1, min(64, _CHUNK_VALUES // per_sample))
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _check(node: n.Node, graph: Graph) -> NodeCheck:
    kinds: dict[type[Edge], str] = {Bits: "bits", Int: "integer", Image: "integer", Real: "real"}
    kind = kinds[type(graph.edges[node.name])]
    return NodeCheck(name=node.name, op=type(node).__name__, kind=kind, exact=not _sums_floats(node, graph))


def _sums_floats(node: n.Node, graph: Graph) -> bool:
    """Whether the node adds up floats, so that another order of summation may differ."""
    reads_real = isinstance(graph.edges[node.inputs[0]], Real)
    match node:
        case n.Conv() | n.Linear():
            return node.weight.dtype == np.float32
        case n.BinaryConv() | n.BinaryLinear() | n.Pool(mode="mean"):
            return reads_real
        case n.Gate(function="sigmoid") | n.Norm():
            return True
    return False


class _Parts:
    """The engine on parts of a graph: on every node, and on every stretch between float sums."""

    def __init__(self, graph: Graph, checks: list[NodeCheck], threads: int, isa: str | None) -> None:
        self._graph = graph
        self._checks = dict(zip((node.name for node in graph.nodes), checks, strict=True))
        isolated = {node.name: graph.isolate(node) for node in graph.nodes}
        self._nodes = {name: runtime.compile(part, threads=threads, isa=isa) for name, part in isolated.items()}
        self._stretches = {
            part.output: runtime.compile(part, threads=threads, isa=isa) for part in stretches(graph, self._checks)
        }

    def compare(self, values: Mapping[str, Array], allowed: Mapping[str, Array]) -> None:
        """Runs every part on the reference's values of one chunk, by name, and notes what differs."""
        for name, check in self._checks.items():
            difference = _difference(values[name], _run(self._nodes[name], values))
            check.values += values[name].size
            check.wrong += int((difference > allowed[name]).sum())
            if not check.exact:
                check.worst = max(check.worst, float((difference / np.maximum(allowed[name], 1e-300)).max()))
        for name, engine in self._stretches.items():
            wrong = int((_difference(values[name], _run(engine, values)) > 0).sum())
            self._checks[name].stretch = (self._checks[name].stretch or 0) + wrong


def _run(engine: runtime.Model, values: Mapping[str, Array]) -> Array:
    inputs = {name: values[name] for name in engine.graph.inputs}
    return engine.run(inputs if len(inputs) > 1 else next(iter(inputs.values())))


def _difference(expected: Array, got: Array) -> Array:
    """|expected - got|, infinite where the engine gives NaN or another shape."""
    if got.shape != expected.shape:
        return np.full(expected.shape, np.inf)
    if np.array_equal(expected, got):
        return np.zeros(1)
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        distance = np.abs(expected.astype(np.float64) - got.astype(np.float64))
    return np.where(same, 0.0, np.nan_to_num(distance, nan=np.inf))


def _allowed(graph: Graph, values: Mapping[str, Array], checks: list[NodeCheck]) -> tuple[dict[str, Array], Ties]:
    """How far another summation of floats may move each node alone, and the ties of one chunk, which `checks` count."""
    allowed: dict[str, Array] = {}
    bounds: dict[str, Array] = {}
    tied = np.zeros(len(values[graph.output]), bool)
    for node, check in zip(graph.nodes, checks, strict=True):
        inputs = [values[source] for source in node.inputs]
        allowed[node.name] = reference.tolerance(node, graph.edges[node.name], inputs, values[node.name])
        if isinstance(node, n.Sign) and node.inputs[0] in bounds:
            shift = 0 if node.shift is None else node.shift.reshape(-1, *(1,) * (inputs[0].ndim - 2))
            bound = bounds[node.inputs[0]]
            close = (np.abs(inputs[0] + shift) <= bound) & (bound > 0)
            check.ties += int(close.sum())
            tied |= close.reshape(len(close), -1).any(axis=1)
        _carry(node, inputs, bounds, allowed[node.name])
    return allowed, Ties(tied, bounds.get(graph.output, np.zeros(1)))


def _carry(node: n.Node, inputs: list[Array], bounds: dict[str, Array], own: Array) -> None:
    """Notes how far another summation of floats may move the node's real output, through what follows the sum."""
    moved = [bounds.get(source) for source in node.inputs]
    result: Array | None = np.broadcast_to(own, np.shape(own)) if np.any(own) else None
    if any(bound is not None for bound in moved):
        given = [
            np.zeros(x.shape) if bound is None else np.broadcast_to(bound, x.shape) for bound, x in zip(moved, inputs)
        ]
        match node:
            case n.Affine():
                through = given[0] * _column(np.abs(node.scale), given[0])
            case n.PReLU():
                steepest = np.maximum(np.abs(node.slope), 1 if node.positive is None else np.abs(node.positive))
                through = given[0] * _column(steepest, given[0])
            case n.HardTanh():
                through = given[0]
            case n.Add():
                through = np.sum(given, axis=0)
            case n.Concat() | n.Flatten() | n.Pool() | n.Select() | n.Roll():
                through = reference.compute(node, *given)
            case _:
                through = np.zeros(1)
        result = through if result is None else through + result
    if result is not None:
        bounds[node.name] = result


def _column(vector: Array, x: Array) -> Array:
    return vector.reshape(-1, *(1,) * (x.ndim - 2))


def stretches(graph: Graph, checks: Mapping[str, NodeCheck]) -> Iterator[Graph]:
    """The parts of a graph between float sums that have several nodes: one for every end, with all that leads to it."""
    ends = {graph.output} | {source for node in graph.nodes if not checks[node.name].exact for source in node.inputs}
    for end in (node.name for node in graph.nodes if node.name in ends and checks[node.name].exact):
        needed, inputs, nodes = {end}, set[str](), []
        for node in reversed(graph.nodes):
            if node.name in needed and checks[node.name].exact:
                nodes.append(node)
                needed.update(node.inputs)
            elif node.name in needed:
                inputs.add(node.name)
        inputs |= needed & set(graph.inputs)
        if len(nodes) > 1:
            edges = {name: graph.edges[name] for name in graph.edges if name in inputs}
            yield Graph(edges, tuple(reversed(nodes)), end)
