"""A whole network with few rare weights beside the same one with dense ±1 weights, layer by layer.

python benchmarks/sparse_networks.py [--network binarynet] [--batch 1 32] [--kinds levels ternary signs]
    [--densities .1 .05 .02] [--widths 16 32 64 128] [--int8] [--rounds 5] [--isa avx512] [--images 16]
    [--fifo PRIORITY]

Random weights and statistics; the dense network and all sparse ones take turns in one process, on one thread. A layer's
time is that of all its nodes by `profile`, as `signbit bench` shows it; a whole call is pixels in, logits out, without
profiling. Printed are medians over the rounds: the dense network in microseconds, the others as how many times as fast
they are. "binary layers" are those that multiply bits by bits: the first convolution of BinaryNet reads pixels, and its
weights stay dense. Every network is verified against its torch modules, node by node, on `--images` random images.
"""

import argparse
import statistics
import warnings
from collections.abc import Mapping

import numpy as np
import torch
import worker
from networks import SIDES, random_network, random_pixels

from signbit import export, packed, runtime
from signbit.machine import cpu_name
from signbit.nn import BinaryConv2d, BinaryLinear

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "binarynet": {"stem_quantizer": "sign"},
    "resnet18_cifar": {"shortcut": "repeat"},
    "resnet20_cifar": {},
}
QUANTIZERS = {
    "levels": "twolevel(density={})",
    "zero": "twolevel(values=zero,density={})",
    "ternary": "ternary(density={})",
    "signs": "twolevel(values=signs,density={})",
}
DENSE = "dense"
REST = "pools and the rest"
Times = dict[str, float]
"""Microseconds by row of the table."""


class Contender:
    """A network, packed, verified and compiled."""

    def __init__(self, name: str, quantizer: str, options: argparse.Namespace) -> None:
        side = SIDES[name]
        widths = {} if options.widths is None else {"widths": options.widths}
        model = random_network(name, weight_quantizer=quantizer, **OPTIONS[name], **widths)
        layers = {
            path: module for path, module in model.named_modules() if isinstance(module, BinaryConv2d | BinaryLinear)
        }
        image, dense = packed.ImagePreparation(height=side, width=side), "int8" if options.int8 else "float32"
        graph = export.to_graph(
            model, image=image, stem=dense, dense=dense, calibration=random_pixels(name, 2) if options.int8 else None
        )
        self.verified = export.verify(graph, model=model, batch=random_pixels(name, options.images)).passed
        self.bytes = len(packed.dumps(graph))
        self.layers = list(layers)
        self.binary = [path for path, module in layers.items() if module.input_quantizer is not None]
        self.convolutions = [path for path in self.binary if isinstance(layers[path], BinaryConv2d)]
        self.model = runtime.compile(graph, threads=1, isa=options.isa)

    def times(self, pixels: np.ndarray, options: argparse.Namespace) -> Times:
        """Of one round."""
        call = statistics.median(worker.turn(lambda: self.model.run(pixels), options.seconds, priority=options.fifo))
        found = dict.fromkeys([*self.layers, REST], 0.0)
        with worker.undisturbed(options.fifo):
            nodes = self.model.profile(pixels, repeats=3)
        for node in nodes:
            owners = [path for path in self.layers if node.name == path or node.name.startswith(f"{path}.")]
            found[max(owners, key=len, default=REST)] += node.microseconds
        parts = {"binary convolutions": self.convolutions, "binary layers": self.binary}
        totals = {part: sum(found[path] for path in paths) for part, paths in parts.items()}
        return found | totals | {"whole call": call * 1e6}


def main() -> None:
    """Prints a table for every batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="binarynet", choices=list(OPTIONS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--kinds", nargs="+", default=["levels", "ternary", "signs"], choices=list(QUANTIZERS))
    parser.add_argument("--densities", type=float, nargs="+", default=[0.1, 0.05, 0.02])
    parser.add_argument("--widths", type=int, nargs="+", help="channels of the stages, where a network takes them")
    parser.add_argument("--int8", action="store_true", help="stem, shortcuts and classifier in int8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of every network and round")
    parser.add_argument("--isa", default=runtime.isas()[0])
    parser.add_argument("--images", type=int, default=16, help="to verify on")
    parser.add_argument("--fifo", type=int, default=0, help="real-time priority of the timed calls")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    quantizers = {DENSE: "sign"} | {
        f"{kind} {density:g}": QUANTIZERS[kind].format(density)
        for kind in options.kinds
        for density in options.densities
    }
    contenders = {label: Contender(options.network, text, options) for label, text in quantizers.items()}
    print(f"{cpu_name()}, {options.isa}, 1 thread, {options.rounds} rounds, {options.network}")
    for batch in options.batch:
        pixels = random_pixels(options.network, batch)
        rounds: dict[str, list[Times]] = {label: [] for label in contenders}
        for _ in range(options.rounds):
            for label, contender in contenders.items():
                rounds[label].append(contender.times(pixels, options))
        medians = {
            label: {row: statistics.median(times[row] for times in found) for row in found[0]}
            for label, found in rounds.items()
        }
        dense = medians.pop(DENSE)
        print(f"\n| batch {batch} | dense µs | {' | '.join(medians)} |\n{'|---' * (len(medians) + 2)}|")
        for row, unit in dense.items():
            print(f"| {row} | {unit:.0f} | {' | '.join(f'{unit / times[row]:.2f}' for times in medians.values())} |")
    first, *others = contenders.values()
    print(f"| file, bytes | {first.bytes} | {' | '.join(f'{first.bytes / other.bytes:.2f}' for other in others)} |")
    states = ("passed" if each.verified else "FAILED" for each in contenders.values())
    print(f"| verify | {' | '.join(states)} |")
    if not all(each.verified for each in contenders.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
