"""Binary 3x3 layers with few rare weights, bits in to bits out, beside our own dense kernels of the same shape.

python benchmarks/sparse_layers.py [--batch 1 32] [--densities .5 .05 .02] [--kind levels] [--rounds 5] [--isa avx512]
    [--peers]

Both run a chain of layers (C -> N -> C -> ...) on one thread, in the form that the plan chooses: the dense one with ±1
weights of equal share and thresholds, the sparse one with weights {α, β} of mean 0 (`--kind zero`: {0, β}; `signs`: ±1;
`ternary`), the sum that its filters share included. The time of a layer is the marginal one, as in layers.py: medians
over rounds in which dense and all densities take turns. Outputs are checked against popcount, and one layer of one
sample against the reference. Printed is the time of the dense layer, and how many times as fast each density is. With
`--peers` PyTorch's int8 convolutions with ReLU (oneDNN) take turns too: their time, and how many times as long as each
of ours it is.
"""

import argparse
import logging
import statistics
import warnings
from collections.abc import Callable

import numpy as np
import worker
from layer_engines import LENGTHS, Shape, torch_engines
from layers import SHAPES

from signbit import _native, runtime
from signbit.machine import cpu_name
from signbit.packed import nodes, reference
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes

WINDOW = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
KINDS = ("levels", "zero", "signs", "ternary")
SHORT, LONG = 2, 6
PEER = "oneDNN int8"
Run = Callable[[], float]


def rare(rng: np.random.Generator, filters: int, depth: int, density: float) -> np.ndarray:
    """1 for rare weights: equally many in every layer, not in every filter."""
    bits = np.zeros(filters * depth, np.uint8)
    bits[: round(density * bits.size)] = 1
    return rng.permutation(bits).reshape(filters, depth)


def layer(rng: np.random.Generator, i: int, source: str, c: int, n: int, density: float, kind: str) -> list[nodes.Node]:
    """The nodes of layer i of a chain; the last is called bits{i}. About half of its bits are -1."""
    depth = c * WINDOW.taps
    bits = rare(rng, n, depth, density)
    direction = rng.choice(np.array([-1, 1], np.int8), n)

    def product(name: str, weight: np.ndarray, *more: str, levels: np.ndarray | None = None) -> nodes.Node:
        return nodes.BinaryConv(name=name, inputs=(source, *more), window=WINDOW, filters=n,
                                weight=encode_dense(weight), levels=levels)  # fmt: skip

    def threshold(spread: float) -> nodes.Node:
        cuts = np.rint(rng.normal(size=n) * spread).astype(np.int32)
        return nodes.Threshold(name=f"bits{i}", inputs=(f"sum{i}",), threshold=cuts, direction=direction)

    if kind == "signs":
        return [product(f"sum{i}", bits), threshold(depth**0.5 / 2)]
    if kind == "ternary":
        minus = bits & rng.integers(0, 2, bits.shape, dtype=np.uint8)
        plus = bits & ~minus & 1
        both = (f"minus{i}", f"plus{i}")
        return [
            product(both[0], minus), product(both[1], 1 - plus), nodes.Add(name=f"sum{i}", inputs=both),
            threshold((density * depth) ** 0.5),
        ]  # fmt: skip
    low = 0.0 if kind == "zero" else -density / (1 - density)
    levels = np.array([[low, 1.0]], np.float32)
    shift = rng.normal(size=n) * (density * depth) ** 0.5 / 2
    return [
        nodes.WindowSum(name=f"s{i}", inputs=(source,), window=WINDOW),
        product(f"sum{i}", 1 - bits, f"s{i}", levels=levels),
        nodes.Sign(name=f"bits{i}", inputs=(f"sum{i}",), shift=shift.astype(np.float32)),
    ]


def chain(c: int, n: int, side: int, length: int, density: float, kind: str) -> Graph:
    """A chain of layers of one density."""
    rng = np.random.default_rng(0)
    layers: list[nodes.Node] = []
    for i, (depth, filters) in enumerate(Shape(side, c, n, 1).channels(length)):
        layers += layer(rng, i, "x" if i == 0 else f"bits{i - 1}", depth, filters, density, kind)
    return Graph({"x": Bits((c, side, side))}, tuple(layers), f"bits{length - 1}")


