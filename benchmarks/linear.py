"""Fully connected binary layers beside int8, bfloat16 and float32 products of the same shape, in PyTorch.

python benchmarks/linear.py [--batch 1 32] [--rounds 5] [--isa avx512] [--fifo PRIORITY]

One thread, one layer, the same weights at every call. Ours takes bits and gives bits; "whole call" adds what Python
hands over, bytes of ±1 in and out. PyTorch's int8 takes and gives quantized tensors. The output is checked against the
reference. Engines take turns in every round, each with its fastest of nine runs; medians over the rounds, ours in
microseconds, the others as multiples of ours.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable

import numpy as np
import torch
import worker
from tables import Row, print_ratios
from torch.ao.nn.quantized import Linear

from signbit import _native, runtime
from signbit.machine import cpu_name
from signbit.packed import nodes, reference
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.runtime.handover import describe_inputs, describe_nodes

SHAPES = ((8192, 1024), (4096, 4096), (1024, 1024))
RUNS = 9
Engines = dict[str, Callable[[], float]]
"""By name: microseconds of its fastest run."""


def ours(inputs: int, outputs: int, batch: int, options: argparse.Namespace) -> Engines:
    """The native engine, its nodes alone and with the call."""
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([-1, 1], np.int8), (batch, inputs))
    weight = encode_dense(rng.integers(0, 2, (outputs, inputs), dtype=np.uint8))
    cuts, up = rng.integers(-20, 21, outputs, dtype=np.int32), np.ones(outputs, np.int8)
    layers = (
        nodes.BinaryLinear(name="sum", inputs=("x",), filters=outputs, weight=weight),
        nodes.Threshold(name="bits", inputs=("sum",), threshold=cuts, direction=up),
    )
    graph = Graph({"x": Bits((inputs,))}, layers, "bits")
    plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, options.isa, 1)
    out = np.empty((batch, outputs), np.int8)
    plan.run([x], out)
    if not np.array_equal(out, reference.run(graph, {"x": x})):
        raise SystemExit(f"outputs differ at {inputs} → {outputs}")

    def alone() -> float:
        with worker.undisturbed(options.fifo):
            return min(sum(plan.profile([x], out, 1)) for _ in range(RUNS))

    return {"ours": alone, "ours, whole call": fastest(lambda: plan.run([x], out), options)}


def theirs(inputs: int, outputs: int, batch: int, options: argparse.Namespace) -> Engines:
    """PyTorch: quantized Linear (oneDNN), bfloat16 and float32."""
    torch.backends.quantized.engine = "onednn"
    x = torch.randn(batch, inputs)
    layer = Linear(inputs, outputs)
    scales, zeros = torch.full((outputs,), 0.02, dtype=torch.double), torch.zeros(outputs, dtype=torch.long)
    layer.set_weight_bias(
        torch.quantize_per_channel(torch.randn(outputs, inputs), scales, zeros, 0, torch.qint8), torch.zeros(outputs)
    )
    layer.scale, layer.zero_point = 0.5, 0
    quantized = torch.quantize_per_tensor(x, 0.05, 64, torch.quint8)
    engines = {"torch int8": fastest(lambda: layer(quantized), options)}
    for name, dtype in (("torch bf16", torch.bfloat16), ("torch fp32", torch.float32)):
        model, typed = torch.nn.Linear(inputs, outputs).to(dtype), x.to(dtype)
        engines[name] = fastest(lambda model=model, typed=typed: model(typed), options)
    return engines


def fastest(call: Callable[[], object], options: argparse.Namespace) -> Callable[[], float]:
    """Microseconds of the fastest run."""
    return lambda: min(worker.turn(call, runs=RUNS, priority=options.fifo)) * 1e6


def measure(inputs: int, outputs: int, batch: int, options: argparse.Namespace) -> Row:
    """Median microseconds over the rounds."""
    engines = ours(inputs, outputs, batch, options) | theirs(inputs, outputs, batch, options)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, engine in engines.items():
            times[name].append(engine())
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Times every shape and prints a table for every batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default=runtime.isas()[0], choices=runtime.isas()[:-1])
    parser.add_argument("--fifo", type=int, default=0, metavar="PRIORITY", help="real-time priority of the timed calls")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{cpu_name()}, instruction set {options.isa}, 1 thread, torch {torch.__version__}, {options.rounds} rounds")
    with torch.inference_mode():
        for batch in options.batch:
            rows = {f"{a} → {b}": measure(a, b, batch, options) for a, b in SHAPES}
            print_ratios(f"batch {batch}", rows, unit="ours µs", own=lambda _, time: f"{time:.1f}")


if __name__ == "__main__":
    main()
