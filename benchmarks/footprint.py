"""What loading a network takes, and what it holds: every engine in a process of its own.

python benchmarks/footprint.py [--networks birealnet18 ...] [--batch 1] [--larq PYTHON] [--openvino PYTHON] ...

The networks and files are those of networks.py, int8 stem and shortcuts for ours. "load" is the file made ready to run,
"imported" the megabytes that the interpreter holds with its packages before, "loaded" those after, and "peak" the most
until after the first call. Each engine loads `--rounds` times, in turns; medians are shown.
"""

import argparse
import statistics
import sys
import tempfile
import warnings
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import networks
import torch
from interpreters import Interpreter, Remote, add_arguments, say_absent, wanted

from signbit.machine import cpu_name
from signbit.packed import container


def measure(name: str, options: argparse.Namespace) -> None:
    """Prints a row for every engine."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        quantized, real = networks.graphs(name)
        onnx = networks.onnx_files(name, real, options)
        here = {"ours": ("signbit", container.save(quantized, folder / "model.sbit"))}
        here |= {f"ONNX Runtime {kind}": ("onnxruntime", path) for kind, path in onnx.items()}

        def open_interpreter(python: str) -> Interpreter:
            interpreter = Interpreter(python, priority=options.fifo)
            stack.callback(interpreter.close)
            return interpreter

        def start(engine: str, path: Path) -> Remote:
            arguments = {"path": str(path), "batch": options.batch, "threads": options.threads}
            return open_interpreter(sys.executable).make(engine, **arguments)

        makers = {label: partial(start, engine, path) for label, (engine, path) in here.items()}
        makers |= networks.elsewhere(name, options.batch, onnx, options, open_interpreter)
        costs: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for label, maker in list(makers.items()):
                if label != "ours" and not wanted(label, options):
                    continue
                try:
                    remote = maker()
                except RuntimeError as error:
                    print(f"{name}: no {label}: {str(error).splitlines()[0][:150]}")
                    del makers[label]
                    continue
                costs.setdefault(label, []).append(remote.cost)
                remote.close()
        for label, found in costs.items():
            cost = {key: statistics.median(one[key] for one in found) for key in found[0]}
            size, load = cost["bytes"] / 1e6, cost["seconds"] * 1e3
            held = " | ".join(f"{cost[key]:.0f}" for key in ("before", "loaded", "peak"))
            print(f"| {name} | {label} | {size:.2f} | {load:.1f} | {load / size * 10:.0f} | {held} |", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(networks.SIDES), choices=list(networks.SIDES))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    add_arguments(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{cpu_name()}, batch {options.batch}, threads {options.threads}, {options.rounds} rounds")
    say_absent(options)
    print("\n| network | engine | file MB | load ms | ms per 10 MB | imported MB | loaded MB | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    with ExitStack() as stack:
        if options.keep is None:
            options.keep = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options.keep.mkdir(parents=True, exist_ok=True)
        for name in options.networks:
            measure(name, options)


if __name__ == "__main__":
    main()
