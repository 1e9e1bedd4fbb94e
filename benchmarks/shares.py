"""Where the time of a call goes: shares of the stem, the binary products and the rest, by `Model.profile`.

python benchmarks/shares.py [--networks birealnet18 ...] [--batch 1] [--nodes]

The networks of networks.py on one thread, int8 stem, shortcuts and classifier; the `--real` ones also in float32. A
node's time is that of what is fused into it too: a binary product has its chain, a stem its pool. `--nodes` prints
every node with its time first.
"""

import argparse

import networks
import torch
import worker

from signbit import runtime
from signbit.machine import cpu_name
from signbit.packed.graph import Graph
from signbit.runtime import NodeTime

BINARY, STEM, POOLING = "binary products with their chains", "stem", "pooling"
SHORTCUTS, CLASSIFIER, REST = "1x1 shortcuts", "classifier", "rest"
PARTS = (BINARY, STEM, POOLING, SHORTCUTS, CLASSIFIER, REST)


def part(time: NodeTime, *, begun: bool) -> str:
    """Which part of the network a node is; `begun`: a binary product came before."""
    stem = STEM in time.name or not begun
    if time.op in ("BinaryConv", "BinaryLinear"):
        return BINARY if begun or STEM not in time.name else STEM
    if time.op == "Conv":
        return STEM if stem else SHORTCUTS
    if time.op == "Pool" or time.name.endswith("blur"):
        return POOLING
    return STEM if STEM in time.name else CLASSIFIER if time.op == "Linear" else REST


def measure(label: str, name: str, graph: Graph, options: argparse.Namespace) -> None:
    """Prints the row of one network."""
    model, pixels = runtime.compile(graph, threads=1), networks.random_pixels(name, options.batch)
    with worker.undisturbed(options.fifo):
        times = model.profile(pixels, repeats=options.repeats)
    found = dict.fromkeys(PARTS, 0.0)
    for time in times:
        where = part(time, begun=found[BINARY] > 0)
        found[where] += time.microseconds
        if options.nodes and time.microseconds > 0:
            print(f"{time.microseconds:8.1f} µs  {where:34} {time.op:12} {time.name}  {time.kernel}")
    total = sum(found.values())
    row = " | ".join(f"{100 * found[name] / total:.0f} %" if found[name] else "-" for name in PARTS)
    print(f"| {label} | {total:.0f} | {row} |", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(networks.SIDES), choices=list(networks.SIDES))
    parser.add_argument("--real", nargs="*", default=["birealnet18"], choices=list(networks.SIDES))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--nodes", action="store_true", help="every node, before the row of its network")
    parser.add_argument("--fifo", type=int, default=0, help="real-time priority of timed calls; 0: none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu_name()}, batch {options.batch}, 1 thread\n")
    print(f"| | µs | {' | '.join(PARTS)} |\n{'|---' * (len(PARTS) + 2)}|")
    for name in options.networks:
        quantized, real = networks.graphs(name)
        measure(name, name, quantized, options)
        if name in options.real:
            measure(f"{name}, all float32", name, real, options)


if __name__ == "__main__":
    main()