def native(graph: Graph, isa: str, layout: str) -> _native.Plan:
    """A plan of the graph on one thread."""
    return _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, 1, layout)


def result(plan: _native.Plan, graph: Graph, x: np.ndarray) -> np.ndarray:
    """The plan's output."""
    out = np.empty((len(x), *graph.edges[graph.output].shape), np.int8)
    plan.run([x], out)
    return out


def engine(side: int, c: int, n: int, x: np.ndarray, isa: str, density: float, kind: str) -> tuple[Run, Run]:
    """The short and the long chain in the form chosen, checked."""
    first = chain(c, n, side, 1, density, kind)
    if not np.array_equal(result(native(first, isa, "chosen"), first, x[:1]), reference.run(first, {"x": x[:1]})):
        raise SystemExit(f"{side}x{side}x{c}->{n} at {density} is not the reference's")
    runs: list[Run] = []
    for length in (SHORT, LONG):
        graph = chain(c, n, side, length, density, kind)
        plan = native(graph, isa, "chosen")
        out = result(plan, graph, x)
        if not np.array_equal(out, result(native(graph, isa, "popcount"), graph, x)):
            raise SystemExit(f"{side}x{side}x{c}->{n} at {density} differs from popcount")
        runs.append(lambda plan=plan, out=out: sum(plan.profile([x], out, 1)))
    return runs[0], runs[1]


def int8_engine(side: int, c: int, n: int, batch: int) -> tuple[Run, Run]:
    """The short and the long chain of oneDNN's int8 convolutions."""
    calls = torch_engines(Shape(side, c, n, batch))["oneDNN int8"]
    short, long = (calls[LENGTHS.index(length)] for length in (SHORT, LONG))
    return lambda: min(worker.turn(short)) * 1e6, lambda: min(worker.turn(long)) * 1e6


def marginal(runs: tuple[Run, Run], repeats: int) -> float:
    """Microseconds of one layer more, by the fastest of `repeats` runs of each chain."""
    short, long = (min(run() for _ in range(repeats)) for run in runs)
    return (long - short) / (LONG - SHORT)


def main() -> None:
    """Times every shape and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--densities", type=float, nargs="+", default=[0.5, 0.25, 0.1, 0.05, 0.02, 0.01])
    parser.add_argument("--kind", default="levels", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default=runtime.isas()[0], choices=runtime.isas()[:-1])
    parser.add_argument("--sides", type=int, nargs="+", help="only maps of these sides")
    parser.add_argument("--peers", action="store_true", help="beside oneDNN's int8 convolutions, which need torch")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print(f"{cpu_name()}, instruction set {options.isa}, 1 thread, {options.rounds} rounds, {options.kind}")
    base = PEER if options.peers else "dense"
    columns = ["layer", "batch", f"{base} µs", *["dense"] * options.peers, *(f"{p:g}" for p in options.densities)]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for batch in options.batch:
        for side, c, n in SHAPES:
            if options.sides is not None and side not in options.sides:
                continue
            x = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (batch, c, side, side))
            engines = {"dense": engine(side, c, n, x, options.isa, 0.5, "signs")}
            engines |= {
                f"{density:g}": engine(side, c, n, x, options.isa, density, options.kind)
                for density in options.densities
            }
            if options.peers:
                engines[PEER] = int8_engine(side, c, n, batch)
            repeats = 9 if batch == 1 else 2
            times: dict[str, list[float]] = {name: [] for name in engines}
            for _ in range(options.rounds):
                for name, runs in engines.items():
                    times[name].append(marginal(runs, repeats))
            medians = {name: statistics.median(values) for name, values in times.items()}
            unit = medians.pop(base)
            ratios = " | ".join(f"{unit / time:.{1 if options.peers else 2}f}" for time in medians.values())
            print(f"| {side}x{side}, {c} → {n} | {batch} | {unit:.0f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
