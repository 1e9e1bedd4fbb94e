"""What the planner can choose from for every layer, what it takes, and whether its estimates are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from signbit.packed.bits import Array
from signbit.packed.graph import Graph
from signbit.runtime.engine import NativeEngine, Way
from signbit.runtime.isa import REFERENCE, choose

FORMS = ("popcount", "bit-planes", "mirrored", "sparse")
"""The forms of a binary layer, by the names that force them."""


@dataclass(frozen=True)
class Piece:
    """Output positions that are computed in one way, and the estimated time."""

    kernel: str
    rows: int
    predicted: float


@dataclass(frozen=True)
class Form:
    """Microseconds that a form of the whole layer is estimated to take, and took when it was forced."""

    kernel: str
    predicted: float
    measured: float


@dataclass(frozen=True)
class Choice:
    """How one layer runs: the pieces taken, their time, and the forms it could have had instead.

    Attributes:
        name: of the layer.
        pieces: which positions each kernel takes.
        predicted: microseconds estimated for them.
        measured: microseconds they took.
        forms: what the whole layer would cost in one form.
        density: share of rare weights, where there is a sparse form.
        break_even: the density at which it would cost as much as the cheapest other form, by the estimates.
    """

    name: str
    pieces: tuple[Piece, ...]
    predicted: float
    measured: float
    forms: tuple[Form, ...]
    density: float | None = None
    break_even: float | None = None


def explain(
    graph: Graph, batches: Mapping[str, Array], *, isa: str | None = None, threads: int = 1, repeats: int = 20
) -> list[Choice]:
    """Every layer that has a choice of form, timed in each; estimates are for one thread.

    Args:
        graph: what would run.
        batches: one batch per input, as the engine takes it.
        isa: instruction set; None takes the best. The reference has no choice, and gives an empty list.
        threads: how many share a call.
        repeats: runs of each form, in turns with the others.
    """
    name = choose(isa)
    if name == REFERENCE:
        return []
    make = partial(NativeEngine, graph, name, threads)
    engines = {"": make(), **{form: make(form) for form in FORMS}}
    times: dict[str, list[list[float]]] = {form: [] for form in engines}
    for _ in range(3):
        for form, engine in engines.items():
            times[form].append(engine.profile(batches, -(-repeats // 3)))
    nodes = [node.name for node in graph.nodes]
    best = {form: dict(zip(nodes, map(min, zip(*rounds, strict=True)), strict=True)) for form, rounds in times.items()}
    found = []
    for layer, ways in engines[""].choices(_samples(batches)).items():
        members = joined(graph, engines[""], layer)
        measured = {form: sum(times[node] for node in members) for form, times in best.items()}
        taken = [way for way in ways if way.taken]
        sparse = next((way for way in ways if way.density > 0), None)
        found.append(
            Choice(
                layer,
                tuple(Piece(way.kernel, way.rows, way.predicted) for way in taken),
                sum(way.predicted for way in taken),
                measured[""],
                tuple(_forms(ways, measured, engines, layer)),
                None if sparse is None else sparse.density,
                None if sparse is None else sparse.break_even,
            )
        )
    return found


def joined(graph: Graph, engine: NativeEngine, layer: str) -> list[str]:
    """The nodes whose work a layer does in the plan chosen, which another form may do apart from it."""
    kernels = {node.name: node.kernel for node in engine.plan}
    members = [layer, *(name for name, kernel in kernels.items() if kernel.endswith(f"fused with '{layer}'"))]
    sums = (source for name in members for source in graph.node(name).inputs)
    return members + [name for name in dict.fromkeys(sums) if kernels.get(name) == "done by its readers"]


def _forms(
    ways: Sequence[Way], times: Mapping[str, float], engines: Mapping[str, NativeEngine], layer: str
) -> list[Form]:
    """One per form that the layer can have; of several register widths the cheapest estimate."""
    forms = []
    for form in FORMS:
        offered = [way.predicted for way in ways if way.kernel.startswith(form) and not way.taken]
        kernel = next(node.kernel for node in engines[form].plan if node.name == layer)
        if offered and (form == "popcount" or form in kernel):
            forms.append(Form(form, min(offered), times[form]))
    return forms


def sparse_time(graph: Graph, batches: Mapping[str, Array], *, isa: str) -> tuple[Piece, float] | None:
    """The piece that the one layer of `graph` is on sparse lists, and its measured time in µs; None if it is mixed."""
    engine = NativeEngine(graph, isa, 1, "sparse")
    taken = [way for way in _ways(engine, batches) if way.taken]
    if len(taken) != 1 or not taken[0].kernel.startswith("sparse"):
        return None
    return Piece(taken[0].kernel, taken[0].rows, taken[0].predicted), _time(engine, batches)


def ratios(graph: Graph, batches: Mapping[str, Array], *, isa: str, widths: Sequence[int]) -> list[tuple[str, float]]:
    """Measured over estimated time of each form that runs the one layer of `graph` alone, by kernel and register width.

    Args:
        graph: a binary layer with its threshold.
        batches: one batch per input.
        isa: instruction set.
        widths: lanes of its registers, widest first.
    """
    offered = _ways(NativeEngine(graph, isa, 1), batches)
    found = []
    for form in FORMS:
        engine = NativeEngine(graph, isa, 1, form)
        if form == "popcount":  # forced to it, a layer has no choice to tell of; free, it tells what this would cost
            ways = [way for way in offered if way.kernel == form and not way.taken]
        else:
            ways = [way for way in _ways(engine, batches) if way.taken]
        kernels = {way.kernel for way in ways}
        if len(kernels) != 1:
            continue
        (kernel,) = kernels
        if form == "mirrored":
            filters = graph.edges[graph.output].shape[0]
            kernel = f"mirrored {min((lanes for lanes in widths if lanes >= filters), default=widths[0])}"
        found.append((kernel, _time(engine, batches) / sum(way.predicted for way in ways)))
    return found


def _ways(engine: NativeEngine, batches: Mapping[str, Array]) -> list[Way]:
    """What all layers of a plan choose from."""
    return [way for ways in engine.choices(_samples(batches)).values() for way in ways]


def _samples(batches: Mapping[str, Array]) -> int:
    return len(next(iter(batches.values())))


def _time(engine: NativeEngine, batches: Mapping[str, Array]) -> float:
    """Microseconds of a run: the least of three medians."""
    return min(sum(engine.profile(batches, 7)) for _ in range(3))
