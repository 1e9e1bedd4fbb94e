"""Binary 3x3 layers, bits in to bits out, beside other binary engines and int8, bfloat16 and float32 convolutions.

python benchmarks/layers.py [--batch 1 32] [--rounds 5] [--isa avx512] [--sides 7 8] [--fifo PRIORITY]
    [--larq PYTHON] [--litert PYTHON] [--openvino PYTHON] [--keep FOLDER] [--only NAME ...]

Every engine runs chains of layers (C -> N -> C -> ...) on one thread. The first table has the time of one layer more: a
chain of six less a chain of two, divided by four. The second has whole calls of one layer, each engine taking and
giving what its interface does: float32 of N×C×H×W (Larq: N×H×W×C), PyTorch's int8 quantized tensors, LiteRT int8.
Engines take turns in every round, each with its fastest of nine runs (of two from batch 2 on). The tables show medians
over the rounds: ours in microseconds, and how many times as long as ours the others take. "ours" is the form that the
plan chooses, with threshold; the binary peers (Larq Compute Engine's indirect kernels, its fastest on x86, and
OpenVINO's BinaryConvolution) compute the same network, their outputs compared bit for bit. The other peers are
convolutions of the same shape with ReLU. An engine that is not installed is named and left out.
"""

import argparse
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import worker
from interpreters import Interpreter, Remote, add_arguments, say_absent, wanted
from layer_engines import LENGTHS, Calls, Shape, onnx_engines, onnx_paths, ours, torch_engines
from tables import Row, print_ratios

from signbit import runtime
from signbit.machine import cpu_name

SHAPES = (
    (56, 64, 64), (28, 128, 128), (14, 256, 256), (7, 512, 512), (32, 128, 128),
    (16, 128, 256), (16, 256, 256), (8, 256, 512), (8, 512, 512),
)  # fmt: skip
Turns = dict[str, list[Callable[[int], list[float]]]]
"""By engine and length: seconds of so many runs."""


class Peers:
    """The interpreters that are given, and what each engine needs of them; a missing engine is named once."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options = options
        self._said: set[str] = set()
        pythons = {name: getattr(options, name) for name in ("larq", "litert", "openvino")}
        self.open = {name: Interpreter(path, priority=options.fifo) for name, path in pythons.items() if path}
        for interpreter in self.open.values():
            stack.callback(interpreter.close)

    def here(self, shape: Shape, folder: Path) -> Calls:
        """Engines of this interpreter."""
        calls = ours(shape, self.options.isa, folder)
        for make in (lambda: torch_engines(shape), lambda: onnx_engines(shape, self.options.keep)):
            try:
                calls |= {name: found for name, found in make().items() if wanted(name, self.options)}
            except ImportError as error:
                self._say(str(error))
        return calls

    def elsewhere(self, shape: Shape, folder: Path) -> Turns:
        """Engines of the other interpreters."""
        makers: dict[str, Callable[[int], Remote]] = {}
        if "openvino" in self.open:
            make = partial(self.open["openvino"].make, threads=1)
            makers["OpenVINO 1-bit"] = lambda n: make("openvino_binary", path=str(folder / f"{n}.npz"))
            makers["OpenVINO int8"] = lambda n: make(
                "openvino", path=str(onnx_paths(shape, self.options.keep, n)[1]), batch=shape.batch
            )
        if "larq" in self.open:
            makers["Larq"] = lambda n: self._larq(shape, folder, n)
            makers["LiteRT int8"] = lambda n: self._litert(shape, folder, n)
        turns: Turns = {}
        for interpreter in self.open.values():
            interpreter.drop()
        for name, maker in makers.items():
            if not wanted(name, self.options):
                continue
            try:
                remotes = [maker(length) for length in LENGTHS]
            except RuntimeError as error:
                self._say(f"{name}: {error}")
                continue
            turns[name] = [lambda runs, remote=remote: remote.turn(0.0, runs) for remote in remotes]
        return turns

    def _larq(self, shape: Shape, folder: Path, length: int) -> Remote:
        chain, target = folder / f"{length}.npz", self._file("larq", shape, length)
        if not target.exists():
            self.open["larq"].ask("do", "larq_chain", {"chain": str(chain), "path": str(target)})
        return self.open["larq"].make("larq_binary", chain=str(chain), path=str(target), threads=1)

    def _litert(self, shape: Shape, folder: Path, length: int) -> Remote:
        target = self._file("int8", shape, length)
        if not target.exists():
            arguments = {"channels": shape.channels(length), "side": shape.side, "batch": 1, "path": str(target)}
            self.open["larq"].ask("do", "int8_chain", arguments)
        interpreter = self.open.get("litert", self.open["larq"])
        return interpreter.make("litert", path=str(target), batch=shape.batch, threads=1)

    def _file(self, kind: str, shape: Shape, length: int) -> Path:
        return self.options.keep / f"{kind}-{shape.side}-{shape.inputs}-{shape.filters}-{length}.tflite"

    def _say(self, text: str) -> None:
        if text not in self._said:
            print(f"left out: {text}", flush=True)
        self._said.add(text)


def measure(shape: Shape, peers: Peers) -> tuple[Row, Row]:
    """Medians in microseconds over the rounds: of one layer more, and of a whole call of one layer."""
    options = peers.options
    repeats = 9 if shape.batch == 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        turns: Turns = {
            name: [lambda runs, call=call: worker.turn(call, runs=runs, priority=options.fifo) for call in calls]
            for name, calls in peers.here(shape, Path(folder)).items()
        }
        turns |= peers.elsewhere(shape, Path(folder))
        layer: dict[str, list[float]] = {name: [] for name in turns}
        whole: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(options.rounds):
            for name, runs in turns.items():
                one, short, long = (min(run(repeats)) * 1e6 for run in runs)
                layer[name].append((long - short) / (LENGTHS[2] - LENGTHS[1]))
                whole[name].append(one)
    return (
        {name: statistics.median(values) for name, values in layer.items()},
        {name: statistics.median(values) for name, values in whole.items()},
    )


def main() -> None:
    """Times every shape and prints two tables for every batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default=runtime.isas()[0], choices=runtime.isas()[:-1])
    parser.add_argument("--sides", type=int, nargs="+", help="only maps of these sides")
    add_arguments(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print(f"{cpu_name()}, instruction set {options.isa}, 1 thread, {options.rounds} rounds")
    say_absent(options)
    with ExitStack() as stack:
        if options.keep is None:
            options.keep = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options.keep.mkdir(parents=True, exist_ok=True)
        peers = Peers(options, stack)
        for batch in options.batch:
            layers: dict[str, Row] = {}
            calls: dict[str, Row] = {}
            work: dict[str, int] = {}
            for side, inputs, filters in SHAPES:
                if options.sides is None or side in options.sides:
                    shape = Shape(side, inputs, filters, batch)
                    name = str(shape)
                    work[name] = shape.work
                    layers[name], calls[name] = measure(shape, peers)
                    print(f"{name}, batch {batch}: {layers[name]['ours']:.0f} µs", flush=True)

            def own(name: str, time: float, work: dict[str, int] = work) -> str:
                return f"{time:.0f} | {work[name] / time / 1e6:.2f}"

            print_ratios(f"batch {batch}, one layer more", layers, unit="ours µs | TMAC/s", own=own)
            print_ratios(f"batch {batch}, a whole call", calls, unit="ours µs | TMAC/s", own=own)


if __name__ == "__main__":
    main()
